"""Page routes. Names are without a namespace because settings and templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from monitoring.views import alerts, front, series, trouble

urlpatterns: list[URLPattern] = [
    path("", front.Dashboard.as_view(), name="dashboard"),
    path("search/", front.Search.as_view(), name="search"),
    path("monitoring/", series.Explorer.as_view(), name="monitoring"),
    path("notifications/", series.NotificationList.as_view(), name="notification-list"),
    path("errors/", trouble.FaultList.as_view(), name="fault-list"),
    path("errors/<str:fingerprint>/", trouble.FaultDetail.as_view(), name="fault-detail"),
    path("health/", trouble.HealthPage.as_view(), name="health"),
    path("alerts/", alerts.AlertList.as_view(), name="alert-list"),
    path("alerts/rules/", alerts.RuleList.as_view(), name="rule-list"),
    path("alerts/rules/new/", alerts.RuleEditor.as_view(), name="rule-new"),
    path("alerts/rules/preview/", alerts.RulePreview.as_view(), name="rule-preview"),
    path("alerts/rules/<uuid:uid>/", alerts.RuleEditor.as_view(), name="rule-detail"),
    path("alerts/channels/", alerts.ChannelList.as_view(), name="channel-list"),
    path("alerts/<uuid:uid>/", alerts.AlertDetail.as_view(), name="alert-detail"),
]
