"""The audit trail, for Admins: who did what to which thing, and the proof that nothing was changed since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import chain
from accounts.forms.audit import AuditFilterForm
from accounts.models import AuditEvent, AuditLink
from accounts.views.for_admins import AdminPage
from mcp_site.core import clock

PAGE_SIZE = 50
# Longer values are shown as far as they go; an export has them whole.
MAX_TEXT = 300
EXPORT = "/api/v1/audit-events/export"
_LOOKUPS = {"after": "at__gte", "before": "at__lt"}


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an act: what was there before and after; nothing where there was nothing."""

    name: str
    before: str
    after: str


def changes_of(event: AuditEvent) -> list[Change]:
    """Return what an act changed, in words."""
    found = event.changes if isinstance(event.changes, dict) else {}
    return [Change(name.replace("_", " "), *map(_words, _pair(value))) for name, value in found.items()]


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else (None, value)


def _words(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value) or "none"
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


class _Audit(AdminPage):
    section = "audit"
    action = "audit.view"

    def show(self, verdict: dict[str, Any] | None = None) -> HttpResponse:
        """Render a page of the trail; `verdict` is what a check has just found."""
        form = AuditFilterForm(self.request.GET)
        asked = {_LOOKUPS.get(name, name): value for name, value in form.asked.items()}
        events = AuditEvent.objects.select_related("actor", "link").filter(**asked).order_by("-pk")
        if older := form.chosen.get("older"):
            events = events.filter(pk__lt=older)
        # Known by the first of the next page: counting all would read all.
        found = list(events[: PAGE_SIZE + 1])
        context = {
            "form": form,
            "rows": [(event, changes_of(event)) for event in found[:PAGE_SIZE]],
            "next_older": found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None,
            "export": f"{EXPORT}?{form.for_api}{'&' if form.for_api else ''}as=",
            "last": AuditLink.objects.order_by("-number").first(),
            **(verdict or {}),
        }
        return self.page_or_part("accounts/audit.html", "accounts/partials/audit_rows.html", context)


class Audit(_Audit):
    """The trail."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of it, newest first, narrowed by the query."""
        return self.show()


class AuditCheck(_Audit):
    """The proof. It reads the whole trail, so it is asked for."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Send whoever reloads the result back to the trail."""
        return redirect("audit")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Compute the chain anew and say what was found."""
        verdict = chain.verify()
        found = {"verdict": verdict, "checked_at": clock.now()}
        if getattr(request, "htmx", False):
            last = AuditLink.objects.order_by("-number").first()
            return self.page("accounts/partials/chain.html", {"last": last, **found})
        return self.show(found)
