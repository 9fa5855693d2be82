"""Routes of rules, alerts, channels, inboxes, entities and the first page."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from monitoring.api import alerts, channels, entities, errors

router = SimpleRouter(trailing_slash=False)
router.register("alert-rules", alerts.RuleViewSet, basename="alert-rules")
router.register("alerts", alerts.AlertViewSet, basename="alerts")
router.register("channels", channels.ChannelViewSet, basename="channels")
router.register("errors", errors.ErrorViewSet, basename="errors")
router.register("notifications", channels.NotificationViewSet, basename="notifications")

urlpatterns = [
    path("channel-types", channels.ChannelTypes.as_view()),
    path("entities/<str:type>/<str:id>", entities.EntityDetail.as_view()),
    path("dashboard/summary", entities.DashboardSummary.as_view()),
    *router.urls,
]
