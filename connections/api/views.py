"""Connections over HTTP: each view finds the row by what its caller may see, and makes one call to a service."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar, cast

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from connections import connectors, services
from connections.api import schema_serializers, serializers
from connections.api.filters import ConnectionFilter
from connections.models import Connection
from mcp_site.core.errors import NotFound, Rejected
from mcp_site.core.filters import NamedPages
from mcp_site.core.http import StrictQuery, unless_stale
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body

_TAGS = ["connections"]


class ConnectionTypes(APIView):
    """What can be connected to."""

    area = "connections"

    @extend_schema(
        responses={200: serializers.ConnectionTypesSerializer},
        operation_id="connection_types_list",
        tags=_TAGS,
    )
    def get(self, request: Request) -> Response:
        """List the types of connection, installed or not."""
        shown = [
            {
                "name": connector.name,
                "label": connector.label,
                "group": connector.group,
                "capabilities": sorted(connector.capabilities),
                "config_schema": connector.Config.model_json_schema(),
                "secret_fields": sorted(connector.Config.secret_fields()),
                "installed": connector.missing() is None,
                "install": connector.missing(),
            }
            for connector in connectors.all_connectors()
        ]
        return Response(serializers.ConnectionTypesSerializer({"next": None, "previous": None, "results": shown}).data)


@extend_schema_view(
    list=extend_schema(tags=_TAGS, summary="List connections"),
)
class ConnectionViewSet(mixins.ListModelMixin, StrictQuery):
    """Connections and what can be done with them."""

    area = "connections"
    scopes: ClassVar[dict[str, str]] = {"query": "connections:query"}
    serializer_class = serializers.ConnectionSerializer
    filterset_class = ConnectionFilter
    pagination_class = NamedPages
    # What tests and scans find.
    untagged = frozenset({"last_test", "last_scan", "fingerprint", "updated_at"})
    lookup_field = "slug"
    queryset = Connection.objects.none()

    # What actions on one connection read from the query.
    _read: ClassVar[dict[str, frozenset[str]]] = {
        "destroy": frozenset({"force"}),
    }

    # What asks the other side is dearer than what asks the panel.
    rates: ClassVar[dict[str, str]] = {"query": "query", "test": "query", "scan": "query"}

    @property
    def query_params(self) -> frozenset[str]:  # type: ignore[override]
        """Return the query parameters that this action knows."""
        return self._read.get(self.action or "", frozenset())

    def get_queryset(self) -> QuerySet[Connection]:
        """Return what the caller may see."""
        return Connection.objects.visible_to(self.request.user).for_api()

    def find(self, slug: str) -> Connection:
        """Return the connection, archived or not. Raises NotFound for what the caller may not see."""
        connection = self.get_queryset().filter(slug=slug).first()
        if connection is None:
            raise NotFound
        return connection

    @property
    def caller(self) -> User:
        """Return who asks."""
        return cast(User, self.request.user)

    def _answer(self, connection: Connection, status: int) -> Response:
        """Answer with the row as it is in the database."""
        fresh = self.get_queryset().get(pk=connection.pk)
        headers = (
            {"Location": reverse("connections-api:connection-detail", args=[fresh.slug])} if status == 201 else None
        )
        return Response(serializers.ConnectionSerializer(fresh).data, status=status, headers=headers)

    @extend_schema(
        request=serializers.ConnectionCreate,
        responses={201: serializers.ConnectionSerializer},
        tags=_TAGS,
        summary="Make a connection",
    )
    @once()
    def create(self, request: Request) -> Response:
        """Make a connection. Nothing is connected to yet."""
        given = read_body(serializers.ConnectionCreate, request)
        return self._answer(services.create_connection(by=self.caller, **given), 201)

    @extend_schema(responses={200: serializers.ConnectionSerializer}, tags=_TAGS, summary="Show a connection")
    def retrieve(self, request: Request, slug: str) -> Response:
        """Show one connection."""
        return Response(serializers.ConnectionSerializer(self.find(slug)).data)

    @extend_schema(
        request=serializers.ConnectionUpdate,
        responses={200: serializers.ConnectionSerializer},
        tags=_TAGS,
        summary="Change a connection",
    )
    @unless_stale
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change what is given; `config` is merged."""
        connection = self.find(slug)
        given = read_body(serializers.ConnectionUpdate, request)
        changed = services.update_connection(by=self.caller, connection=connection, **given)
        return self._answer(changed, 200)

    @extend_schema(
        parameters=[OpenApiParameter("force", bool, description="Admin only: archive although it is used")],
        responses={204: OpenApiResponse(description="Archived")},
        tags=_TAGS,
        summary="Archive a connection",
    )
    @unless_stale
    def destroy(self, request: Request, slug: str) -> Response:
        """Archive. 409 names what uses it."""
        raw = request.query_params.get("force", "false")
        if raw not in ("true", "false"):
            raise Rejected("true or false", attr="force")
        services.archive_connection(by=self.caller, connection=self.find(slug), force=raw == "true")
        return Response(status=204)

    @extend_schema(
        request=None, responses={200: serializers.TestResultSerializer}, tags=_TAGS, summary="Test a connection"
    )
    def test(self, request: Request, slug: str) -> Response:
        """Try it phase by phase. `ok: false` when the other side fails."""
        result = services.test_connection(by=self.caller, connection=self.find(slug))
        return Response(serializers.TestResultSerializer(asdict(result)).data)

    @extend_schema(
        request=None,
        responses={
            201: OpenApiResponse(schema_serializers.SnapshotSerializer, description="The schema is new or changed"),
            200: OpenApiResponse(
                schema_serializers.SnapshotSerializer, description="The schema is as the newest snapshot"
            ),
        },
        tags=_TAGS,
        summary="Scan the schema",
    )
    def scan(self, request: Request, slug: str) -> Response:
        """Read the schema now."""
        connection = self.find(slug)
        snapshot = services.scan_connection(by=self.caller, connection=connection)
        headers = {"Location": reverse("connections-api:connection-schema", args=[connection.slug])}
        return Response(
            schema_serializers.SnapshotSerializer(snapshot).data,
            status=201 if snapshot.is_new else 200,
            headers=headers,
        )

    @extend_schema(
        request=serializers.QueryBody,
        responses={200: serializers.ResultSerializer},
        tags=_TAGS,
        summary="Run a read-only query",
    )
    def query(self, request: Request, slug: str) -> Response:
        """Run one statement that reads."""
        connection = self.find(slug)
        given = read_body(serializers.QueryBody, request)
        result = services.run_query(by=self.caller, connection=connection, **given)
        return Response({**result.as_json(), "warnings": list(result.warnings)})
