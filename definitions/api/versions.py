"""Versions and aliases of a definition over HTTP."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from definitions import diff, services
from definitions.api import serializers as shapes
from definitions.api.views import TAGS, OfDefinition
from definitions.models import AliasMove, Definition, DefinitionVersion
from mcp_site.core.errors import NotFound, Rejected
from mcp_site.core.http import whole_number
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body

_PAGES = frozenset({"cursor", "page_size"})


class VersionViewSet(OfDefinition):
    """What a definition does, version by version."""

    reads: ClassVar[dict[str, frozenset[str]]] = {"list": _PAGES, "diff": frozenset({"from", "to"})}

    def _versions(self, definition: Definition) -> QuerySet[DefinitionVersion]:
        return definition.versions.select_related("created_by").order_by("-number")

    def _answer_version(self, definition: Definition, saved: tuple[DefinitionVersion, bool]) -> Response:
        version, is_new = saved
        place = reverse("definitions-api:definition-version", args=[definition.slug, version.number])
        data = shapes.DefinitionVersionSerializer(version).data
        return Response(data, status=201 if is_new else 200, headers={"Location": place})

    @extend_schema(responses={200: shapes.DefinitionVersionSerializer(many=True)}, tags=TAGS, summary="List versions")
    def list(self, request: Request, slug: str) -> Response:
        """List the versions, newest first."""
        page = self.paginate_queryset(self._versions(self.find(slug)))
        return self.get_paginated_response(shapes.DefinitionVersionSerializer(page, many=True).data)

    @extend_schema(
        request=shapes.DefinitionVersionCreate,
        responses={
            201: OpenApiResponse(shapes.DefinitionVersionSerializer, description="The new version"),
            200: OpenApiResponse(shapes.DefinitionVersionSerializer, description="The newest version says the same"),
        },
        tags=TAGS,
        summary="Save a version",
    )
    @once()
    def create(self, request: Request, slug: str) -> Response:
        """Save a config as the next version; what the newest says already is not saved again."""
        definition = self.find(slug)
        saved = services.save_version(
            by=self.caller, definition=definition, **read_body(shapes.DefinitionVersionCreate, request)
        )
        return self._answer_version(definition, saved)

    @extend_schema(responses={200: shapes.DefinitionVersionSerializer}, tags=TAGS, summary="Show a version")
    def retrieve(self, request: Request, slug: str, number: int) -> Response:
        """Show one version."""
        return Response(shapes.DefinitionVersionSerializer(self._one(self.find(slug), number)).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", int, required=True, description="The older version's number"),
            OpenApiParameter("to", int, description="The newer version's number; the newest if left out"),
        ],
        responses={200: shapes.VersionDifferenceSerializer},
        tags=TAGS,
        summary="Compare two versions",
    )
    def diff(self, request: Request, slug: str) -> Response:
        """Say what differs between two versions: as fields, as places, and as text."""
        definition = self.find(slug)
        if "from" not in request.query_params:
            raise Rejected("is required", attr="from", code="required")
        from_number = whole_number(request, "from", 1, 1, shapes.MAX_NUMBER)
        to_number = whole_number(request, "to", definition.latest_number, 1, shapes.MAX_NUMBER)
        before = services.get_version(definition, from_number, attr="from")
        after = services.get_version(definition, to_number, attr="to")
        found = diff.difference(before.content, after.content, (str(before), str(after)))
        return Response(shapes.VersionDifferenceSerializer(found).data)

    @extend_schema(
        request=shapes.DefinitionRollback,
        responses={
            201: OpenApiResponse(
                shapes.DefinitionVersionSerializer, description="The new version with the old content"
            ),
            200: OpenApiResponse(
                shapes.DefinitionVersionSerializer, description="The newest version says that already"
            ),
        },
        tags=TAGS,
        summary="Roll back",
    )
    @once()
    def rollback(self, request: Request, slug: str) -> Response:
        """Make the content of an older version the newest one."""
        definition = self.find(slug)
        saved = services.rollback(
            by=self.caller, definition=definition, **read_body(shapes.DefinitionRollback, request)
        )
        return self._answer_version(definition, saved)

    def _one(self, definition: Definition, number: int) -> DefinitionVersion:
        # A number beyond what the column holds is no version either.
        version = self._versions(definition).filter(number=min(number, shapes.MAX_NUMBER)).first()
        if version is None:
            raise NotFound
        return version


class AliasViewSet(OfDefinition):
    """Names that stand for a version."""

    reads: ClassVar[dict[str, frozenset[str]]] = {"moves": _PAGES}

    @extend_schema(
        request=shapes.DefinitionAliasTarget,
        responses={200: shapes.DefinitionSerializer},
        tags=TAGS,
        summary="Move an alias",
    )
    def update(self, request: Request, slug: str, name: str) -> Response:
        """Point an alias at a version; it is made if need be. The definition is answered."""
        definition = self.find(slug)
        number = read_body(shapes.DefinitionAliasTarget, request)["version"]
        services.move_alias(by=self.caller, definition=definition, name=name, number=number)
        return self.answer(definition)

    @extend_schema(responses={204: OpenApiResponse(description="Removed")}, tags=TAGS, summary="Remove an alias")
    def destroy(self, request: Request, slug: str, name: str) -> Response:
        """Remove an alias; its history stays."""
        services.delete_alias(by=self.caller, definition=self.find(slug), name=name)
        return Response(status=204)

    @extend_schema(
        responses={200: shapes.AliasMoveSerializer(many=True)}, tags=TAGS, summary="List the moves of an alias"
    )
    def moves(self, request: Request, slug: str, name: str) -> Response:
        """List where an alias stood, newest first, also after its end."""
        moves = AliasMove.objects.filter(definition=self.find(slug), name=name).select_related("by")
        return self.get_paginated_response(shapes.AliasMoveSerializer(self.paginate_queryset(moves), many=True).data)
