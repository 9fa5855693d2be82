"""Metrics and alerts in the Django admin: to look at; what can be changed is changed where it is checked."""

from __future__ import annotations

from django.contrib import admin

from mcp_site.core.admin import ReadOnly
from monitoring.models import (
    Alert,
    AlertRule,
    Beat,
    Channel,
    Counter,
    Delivery,
    Due,
    Fault,
    MeasuredRun,
    Notification,
    RuleStanding,
    Series,
)


@admin.register(Series)
class SeriesAdmin(ReadOnly):
    """Series: names and tags."""

    list_display = ("name", "tags", "last_at", "created_at")
    search_fields = ("name",)


@admin.register(AlertRule)
class AlertRuleAdmin(ReadOnly):
    """Rules: changed on their page, which checks them."""

    list_display = ("name", "metric", "aggregate", "comparison", "threshold", "enabled", "owner")
    list_filter = ("enabled",)
    search_fields = ("name", "metric")
    list_select_related = ("owner",)


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    """Alerts: what opened and who looked after it."""

    list_display = ("title", "severity", "state", "opened_at", "acknowledged_by", "resolved_at")
    list_filter = ("state", "severity")
    search_fields = ("title",)
    list_select_related = ("acknowledged_by",)


@admin.register(Channel)
class ChannelAdmin(ReadOnly):
    """Channels, without their secrets."""

    list_display = ("slug", "name", "type", "enabled", "owner")
    list_filter = ("type", "enabled")
    list_select_related = ("owner",)
    exclude = ("secrets",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    """What was sent, and what waits."""

    list_display = ("channel", "happening", "state", "attempts", "next_at", "sent_at", "error")
    list_filter = ("state", "happening")
    list_select_related = ("channel",)


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    """Lines of inboxes."""

    list_display = ("person", "title", "severity", "created_at", "read_at")
    list_select_related = ("person",)


@admin.register(RuleStanding)
class RuleStandingAdmin(ReadOnly):
    """Which series are bad under which rule, and since when."""

    list_display = ("rule", "series", "warn_since", "alert_since")
    list_select_related = ("rule", "series")


@admin.register(Counter)
class CounterAdmin(ReadOnly):
    """Totals for scrapers."""

    list_display = ("name", "labels", "value")
    search_fields = ("name",)


@admin.register(MeasuredRun)
class MeasuredRunAdmin(ReadOnly):
    """Runs whose end has been measured lately."""

    list_display = ("run_id", "finished_at")


@admin.register(Due)
class DueAdmin(ReadOnly):
    """What waits to be rolled up."""

    list_display = ("series_id", "width", "lower", "upper")


@admin.register(Beat)
class BeatAdmin(ReadOnly):
    """Signs of life of clock and workers."""

    list_display = ("name", "at")


@admin.register(Fault)
class FaultAdmin(ReadOnly):
    """What went wrong, grouped."""

    list_display = ("title", "source", "count", "runs", "first_seen", "last_seen")
    list_filter = ("source",)
    search_fields = ("title", "message")
