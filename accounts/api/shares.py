"""Shares of things: what definitions, workflows and connections offer under `/{slug}/shares`."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services
from accounts.api import serializers as shapes
from accounts.models import Grant, User
from accounts.permissions import actor
from mcp_site.core.errors import Rejected
from mcp_site.core.http import StrictQuery
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body


class Shares(StrictQuery):
    """Shares of the things of one `model`; apps mount it by `routes`."""

    model: type[Any] = Grant
    area: str = ""
    pagination_class = None
    queryset = Grant.objects.none()
    serializer_class = shapes.ShareSerializer

    def _thing(self, slug: str) -> tuple[Any, QuerySet[Grant]]:
        """Return the thing and its shares, for those who may edit it. Raises Http404, Forbidden."""
        thing = get_object_or_404(self.model.objects.visible_to(self.request.user), slug=slug)
        kind = thing._meta.model_name  # noqa: SLF001  public by convention
        access.require(self.request.user, f"{kind}.edit", thing)
        shares = Grant.objects.filter(object_type=kind, object_id=thing.pk)
        return thing, shares.select_related("user", "team", "created_by").order_by("pk")

    @extend_schema(responses={200: shapes.ShareListSerializer}, filters=False)
    def list(self, request: Request, slug: str) -> Response:
        """List who it is shared with. For those who may edit it."""
        return Response({"results": shapes.ShareSerializer(self._thing(slug)[1], many=True).data})

    @extend_schema(request=shapes.ShareBody, responses={201: shapes.ShareSerializer})
    @once()
    def create(self, request: Request, slug: str) -> Response:
        """Share it with a person or a team."""
        thing, _ = self._thing(slug)
        given = read_body(shapes.ShareBody, request)
        user, team = receiver(given.get("user"), given.get("team"))
        grant = services.share(by=actor(request), thing=thing, user=user, team=team, permission=given["permission"])
        return Response(shapes.ShareSerializer(grant).data, status=201)

    @extend_schema(request=shapes.SharePatch, responses={200: shapes.ShareSerializer})
    def partial_update(self, request: Request, slug: str, share: UUID) -> Response:
        """Change how far a share reaches."""
        thing, found = self._thing(slug)
        grant = get_object_or_404(found, uid=share)
        given = read_body(shapes.SharePatch, request)
        grant = services.change_share(by=actor(request), thing=thing, grant=grant, permission=given["permission"])
        return Response(shapes.ShareSerializer(grant).data)

    @extend_schema(responses={204: OpenApiResponse(description="taken back")})
    def destroy(self, request: Request, slug: str, share: UUID) -> Response:
        """Take a share back."""
        thing, found = self._thing(slug)
        services.unshare(by=actor(request), thing=thing, grant=get_object_or_404(found, uid=share))
        return Response(status=204)


def receiver(user: UUID | None, team: int | None) -> tuple[User | None, Group | None]:
    """Return the person or team that an id names. Raises Rejected for an unknown one."""
    found = User.objects.present().filter(uid=user).first() if user else None
    if user and found is None:
        raise Rejected("nobody active has this id", attr="user", code="unknown_person")
    group = Group.objects.filter(pk=team).first() if team else None
    if team and group is None:
        raise Rejected("there is no such team", attr="team", code="unknown_team")
    return found, group


def routes(model: type[Any], area: str) -> list[URLPattern]:
    """Return the routes of the shares of `model`, whose things stand at `/{area}/{slug}`."""
    view = partial(Shares.as_view, model=model, area=area)
    name = model._meta.model_name  # noqa: SLF001  public by convention
    return [
        path(f"{area}/<slug:slug>/shares", view({"get": "list", "post": "create"}, detail=True), name=f"{name}-shares"),
        path(
            f"{area}/<slug:slug>/shares/<uuid:share>",
            view({"patch": "partial_update", "delete": "destroy"}, detail=True),
            name=f"{name}-share",
        ),
    ]
