"""The pages of alerts, rules and channels."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView, sentences_of
from mcp_site.core import clock
from mcp_site.core.errors import AppError
from monitoring import series, services, spans
from monitoring.forms import AlertFilterForm, RuleForm
from monitoring.models import Alert, AlertRule, Channel, Delivery
from monitoring.rules import Terms

PAGE_SIZE, MAX_LOG = 50, 50
_TERMS = tuple(Terms.__dataclass_fields__)
# What a chart of an alert shows before it opened, in windows of its rule, and at most.
BEFORE, LONGEST = 6, timedelta(days=14)


class AlertList(PageView):
    """Alerts, those that are not over first."""

    section = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = AlertFilterForm(request.GET)
        found = Alert.objects.visible_to(self.person).for_api()
        state = form.chosen.get("state")
        if state is None:
            found = found.unresolved()
        elif state != "all":
            found = found.filter(state=state)
        if severity := form.chosen.get("severity"):
            found = found.filter(severity=severity)
        if text := form.chosen.get("search"):
            found = found.filter(title__icontains=text)
        # Open before acknowledged before resolved, the worse first.
        page = Paginator(found.order_by("resolved_at", "-state", "severity", "-id"), PAGE_SIZE)
        context = {"form": form, "page": page.get_page(form.chosen.get("page")), "tab": "alerts"}
        return self.page_or_part("monitoring/alert_list.html", "monitoring/partials/alert_rows.html", context)


class AlertDetail(PageView):
    """One alert with its chart, and what was sent about it."""

    section = "alerts"

    def find(self, uid: Any) -> Alert:
        """Return the alert. Raises Http404 for what the person may not see."""
        found: Alert = get_object_or_404(Alert.objects.visible_to(self.person).for_api(), uid=uid)
        return found

    def get(self, request: HttpRequest, uid: Any) -> HttpResponse:
        """Show it."""
        alert = self.find(uid)
        may_edit = access.can(self.person, "alert.edit")
        sent = Delivery.objects.filter(alert=alert).select_related("channel").order_by("-id")[:MAX_LOG]
        context = {
            "alert": alert,
            "lines": json.dumps(chart_of(alert)),
            "may_edit": may_edit,
            "deliveries": sent if access.can(self.person, "channel.edit") else [],
        }
        return self.page("monitoring/alert_detail.html", context)

    def post(self, request: HttpRequest, uid: Any) -> HttpResponse:
        """Acknowledge it, or resolve it."""
        alert = self.find(uid)
        with self.saying():
            if "resolve" in request.POST:
                services.resolve_alert_by_hand(by=self.person, alert=alert)
                messages.success(request, "Resolved.")
            else:
                services.acknowledge_alert(by=self.person, alert=alert)
                messages.success(request, "Acknowledged: no more reminders.")
        return redirect(alert)


def chart_of(alert: Alert) -> list[dict[str, Any]]:
    """Return the line around an alert: some windows before it opened, until it ended."""
    if alert.rule is None or alert.series_id is None:
        return []
    end = min(alert.resolved_at or clock.now(), alert.opened_at + LONGEST) + timedelta(minutes=1)
    start = alert.opened_at - max(timedelta(minutes=30), BEFORE * timedelta(seconds=alert.rule.window))
    width = next((w for w in (60, 300, 3600, 86400) if (end - start).total_seconds() / w <= 400), 86400)
    (line,) = series.points([alert.series_id], start, end, width, alert.rule.aggregate)
    return [{"label": alert.title, "points": [[at.isoformat(), value] for at, value in line.points]}]


class RuleList(PageView):
    """All rules."""

    section = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them, those with open alerts marked."""
        rules = AlertRule.objects.select_related("owner").prefetch_related("channels").order_by("name", "pk")
        page = Paginator(rules, PAGE_SIZE).get_page(request.GET.get("page"))
        visible = Alert.objects.visible_to(self.person).unresolved().filter(rule__in=list(page.object_list))
        context = {
            "page": page,
            "open": set(visible.values_list("rule_id", flat=True)),
            "may_edit": access.can(self.person, "alert.edit"),
            "tab": "rules",
        }
        return self.page("monitoring/rule_list.html", context)


