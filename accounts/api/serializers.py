"""Shapes of the accounts API."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group
from rest_framework import serializers

from accounts.models import Grant, Permission, Role, Session, User
from accounts.models.user import is_one_line
from mcp_site.core.serializers import Strict


class PlainText(serializers.CharField):
    """One line of text without control characters: it goes into mails, logs and headers."""

    default_error_messages = {"control": "may not hold line breaks or control characters"}

    def to_internal_value(self, data: Any) -> str:
        """Return the text, trimmed."""
        value = str(super().to_internal_value(data))
        if not is_one_line(value):
            self.fail("control")
        return value


class PersonSerializer(serializers.ModelSerializer[User]):
    """A person as others see them."""

    id = serializers.UUIDField(source="uid", read_only=True)

    class Meta:
        model = User
        fields: ClassVar[tuple[str, ...]] = ("id", "full_name")


class UserSerializer(serializers.ModelSerializer[User]):
    """A user as they see themselves."""

    id = serializers.UUIDField(source="uid", read_only=True)
    role_name = serializers.ChoiceField(source="role", choices=Role.choices, read_only=True)
    requested_role = serializers.CharField(read_only=True, help_text="asked for at registration; an Admin decides")
    is_pending = serializers.BooleanField(read_only=True, help_text="invited, and has not chosen a password yet")

    class Meta:
        model = User
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "email",
            "full_name",
            "role_name",
            "requested_role",
            "is_active",
            "is_pending",
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

    full_name = PlainText(max_length=150, required=False, allow_blank=True)


def _password(**kwargs: Any) -> serializers.CharField:
    return serializers.CharField(
        max_length=1024, trim_whitespace=False, style={"input_type": "password"}, write_only=True, **kwargs
    )


class RegisterBody(Strict):
    """What a registration sends."""

    email = serializers.EmailField(max_length=254)
    password = _password()
    full_name = PlainText(max_length=150, required=False, allow_blank=True)
    role_name = serializers.ChoiceField(choices=Role.choices, required=False, help_text="a wish; Admin is refused")
    invite_token = serializers.CharField(max_length=1000, required=False)


class PasswordBody(Strict):
    """The old password and the new one."""

    current_password = _password()
    new_password = _password()


class ForgotBody(Strict):
    """Whose password was forgotten."""

    email = serializers.EmailField(max_length=254)


class ResetBody(Strict):
    """The token of the letter and the new password."""

    token = serializers.CharField(max_length=1000)
    password = _password()


class TicketSerializer(serializers.Serializer[Any]):
    """A ticket for one stream."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A sign-in; `current` is the one that asks."""

    id = serializers.UUIDField(source="uid", read_only=True)
    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "kind",
            "current",
            "address",
            "user_agent",
            "created_at",
            "last_seen_at",
            "expires_at",
        )

    def get_current(self, session: Session) -> bool:
        """Tell whether this request came by it."""
        current = self.context.get("current")
        return bool(current is not None and current.pk == session.pk)


class InviteBody(Strict):
    """Whom to invite, and as what."""

    email = serializers.EmailField(max_length=254)
    full_name = PlainText(max_length=150, required=False, allow_blank=True, default="")
    role_name = serializers.ChoiceField(choices=Role.choices)


class InvitedSerializer(UserSerializer):
    """An invited user, with the link of the letter: this once and never again."""

    invite_url = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "invite_url")

    def get_invite_url(self, user: User) -> str:
        """Return the address at which the invitation is accepted."""
        return str(self.context["invite_url"])


class UserBody(Strict):
    """What may change of a user."""

    email = serializers.EmailField(max_length=254)
    full_name = PlainText(max_length=150, allow_blank=True)
    role_name = serializers.ChoiceField(choices=Role.choices)
    is_active = serializers.BooleanField()
    current_password = _password(required=False, help_text="needed to change one's own e-mail")


class DecisionBody(Strict):
    """Whether a wish is granted."""

    grant = serializers.BooleanField()


class TeamSerializer(serializers.ModelSerializer[Group]):
    """A team and who is in it."""

    members = PersonSerializer(source="user_set", many=True, read_only=True)

    class Meta:
        model = Group
        fields: ClassVar[tuple[str, ...]] = ("id", "name", "members")


class TeamBody(Strict):
    """A team's name and its members' ids."""

    name = PlainText(max_length=150)
    members = serializers.ListField(child=serializers.UUIDField(), max_length=1000, required=False)


class TeamName(serializers.ModelSerializer[Group]):
    """A team by its name."""

    class Meta:
        model = Group
        fields: ClassVar[tuple[str, ...]] = ("id", "name")


class ShareSerializer(serializers.ModelSerializer[Grant]):
    """A share: with a user or a team, the other is null."""

    id = serializers.UUIDField(source="uid", read_only=True)
    user = PersonSerializer(read_only=True, allow_null=True)
    team = TeamName(read_only=True, allow_null=True)
    created_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Grant
        fields: ClassVar[tuple[str, ...]] = ("id", "user", "team", "permission", "created_by", "created_at")


class SharePatch(Strict):
    """How far a share reaches."""

    permission = serializers.ChoiceField(choices=Permission.choices)


class ShareBody(SharePatch):
    """Whom to share with (a user's id or a team's, not both), and how far."""

    user = serializers.UUIDField(required=False)
    team = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


class ShareListSerializer(serializers.Serializer[Any]):
    """All shares of a thing; there are never many."""

    results = ShareSerializer(many=True)
