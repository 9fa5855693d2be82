"""Teams over HTTP."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services
from accounts.api import serializers as shapes
from accounts.models import Role
from accounts.permissions import actor
from mcp_site.core.http import StrictQuery
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body


class TeamViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, StrictQuery):
    """Teams: Editors see them to share with, Admins make them."""

    area = "users"
    lookup_value_regex = "[0-9]{1,9}"
    queryset = Group.objects.none()
    serializer_class = shapes.TeamSerializer

    def get_queryset(self) -> QuerySet[Group]:
        """Return the groups that are no roles."""
        access.require(self.request.user, "people.view")
        return Group.objects.exclude(name__in=Role.values).prefetch_related("user_set")

    def _answer(self, team: Group, status: int = 200) -> Response:
        shown = self.get_queryset().get(pk=team.pk)
        return Response(shapes.TeamSerializer(shown).data, status=status)

    @extend_schema(request=shapes.TeamBody, responses={201: shapes.TeamSerializer})
    @once()
    def create(self, request: Request) -> Response:
        """Make a team."""
        given = read_body(shapes.TeamBody, request)
        return self._answer(services.create_team(by=actor(request), **given), 201)

    @extend_schema(request=shapes.TeamBody, responses={200: shapes.TeamSerializer})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a team, or set its members."""
        given = read_body(shapes.TeamBody, request, partial=True)
        team = self.get_object()
        if "name" in given:
            services.rename_team(by=actor(request), team=team, name=given["name"])
        if "members" in given:
            services.set_members(by=actor(request), team=team, members=given["members"])
        return self._answer(team)

    @extend_schema(responses={204: OpenApiResponse(description="removed")})
    def destroy(self, request: Request, pk: str, **_: Any) -> Response:
        """Remove a team; what was shared with it is so no longer."""
        services.remove_team(by=actor(request), team=self.get_object())
        return Response(status=204)
