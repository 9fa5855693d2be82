"""Definitions over HTTP: each view finds the row by what its caller may see, and makes one call to a service."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from definitions import kinds, services
from definitions.api import serializers as shapes
from definitions.api.filters import DefinitionFilter
from definitions.models import Definition
from mcp_site.core import uses
from mcp_site.core.errors import NotFound, Rejected
from mcp_site.core.filters import NamedPages
from mcp_site.core.http import StrictQuery, unless_stale
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body

TAGS = ["definitions"]


class DefinitionKinds(APIView):
    """What a definition can be."""

    area = "definitions"

    @extend_schema(
        responses={200: shapes.DefinitionKindSerializer(many=True)}, operation_id="definition_kinds_list", tags=TAGS
    )
    def get(self, request: Request) -> Response:
        """List the kinds with the JSON Schema of their config; forms are made from it."""
        shown = [
            {
                "name": kind.name,
                "label": kind.label,
                "description": kind.description,
                "config_schema": kind.Config.model_json_schema(),
                "ui": dict(kind.ui),
            }
            for kind in kinds.all_kinds()
        ]
        return Response(shapes.DefinitionKindSerializer(shown, many=True).data)


class OfDefinition(StrictQuery):
    """What views of one definition share: the door, the caller, the query parameters by action."""

    area = "definitions"
    lookup_field = "slug"
    queryset = Definition.objects.none()

    # What an action reads from the query, beside what lists read.
    reads: ClassVar[dict[str, frozenset[str]]] = {}

    @property
    def query_params(self) -> frozenset[str]:  # type: ignore[override]
        """Return the query parameters that this action knows."""
        return self.reads.get(self.action or "", frozenset())

    @property
    def caller(self) -> User:
        """Return who asks; the permission saw to it that it is someone."""
        return cast(User, self.request.user)

    def get_queryset(self) -> QuerySet[Any]:
        """Return the definitions that the caller may see."""
        return Definition.objects.visible_to(self.request.user).for_api()

    def find(self, slug: str) -> Definition:
        """Return the definition, archived or not. Raises NotFound for what the caller may not see."""
        definition = Definition.objects.visible_to(self.request.user).filter(slug=slug).first()
        if definition is None:
            raise NotFound
        return definition

    def answer(self, definition: Definition, status: int = 200) -> Response:
        """Answer with the row as it is in the database, also to one who has just lost sight of it."""
        fresh = Definition.objects.for_api().get(pk=definition.pk)
        place = reverse("definitions-api:definition-detail", args=[fresh.slug])
        headers = {"Location": place} if status == 201 else None
        return Response(shapes.DefinitionSerializer(fresh).data, status=status, headers=headers)


@extend_schema_view(list=extend_schema(tags=TAGS, summary="List definitions"))
class DefinitionViewSet(mixins.ListModelMixin, OfDefinition):
    """Definitions: prompts, notebooks, scripts, queries."""

    serializer_class = shapes.DefinitionSerializer
    filterset_class = DefinitionFilter
    pagination_class = NamedPages
    untagged = frozenset()
    reads: ClassVar[dict[str, frozenset[str]]] = {"destroy": frozenset({"force"})}

    @extend_schema(
        request=shapes.DefinitionCreate,
        responses={201: shapes.DefinitionSerializer},
        tags=TAGS,
        summary="Make a definition",
    )
    @once()
    def create(self, request: Request) -> Response:
        """Make a definition, and its first version if `config` is given: both or neither."""
        return self.answer(
            services.create_definition(by=self.caller, **read_body(shapes.DefinitionCreate, request)), 201
        )

    @extend_schema(responses={200: shapes.DefinitionSerializer}, tags=TAGS, summary="Show a definition")
    def retrieve(self, request: Request, slug: str) -> Response:
        """Show one definition."""
        return self.answer(self.find(slug))

    @extend_schema(
        request=shapes.DefinitionUpdate,
        responses={200: shapes.DefinitionSerializer},
        tags=TAGS,
        summary="Change a definition",
    )
    @unless_stale
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change name, description, tags or visibility."""
        definition = self.find(slug)
        changes = read_body(shapes.DefinitionUpdate, request)
        return self.answer(services.update_definition(by=self.caller, definition=definition, **changes))

    @extend_schema(
        parameters=[OpenApiParameter("force", bool, description="Admin only: archive although it is used")],
        responses={204: OpenApiResponse(description="Archived")},
        tags=TAGS,
        summary="Archive a definition",
    )
    @unless_stale
    def destroy(self, request: Request, slug: str) -> Response:
        """Archive: it stays readable, and nothing runs it. 409 names what uses it."""
        raw = request.query_params.get("force", "false")
        # `?force` alone means it too.
        if raw not in ("", "true", "false"):
            raise Rejected("true or false", attr="force")
        services.archive_definition(by=self.caller, definition=self.find(slug), force=raw != "false")
        return Response(status=204)

    @extend_schema(responses={200: shapes.UsageSerializer}, tags=TAGS, summary="Show what uses a definition")
    def usage(self, request: Request, slug: str) -> Response:
        """List what uses it, as far as the caller may see, and how many more there are."""
        found = uses.find("definition", self.find(slug).pk, by=self.caller)
        return Response(shapes.UsageSerializer(found).data)
