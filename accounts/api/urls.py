"""API routes of people, teams, API keys and the audit trail."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from accounts.api import audit, keys, people, teams

router = SimpleRouter(trailing_slash=False)
router.register("api-keys", keys.KeyViewSet, basename="api-keys-api")
router.register("people", people.PeopleViewSet, basename="people-api")
router.register("teams", teams.TeamViewSet, basename="teams-api")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("audit-events", audit.AuditEvents.as_view({"get": "list"}, detail=False)),
    path("audit-events/export", audit.AuditExport.as_view({"get": "export"}, detail=True)),
    path("audit-events/verify", audit.AuditVerify.as_view({"get": "verify"}, detail=True)),
]
