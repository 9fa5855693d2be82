"""Routes of rules, alerts, channels and inboxes."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from monitoring.api import alerts, channels

router = SimpleRouter(trailing_slash=False)
router.register("alert-rules", alerts.RuleViewSet, basename="alert-rules")
router.register("alerts", alerts.AlertViewSet, basename="alerts")
router.register("channels", channels.ChannelViewSet, basename="channels")
router.register("notifications", channels.NotificationViewSet, basename="notifications")

urlpatterns = [path("channel-types", channels.ChannelTypes.as_view()), *router.urls]
