"""The explorer of series, and one's own notifications."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import access
from accounts.mixins import PageView, sentences_of
from mcp_site.core.errors import AppError
from monitoring import explorer, services, spans
from monitoring.forms import ExplorerForm
from monitoring.models import Notification, Series
from monitoring.views.alerts import label

PAGE_SIZE, MAX_NAMES, MAX_LINES = 50, 500, 12


class Explorer(PageView):
    """Any series over time."""

    section = "monitoring"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the chart of the series that the query names, and what each line came to."""
        if not access.can(self.person, "metric.view"):
            raise PermissionDenied
        form = ExplorerForm(request.GET)
        visible = Series.objects.visible_to(self.person)
        names = list(visible.order_by("name").values_list("name", flat=True).distinct()[:MAX_NAMES])
        context: dict[str, Any] = {"form": form, "names": names, "chosen": form.chosen.get("name", "")}
        if context["chosen"]:
            context |= self._chart(form)
        return self.page_or_part("monitoring/explorer.html", "monitoring/partials/series.html", context)

    def _chart(self, form: ExplorerForm) -> dict[str, Any]:
        start, end = form.span()
        chosen = form.chosen
        try:
            asked = explorer.ask(
                name=chosen["name"],
                tags=chosen.get("tags") or {},
                start=start,
                end=end,
                bucket=chosen.get("bucket", ""),
                aggregate=chosen.get("aggregate", "avg"),
            )
        except AppError as exc:
            return {"problems": sentences_of(exc)}
        found, left_out = explorer.lines(self.person, asked)
        drawn = [(tags, points) for tags, points in found if points]
        rows = [_row(tags, [value for _, value in points]) for tags, points in drawn]
        lines = [
            {"label": label(tags), "points": [[at.isoformat(), value] for at, value in points]}
            for tags, points in drawn[:MAX_LINES]
        ]
        return {
            "lines": json.dumps(lines),
            "rows": rows,
            "shown": len(lines),
            "left_out": left_out + max(0, len(drawn) - MAX_LINES),
            "bucket": spans.text_of(asked.bucket),
            "aggregate": asked.aggregate,
        }


def _row(tags: dict[str, str], values: list[float]) -> dict[str, Any]:
    return {"label": label(tags), "last": values[-1], "low": min(values), "high": max(values), "points": len(values)}


class NotificationList(PageView):
    """The person's own inbox."""

    section = "notifications"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it, the newest first."""
        found = Notification.objects.filter(person=self.person).select_related("alert").order_by("-id")
        page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
        return self.page("monitoring/notification_list.html", {"page": page})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Mark all as read."""
        read = services.read_notifications(by=self.person)
        messages.success(request, f"{read} marked as read.")
        return redirect("notification-list")
