"""API routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.api import shares
from definitions.api.filters import VersionPages
from definitions.api.versions import AliasViewSet, VersionViewSet
from definitions.api.views import DefinitionKinds, DefinitionViewSet
from definitions.models import Definition
from mcp_site.core.pagination import NewestFirst

app_name = "definitions-api"
One, Version, Alias = DefinitionViewSet.as_view, VersionViewSet.as_view, AliasViewSet.as_view

urlpatterns: list[URLPattern] = [
    path("definition-kinds", DefinitionKinds.as_view(), name="definition-kinds"),
    path("definitions", One({"get": "list", "post": "create"}, detail=False), name="definition-list"),
    path(
        "definitions/<slug:slug>",
        One({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}, detail=True),
        name="definition-detail",
    ),
    path("definitions/<slug:slug>/usage", One({"get": "usage"}, detail=True), name="definition-usage"),
    path(
        "definitions/<slug:slug>/versions",
        Version({"get": "list", "post": "create"}, detail=True, pagination_class=VersionPages),
        name="definition-versions",
    ),
    path(
        "definitions/<slug:slug>/versions/<int:number>",
        Version({"get": "retrieve"}, detail=True),
        name="definition-version",
    ),
    path("definitions/<slug:slug>/diff", Version({"get": "diff"}, detail=True), name="definition-diff"),
    path("definitions/<slug:slug>/rollback", Version({"post": "rollback"}, detail=True), name="definition-rollback"),
    path(
        "definitions/<slug:slug>/aliases/<str:name>",
        Alias({"put": "update", "delete": "destroy"}, detail=True),
        name="definition-alias",
    ),
    path(
        "definitions/<slug:slug>/aliases/<str:name>/moves",
        Alias({"get": "moves"}, detail=True, pagination_class=NewestFirst),
        name="definition-alias-moves",
    ),
    *shares.routes(Definition, "definitions"),
]
