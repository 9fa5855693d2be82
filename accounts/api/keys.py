"""API keys over HTTP: made, listed, rotated and revoked by the person who owns them, never by a key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services
from accounts.api.serializers import PersonSerializer
from accounts.models import ApiKey
from accounts.models.api_key import MARK
from accounts.permissions import actor
from mcp_site.core.http import StrictQuery
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import once
from mcp_site.core.pagination import NewestFirst
from mcp_site.core.serializers import Strict, read_body

MAX_OVERLAP = 30 * 24 * 3600


class KeyCreate(Strict):
    """A key to make."""

    name = serializers.CharField(max_length=50)
    scopes = serializers.ListField(child=serializers.CharField(max_length=40), max_length=40)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    allowed_networks = serializers.ListField(child=serializers.CharField(max_length=50), max_length=50, required=False)


class RotateBody(Strict):
    """How long the old key goes on."""

    overlap_seconds = serializers.IntegerField(min_value=0, max_value=MAX_OVERLAP, required=False, default=24 * 3600)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key in answers: what it may do, never what it is."""

    id = serializers.UUIDField(source="uid", read_only=True)
    prefix = serializers.SerializerMethodField()
    owner = PersonSerializer(read_only=True)
    expires_at = serializers.DateTimeField(source="expiry_date", read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)

    class Meta:
        model = ApiKey
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "name",
            "prefix",
            "owner",
            "scopes",
            "allowed_networks",
            "expires_at",
            "revoked",
            "created_at",
            "last_used_at",
            "last_used_address",
        )

    def get_prefix(self, key: ApiKey) -> str:
        """Return what the key begins with, by which people know it."""
        return f"{MARK}{key.prefix}"


class NewKeySerializer(KeySerializer):
    """A key just made, with its text: this once and never again."""

    key = serializers.SerializerMethodField()

    class Meta(KeySerializer.Meta):
        fields = (*KeySerializer.Meta.fields, "key")

    def get_key(self, key: ApiKey) -> str:
        """Return the text of the key."""
        return str(self.context["text"])


class KeyPages(NewestFirst):
    """Newest first: a key's own key sorts by its hash, so its time does it."""

    ordering = ("-created", "uid")


class KeyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, StrictQuery):
    """Keys of the caller; an Admin sees everybody's. No API key reaches this, whatever its scopes."""

    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    queryset = ApiKey.objects.none()
    serializer_class = KeySerializer
    pagination_class = KeyPages

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Return the keys that the caller may manage."""
        keys = ApiKey.objects.select_related("owner")
        user = self.request.user
        return keys if access.can(user, "user.manage") else keys.filter(owner=user.pk)

    def _show(self, key: ApiKey, text: str) -> Response:
        return Response(NewKeySerializer(key, context={"text": text}).data, status=201)

    @extend_schema(request=KeyCreate, responses={201: NewKeySerializer})
    @once(secret=True)
    def create(self, request: Request) -> Response:
        """Make a key; its text is in this answer and nowhere else."""
        return self._show(*services.issue_key(by=actor(request), **read_body(KeyCreate, request)))

    @extend_schema(request=RotateBody, responses={201: NewKeySerializer})
    @action(detail=True, methods=["post"])
    @once(secret=True)
    def rotate(self, request: Request, uid: str) -> Response:
        """Make its successor; the old one goes on for `overlap_seconds` (a day)."""
        overlap = timedelta(seconds=read_body(RotateBody, request)["overlap_seconds"])
        return self._show(*services.rotate_key(by=actor(request), key=self.get_object(), overlap=overlap))

    @extend_schema(responses={204: OpenApiResponse(description="revoked")})
    def destroy(self, request: Request, uid: str, **_: Any) -> Response:
        """Revoke: it ends at once and for ever."""
        services.revoke_key(by=actor(request), key=self.get_object())
        return Response(status=204)
