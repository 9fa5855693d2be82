"""Shapes of the accounts API."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.models import User
from mcp_site.core.serializers import Strict


class PersonSerializer(serializers.ModelSerializer[User]):
    """A person as others see them."""

    id = serializers.UUIDField(source="uid", read_only=True)

    class Meta:
        model = User
        fields: ClassVar[tuple[str, ...]] = ("id", "full_name")


class UserSerializer(serializers.ModelSerializer[User]):
    """A user as they see themselves."""

    id = serializers.UUIDField(source="uid", read_only=True)
    role_name = serializers.CharField(source="role", read_only=True)

    class Meta:
        model = User
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "email",
            "full_name",
            "role_name",
            "is_active",
            "created_at",
            "last_login",
        )


class LoginBody(Strict):
    """What a login sends."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, style={"input_type": "password"})


class RefreshBody(Strict):
    """A refresh token."""

    refresh_token = serializers.CharField(max_length=4096)


class TokensSerializer(serializers.Serializer[Any]):
    """A pair of tokens."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")
    user = UserSerializer(required=False)


class MeBody(Strict):
    """What people may change of themselves."""

    full_name = serializers.CharField(max_length=150, required=False)