class RuleEditor(PageView):
    """A rule to write or to change, with a preview over the last week."""

    section = "alerts"

    def get(self, request: HttpRequest, uid: Any = None) -> HttpResponse:
        """Show the form, empty or filled in."""
        rule = self._rule(uid)
        form = RuleForm.of(rule) if rule else RuleForm(initial={"metric": request.GET.get("metric", "")[:200]})
        return self._show(rule, form)

    def post(self, request: HttpRequest, uid: Any = None) -> HttpResponse:
        """Save it, or delete it."""
        rule = self._rule(uid)
        if rule is not None and "delete" in request.POST:
            with self.saying():
                services.delete_rule(by=self.person, rule=rule)
                messages.success(request, "Deleted; what was open under it is resolved.")
            return redirect("rule-list")
        form = RuleForm(request.POST)
        if not form.is_valid():
            return self._show(rule, form, status=422)
        try:
            if rule is None:
                rule = services.create_rule(by=self.person, **form.values())
            else:
                services.update_rule(by=self.person, rule=rule, **form.values())
        except AppError as exc:
            form.take(exc)
            return self._show(rule, form, status=422)
        messages.success(request, "Saved; it is judged within seconds.")
        return redirect("rule-list")

    def _rule(self, uid: Any) -> AlertRule | None:
        if not access.can(self.person, "alert.view"):
            raise PermissionDenied
        return get_object_or_404(AlertRule, uid=uid) if uid else None

    def _show(self, rule: AlertRule | None, form: RuleForm, status: int = 200) -> HttpResponse:
        may_edit = access.can(self.person, "alert.edit")
        context = {"rule": rule, "form": form, "may_edit": may_edit}
        return self.page("monitoring/rule_form.html", context, status=status)


class RulePreview(PageView):
    """What the rule in the form would have done over the last week: a part of the page."""

    section = "alerts"

    def post(self, request: HttpRequest) -> HttpResponse:
        """Show a chart of each series with the alerts there would have been."""
        # A name is not needed to try a rule.
        form = RuleForm({**request.POST.dict(), "name": request.POST.get("name") or "-"})
        context: dict[str, Any] = {"form": form}
        if not form.is_valid():
            context["problems"] = [
                f"{form.fields[name].label}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()
            ]
            return self.page("monitoring/partials/preview.html", context)
        values = form.values()
        terms = Terms(**{name: values[name] for name in _TERMS})
        try:
            found, context["left_out"] = services.preview_rule(
                by=self.person, metric=values["metric"], tags=values["tags"], terms=terms
            )
        except AppError as exc:
            context["problems"] = sentences_of(exc)
            return self.page("monitoring/partials/preview.html", context)
        context["previews"] = [
            (one, json.dumps([{"label": label(one.tags), "points": [[t.isoformat(), v] for t, v in one.points]}]))
            for one in found
        ]
        context["window"] = spans.text_of(terms.window)
        return self.page("monitoring/partials/preview.html", context)


def label(tags: dict[str, str]) -> str:
    """Return tags as a chart names a line."""
    return ", ".join(f"{name} {value}" for name, value in sorted(tags.items())) or "value"


class ChannelList(PageView):
    """Channels, with what was sent to them last, and a button to try each."""

    section = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them to those who may edit them."""
        if not access.can(self.person, "channel.edit"):
            raise PermissionDenied
        found = list(Channel.objects.visible_to(self.person).select_related("owner").order_by("slug"))
        sent = Delivery.objects.filter(channel__in=found).select_related("channel", "alert")[:MAX_LOG]
        return self.page("monitoring/channel_list.html", {"channels": found, "deliveries": sent, "tab": "channels"})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Send a test message to the channel that is named."""
        visible = Channel.objects.visible_to(self.person)
        channel = get_object_or_404(visible, slug=request.POST.get("test", ""))
        with self.saying():
            delivery = services.test_channel(by=self.person, channel=channel)
            if delivery.state == "sent":
                messages.success(request, f"{channel.name} took the test message.")
            else:
                messages.error(request, f"{channel.name}: {delivery.error}")
        return redirect("channel-list")
