"""Shapes of channels, what was sent to them, and notifications."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from mcp_site.core.serializers import JsonObject, SlugField, Strict
from monitoring.models import Channel, Delivery, Notification

_MAX_JSON = 64 * 1024


class ChannelCreate(Strict):
    """A channel to make."""

    slug = SlugField()
    name = serializers.CharField(max_length=200)
    type = serializers.CharField(max_length=32)
    config = JsonObject(required=False, max_bytes=_MAX_JSON)
    enabled = serializers.BooleanField(required=False)


class ChannelUpdate(Strict):
    """What changes; a field of the config that is left out stays."""

    name = serializers.CharField(max_length=200, required=False)
    config = JsonObject(required=False, max_bytes=_MAX_JSON)
    enabled = serializers.BooleanField(required=False)


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """A channel in answers: of its secrets only whether they are set."""

    id = serializers.UUIDField(source="uid", read_only=True)
    config = serializers.DictField(source="shown_config", read_only=True)
    owner = PersonSerializer(read_only=True)

    class Meta:
        model = Channel
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "slug",
            "name",
            "type",
            "config",
            "enabled",
            "owner",
            "created_at",
            "updated_at",
        )


class NewChannelSerializer(ChannelSerializer):
    """A channel just made, with the secrets that the panel made for it: this once and never again."""

    generated = serializers.SerializerMethodField()

    class Meta(ChannelSerializer.Meta):
        fields = (*ChannelSerializer.Meta.fields, "generated")

    def get_generated(self, channel: Channel) -> dict[str, str]:
        """Return the secrets by their field."""
        return dict(self.context["generated"])


class ChannelTypeSerializer(serializers.Serializer[Any]):
    """A type of channel, with the JSON Schema of its config."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    config_schema = serializers.DictField()


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message to a channel."""

    id = serializers.UUIDField(source="uid", read_only=True)
    alert = serializers.UUIDField(source="alert.uid", read_only=True, allow_null=True)
    message = serializers.DictField(read_only=True)

    class Meta:
        model = Delivery
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "alert",
            "happening",
            "state",
            "attempts",
            "next_at",
            "error",
            "message",
            "created_at",
            "sent_at",
        )


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    """One line of an inbox."""

    id = serializers.UUIDField(source="uid", read_only=True)
    alert = serializers.UUIDField(source="alert.uid", read_only=True, allow_null=True)

    class Meta:
        model = Notification
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "alert",
            "happening",
            "severity",
            "title",
            "text",
            "created_at",
            "read_at",
        )


class ReadBody(Strict):
    """Which notifications were read; all where `ids` is left out."""

    ids = serializers.ListField(child=serializers.UUIDField(), max_length=1000, required=False)


class ReadSerializer(serializers.Serializer[Any]):
    """How many were unread."""

    read = serializers.IntegerField()
