"""Shares of a thing: what the viewsets of definitions, workflows and connections offer under `/shares`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services
from accounts.api import serializers as shapes
from accounts.models import Grant, User
from accounts.permissions import actor
from mcp_site.core.errors import Rejected

_SHARE = OpenApiParameter("share", OpenApiTypes.UUID, OpenApiParameter.PATH, description="id of the share")
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class Shares:
    """Adds `/{slug}/shares` to a viewset whose `get_object` returns the thing."""

    get_object: Any

    def _shared(self, thing: Any) -> Any:
        """Return the shares of `thing`, for those who may edit it. Raises Forbidden."""
        kind = thing._meta.model_name  # noqa: SLF001  public by convention
        access.require(self.request.user, f"{kind}.edit", thing)  # type: ignore[attr-defined]  # a viewset's
        shares = Grant.objects.filter(object_type=kind, object_id=thing.pk)
        return shares.select_related("user", "team", "created_by").order_by("pk")

    @extend_schema(methods=["get"], responses={200: shapes.ShareSerializer(many=True)}, filters=False)
    @extend_schema(methods=["post"], request=shapes.ShareBody, responses={201: shapes.ShareSerializer})
    @action(detail=True, methods=["get", "post"], filterset_class=None, pagination_class=None)
    def shares(self, request: Request, slug: str) -> Response:
        """List who it is shared with, or share it with a person or a team. For those who may edit it."""
        thing = self.get_object()
        found = self._shared(thing)
        if request.method == "GET":
            return Response({"results": shapes.ShareSerializer(found, many=True).data})
        given = shapes.read(shapes.ShareBody, request)
        user, team = self._receiver(given.get("user"), given.get("team"))
        grant = services.share(by=actor(request), thing=thing, user=user, team=team, permission=given["permission"])
        return Response(shapes.ShareSerializer(grant).data, status=201)

    def _receiver(self, user: UUID | None, team: int | None) -> tuple[User | None, Group | None]:
        found = User.objects.present().filter(uid=user).first() if user else None
        if user and found is None:
            raise Rejected("nobody active has this id", attr="user", code="unknown_person")
        group = Group.objects.filter(pk=team).first() if team else None
        if team and group is None:
            raise Rejected("there is no such team", attr="team", code="unknown_team")
        return found, group

    @extend_schema(
        methods=["patch"],
        request=shapes.SharePatch,
        responses={200: shapes.ShareSerializer},
        parameters=[_SHARE],
    )
    @extend_schema(methods=["delete"], responses={204: OpenApiResponse(description="taken back")}, parameters=[_SHARE])
    @action(
        detail=True,
        methods=["patch", "delete"],
        filterset_class=None,
        url_path=f"shares/(?P<share>{_UUID})",
        url_name="share",
    )
    def share(self, request: Request, slug: str, share: str) -> Response:
        """Change how far a share reaches, or take it back."""
        thing = self.get_object()
        grant = get_object_or_404(self._shared(thing), uid=share)
        if request.method == "DELETE":
            services.unshare(by=actor(request), thing=thing, grant=grant)
            return Response(status=204)
        given = shapes.read(shapes.SharePatch, request)
        grant = services.change_share(by=actor(request), thing=thing, grant=grant, permission=given["permission"])
        return Response(shapes.ShareSerializer(grant).data)
