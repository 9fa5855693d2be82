"""Schemas over HTTP: the newest snapshot, all of them, and what changed between two and whom that touches."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connections import services
from connections.api import schema_serializers as serializers
from connections.api.views import ConnectionViewSet
from connections.drift import Change
from connections.models import SchemaSnapshot
from connections.rules import tagged
from mcp_site.core.errors import NotFound, Rejected

_TAGS = ["connections"]
_SCHEMA_SEARCH = OpenApiParameter("search", str, description="text in a table's or column's name")
_BETWEEN = [
    OpenApiParameter("from", int, description="number of a snapshot; the one before `to` unless given"),
    OpenApiParameter("to", int, description="number of a snapshot; the newest unless given"),
]


class SchemaViewSet(ConnectionViewSet):
    """What scans found."""

    scopes: ClassVar[dict[str, str]] = {}
    rates: ClassVar[dict[str, str]] = {}
    _read: ClassVar[dict[str, frozenset[str]]] = {
        "show_schema": frozenset({"search"}),
        "snapshots": frozenset({"cursor", "page_size"}),
        "drift": frozenset({"from", "to"}),
        "impact": frozenset({"from", "to"}),
    }

    @extend_schema(
        parameters=[_SCHEMA_SEARCH],
        responses={200: serializers.SchemaSerializer},
        tags=_TAGS,
        summary="Show the schema",
    )
    def show_schema(self, request: Request, slug: str) -> Response:
        """Show the newest snapshot with its tables, or those that have the text in a name."""
        snapshot = self._snapshots(slug).first()
        if snapshot is None:
            raise NotFound("This connection has not been scanned yet.", code="not_scanned")
        snapshot.tables = tagged(snapshot.tables_with(request.query_params.get("search", "")))
        return Response(serializers.SchemaSerializer(snapshot).data)

    @extend_schema(responses={200: serializers.SnapshotSerializer(many=True)}, tags=_TAGS, summary="List snapshots")
    def snapshots(self, request: Request, slug: str) -> Response:
        """List the snapshots, newest first, without their tables."""
        page = self.paginate_queryset(self._snapshots(slug).defer("tables"))
        return self.get_paginated_response(serializers.SnapshotSerializer(page, many=True).data)

    def _snapshots(self, slug: str) -> QuerySet[SchemaSnapshot]:
        return (
            SchemaSnapshot.objects.filter(connection=self.find(slug)).select_related("created_by").order_by("-number")
        )

    @extend_schema(
        parameters=_BETWEEN,
        responses={200: serializers.DriftSerializer},
        tags=_TAGS,
        summary="Compare two snapshots",
    )
    def drift(self, request: Request, slug: str) -> Response:
        """Show what changed from one snapshot to another."""
        comparison = self._comparison(request, slug)
        return Response(serializers.DriftSerializer(_shown(comparison)).data)

    @extend_schema(
        parameters=_BETWEEN,
        responses={200: serializers.ImpactSerializer},
        tags=_TAGS,
        summary="Show whom a change of the schema touches",
    )
    def impact(self, request: Request, slug: str) -> Response:
        """Show what changed, and the definitions, workflows and schedules whose SQL reads it."""
        comparison = self._comparison(request, slug)
        found = services.impact_on(self.caller, self.find(slug), comparison)
        affected = [
            {"type": one.use.type, "slug": one.use.slug, "name": one.use.name, "because": one.because}
            for one in found.affected
        ]
        body = {**_shown(comparison), "affected": affected, "hidden": found.hidden}
        return Response(serializers.ImpactSerializer(body).data)

    def _comparison(self, request: Request, slug: str) -> services.Comparison:
        return services.compare_snapshots(self.find(slug), _number(request, "from"), _number(request, "to"))


def _number(request: Request, name: str) -> int | None:
    raw = request.query_params.get(name)
    if raw is None:
        return None
    if not raw.isascii() or not raw.isdecimal() or not 1 <= int(raw[:10]) < 2**31:
        raise Rejected("the number of a snapshot", attr=name)
    return int(raw)


def _shown(comparison: services.Comparison) -> dict[str, Any]:
    return {
        "from": comparison.before.number,
        "to": comparison.after.number,
        "changes": [change_as_json(change) for change in comparison.changes],
    }


def change_as_json(change: Change) -> dict[str, Any]:
    """Return a change as answers show it."""
    return {
        "kind": change.kind,
        "schema": change.schema,
        "table": change.table,
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "breaking": change.is_breaking,
    }
