"""The page that shows two runs side by side."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from accounts.mixins import PageView
from workflows import services
from workflows.models import Run


class RunCompare(PageView):
    """One run beside another."""

    section = "runs"

    def get(self, request: HttpRequest, uid: UUID, other: UUID) -> HttpResponse:
        """Show what differs from the first to the second."""
        seen = Run.objects.visible_to(self.person).select_related("workflow", "version", "definition", "started_by")
        seen = seen.defer("version__graph", "graph")
        comparison = services.compare_runs(get_object_or_404(seen, uid=uid), get_object_or_404(seen, uid=other))
        return self.page("workflows/run_compare.html", {"comparison": comparison, "runs": comparison.runs})
