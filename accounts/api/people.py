"""Users for Admins (and oneself), and people as others see them."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, letters, services
from accounts.api import serializers as shapes
from accounts.mixins import base_url
from accounts.models import Role, User
from accounts.models.user import plain_email
from accounts.permissions import actor
from mcp_site.core.errors import Rejected
from mcp_site.core.http import StrictQuery
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body


class UserFilter(django_filters.FilterSet):
    """`?role=&active=&requested=`."""

    role = django_filters.ChoiceFilter(choices=Role.choices, method="of_role")
    active = django_filters.BooleanFilter(field_name="is_active")
    requested = django_filters.BooleanFilter(method="has_request", label="whether a role was asked for")

    class Meta:
        model = User
        fields: ClassVar[tuple[str, ...]] = ()

    def of_role(self, queryset: Any, name: str, value: str) -> Any:
        """Narrow to those whose role it is."""
        return queryset.of_role(value)

    def has_request(self, queryset: Any, name: str, value: bool) -> Any:
        """Narrow to those who asked for a role, or did not."""
        return queryset.exclude(requested_role="") if value else queryset.filter(requested_role="")


def searched(request: Request) -> str:
    """Return `?search=`. Raises Rejected for a very long one."""
    text = request.query_params.get("search", "")
    if len(text) > 200:
        raise Rejected("at most 200 characters", attr="search")
    return text


class UserViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, StrictQuery):
    """Users: all for Admins, oneself for everybody."""

    area = "users"
    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    queryset = User.objects.none()
    serializer_class = shapes.UserSerializer
    filterset_class = UserFilter

    def get_queryset(self) -> QuerySet[User]:
        """Return whom the caller may see."""
        people = User.objects.prefetch_related("groups")
        if access.can(self.request.user, "user.manage"):
            text = searched(self.request) if self.action == "list" else ""
            return people.filter(Q(full_name__icontains=text) | Q(email__icontains=text)) if text else people
        return people.filter(pk=self.request.user.pk or 0)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List users, newest first. For Admins; `?role=&active=&requested=&search=`."""
        access.require(request.user, "user.manage")
        return super().list(request, *args, **kwargs)

    @extend_schema(request=shapes.InviteBody, responses={201: shapes.InvitedSerializer})
    @once(secret=True)
    def create(self, request: Request) -> Response:
        """Invite somebody: a letter is sent, and its link is in this answer for where no mail server is set up."""
        given = read_body(shapes.InviteBody, request)
        where = base_url(request._request)  # noqa: SLF001  DRF wraps it
        user, letter = services.invite(by=actor(request), base_url=where, **given)
        shown = shapes.InvitedSerializer(user, context={"invite_url": letters.link(letter)}).data
        return Response(shown, status=201, headers={"Location": f"/api/v1/users/{user.uid}"})

    def _change(self, request: Request, shape: type[shapes.UserBody], *, partial: bool) -> Response:
        given = read_body(shape, request, partial=partial)
        password = given.pop("current_password", "")
        user = services.change_person(by=actor(request), user=self.get_object(), password=password, **given)
        return Response(shapes.UserSerializer(user).data)

    @extend_schema(request=shapes.UserBody, responses={200: shapes.UserSerializer})
    def update(self, request: Request, uid: str) -> Response:
        """Set all of what may change. Role and activity are for Admins; the last Admin stays one."""
        return self._change(request, shapes.UserBody, partial=False)

    @extend_schema(request=shapes.UserBody, responses={200: shapes.UserSerializer})
    def partial_update(self, request: Request, uid: str) -> Response:
        """Set some of what may change."""
        return self._change(request, shapes.UserBody, partial=True)

    @extend_schema(responses={204: OpenApiResponse(description="removed")})
    def destroy(self, request: Request, uid: str) -> Response:
        """Switch the account off for ever and take its personal data out. What was done stays in the audit trail."""
        services.remove_person(by=actor(request), user=self.get_object())
        return Response(status=204)

    @extend_schema(request=shapes.DecisionBody, responses={200: shapes.UserSerializer})
    @action(detail=True, methods=["post"], url_path="role-request")
    def role_request(self, request: Request, uid: str) -> Response:
        """Grant or refuse the role that the user asked for at registration."""
        given = read_body(shapes.DecisionBody, request)
        user = services.decide_role(by=actor(request), user=self.get_object(), is_granted=given["grant"])
        return Response(shapes.UserSerializer(user).data)


class PeopleViewSet(mixins.ListModelMixin, StrictQuery):
    """Active people, to share things with."""

    area = "users"
    queryset = User.objects.none()
    serializer_class = shapes.PersonSerializer

    def get_queryset(self) -> QuerySet[User]:
        """Return active people, for Editors: by a part of the name, or by the whole e-mail."""
        access.require(self.request.user, "people.view")
        text = searched(self.request)
        named = Q(full_name__icontains=text) | Q(email=plain_email(text))
        return User.objects.present().filter(named) if text else User.objects.present()
