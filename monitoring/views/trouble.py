"""The pages of what is not well: grouped errors, and the health of the panel."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from accounts import access
from accounts.mixins import PageView
from monitoring import health
from monitoring.forms import FaultFilterForm
from monitoring.models import Fault

PAGE_SIZE = 50


class FaultList(PageView):
    """Grouped errors, what was seen last first."""

    section = "errors"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = FaultFilterForm(request.GET)
        found = Fault.objects.visible_to(self.person).select_related("definition", "last_run")
        if source := form.chosen.get("source"):
            found = found.filter(source=source)
        if text := form.chosen.get("search"):
            found = found.filter(title__icontains=text)
        page = Paginator(found.order_by("-last_seen", "-id"), PAGE_SIZE).get_page(form.chosen.get("page"))
        context = {"form": form, "page": page}
        return self.page_or_part("monitoring/fault_list.html", "monitoring/partials/fault_rows.html", context)


class FaultDetail(PageView):
    """One sort of error."""

    section = "errors"

    def get(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        """Show it with its place in the code."""
        visible = Fault.objects.visible_to(self.person).select_related("definition", "last_run")
        return self.page("monitoring/fault_detail.html", {"fault": get_object_or_404(visible, fingerprint=fingerprint)})


class HealthPage(PageView):
    """Each check with its time and its trouble, for Admins."""

    section = "health"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Look now, and show what was found."""
        if not access.can(self.person, "health.view"):
            raise PermissionDenied
        found = health.all_checks()
        context: dict[str, Any] = {"checks": found, "verdict": health.verdict(found)}
        return self.page_or_part("monitoring/health.html", "monitoring/partials/health.html", context)
