"""Two snapshots side by side: what changed, and whom that touches."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from connections import services
from connections.forms import CompareForm
from connections.models import SchemaSnapshot
from connections.views.browse import OfOne
from mcp_site.core.errors import NotFound

MAX_SNAPSHOTS, MAX_CHANGES = 200, 500


class SnapshotCompare(OfOne):
    """What changed between two snapshots of a connection."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the changes from one to the other: the newest and the one before, unless the address names two."""
        connection = self.find(slug)
        form = CompareForm(request.GET)
        snapshots = SchemaSnapshot.objects.filter(connection=connection).defer("tables").select_related("created_by")
        context = {
            "connection": connection,
            "form": form,
            "snapshots": list(snapshots.order_by("-number")[:MAX_SNAPSHOTS]),
        }
        before, after = form.numbers
        try:
            comparison = services.compare_snapshots(connection, before, after)
        except NotFound as exc:
            return self.page(
                "connections/snapshot_compare.html",
                {**context, "problem": exc.detail, "ends": [("from", before), ("to", after)]},
                status=404,
            )
        found = services.impact_on(self.person, connection, comparison)
        context |= {
            "comparison": comparison,
            "ends": [("from", comparison.before.number), ("to", comparison.after.number)],
            "changes": comparison.changes[:MAX_CHANGES],
            "is_cut": len(comparison.changes) > MAX_CHANGES,
            "impact": found,
        }
        return self.page("connections/snapshot_compare.html", context)
