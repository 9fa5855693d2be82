"""API routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.api import shares
from connections.api.schemas import SchemaViewSet
from connections.api.views import ConnectionTypes, ConnectionViewSet
from connections.models import Connection
from mcp_site.core.pagination import NewestFirst

app_name = "connections-api"
View, Schema = ConnectionViewSet.as_view, SchemaViewSet.as_view

urlpatterns: list[URLPattern] = [
    path("connection-types", ConnectionTypes.as_view(), name="connection-types"),
    path("connections", View({"get": "list", "post": "create"}, detail=False), name="connection-list"),
    path(
        "connections/<slug:slug>",
        View({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}, detail=True),
        name="connection-detail",
    ),
    path("connections/<slug:slug>/test", View({"post": "test"}, detail=True), name="connection-test"),
    path("connections/<slug:slug>/scan", View({"post": "scan"}, detail=True), name="connection-scan"),
    path("connections/<slug:slug>/query", View({"post": "query"}, detail=True), name="connection-query"),
    path("connections/<slug:slug>/schema", Schema({"get": "show_schema"}, detail=True), name="connection-schema"),
    path("connections/<slug:slug>/drift", Schema({"get": "drift"}, detail=True), name="connection-drift"),
    path("connections/<slug:slug>/impact", Schema({"get": "impact"}, detail=True), name="connection-impact"),
    path(
        "connections/<slug:slug>/snapshots",
        Schema({"get": "snapshots"}, detail=True, pagination_class=NewestFirst),
        name="connection-snapshots",
    ),
    *shares.routes(Connection, "connections"),
]
