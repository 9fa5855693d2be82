"""Shapes of rules and alerts."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from mcp_site.core.serializers import JsonObject, Strict
from monitoring import spans
from monitoring.api.samples import as_text
from monitoring.models import Alert, AlertRule, Channel
from monitoring.sketch import AGGREGATES
from monitoring.states import Comparison, NoData, Severity

_MAX_JSON = 64 * 1024


@extend_schema_field({"type": "string", "example": "5m"})
class SpanField(serializers.Field[int, Any, str, Any]):
    """A span of time: `30s`, `5m`, `1h`, `7d`, or a whole number of seconds. Inside, seconds."""

    default_error_messages = {"invalid": "write a span of time as 30s, 5m, 1h or 7d"}

    def to_internal_value(self, data: Any) -> int:
        """Return the seconds."""
        if isinstance(data, int) and not isinstance(data, bool) and 0 <= data < 10**9:
            return data
        try:
            return spans.seconds_of(data if isinstance(data, str) else "")
        except ValueError:
            self.fail("invalid")

    def to_representation(self, value: int) -> str:
        """Return the span as text."""
        return spans.text_of(value)


class TagsField(JsonObject):
    """Tags that a series has to carry; values become text, as those of samples do."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """Return the tags."""
        return {name: as_text(value) for name, value in super().to_internal_value(data).items()}


class _Rule(Strict):
    """What rules and previews of rules are made of. `for` is a word of Python's, so it is declared by name."""

    metric = serializers.CharField(max_length=200)
    tags = TagsField(required=False, max_bytes=_MAX_JSON)
    aggregate = serializers.ChoiceField(choices=AGGREGATES)
    comparison = serializers.ChoiceField(choices=Comparison.choices)
    threshold = serializers.FloatField()
    warn_threshold = serializers.FloatField(required=False, allow_null=True)
    recover_threshold = serializers.FloatField(required=False, allow_null=True)
    window = SpanField()
    no_data = serializers.ChoiceField(choices=NoData.choices, required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the declared fields and `for`."""
        return {**super().get_fields(), "for": SpanField(required=False, source="hold")}


class PreviewBody(_Rule):
    """A rule to try over the last week, whether it is saved or not."""


class RuleCreate(_Rule):
    """A rule to make: name, metric, aggregate, comparison, threshold and window suffice."""

    name = serializers.CharField(max_length=200)
    renotify = SpanField(required=False, allow_null=True)
    channels = serializers.ListField(child=serializers.CharField(max_length=63), max_length=50, required=False)
    enabled = serializers.BooleanField(required=False)


class RuleSerializer(serializers.ModelSerializer[AlertRule]):
    """A rule in answers. `channels` are slugs."""

    id = serializers.UUIDField(source="uid", read_only=True)
    tags = serializers.DictField(child=serializers.CharField(), read_only=True)
    window = SpanField(read_only=True)
    renotify = SpanField(read_only=True, allow_null=True)
    channels = serializers.SlugRelatedField[Channel](slug_field="slug", many=True, read_only=True)
    owner = PersonSerializer(read_only=True)

    class Meta:
        model = AlertRule
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "name",
            "metric",
            "tags",
            "aggregate",
            "comparison",
            "threshold",
            "warn_threshold",
            "recover_threshold",
            "window",
            "no_data",
            "renotify",
            "channels",
            "enabled",
            "owner",
            "created_at",
            "updated_at",
        )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the declared fields and `for`."""
        return {**super().get_fields(), "for": SpanField(source="hold", read_only=True)}


class CrossingSerializer(serializers.Serializer[Any]):
    """An alert that a rule would have opened."""

    opened_at = serializers.DateTimeField()
    severity = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)


class PreviewedSerializer(serializers.Serializer[Any]):
    """What a rule would have made of one series."""

    tags = serializers.DictField(child=serializers.CharField())
    points = serializers.ListField(child=serializers.ListField())
    alerts = CrossingSerializer(many=True)


class PreviewSerializer(serializers.Serializer[Any]):
    """What a rule would have done over the last week; `left_out` counts series beyond the newest ten."""

    series = PreviewedSerializer(many=True)
    left_out = serializers.IntegerField()


class AlertCreate(Strict):
    """An alert to raise by hand. While one of the same title is open, that one is the answer."""

    title = serializers.CharField(max_length=300)
    severity = serializers.ChoiceField(choices=Severity.choices)
    details = JsonObject(required=False, max_bytes=_MAX_JSON)
    channels = serializers.ListField(child=serializers.CharField(max_length=63), max_length=50, required=False)


class RuleNameSerializer(serializers.ModelSerializer[AlertRule]):
    """A rule by name."""

    id = serializers.UUIDField(source="uid", read_only=True)

    class Meta:
        model = AlertRule
        fields: ClassVar[tuple[str, ...]] = ("id", "name", "metric", "aggregate")


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert. `samples` are the minutes that opened it."""

    id = serializers.UUIDField(source="uid", read_only=True)
    rule = RuleNameSerializer(read_only=True, allow_null=True)
    tags = serializers.DictField(child=serializers.CharField(), read_only=True)
    details = serializers.DictField(read_only=True)
    samples = serializers.ListField(child=serializers.ListField(), read_only=True)
    opened_by = PersonSerializer(read_only=True, allow_null=True)
    acknowledged_by = PersonSerializer(read_only=True, allow_null=True)
    resolved_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Alert
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "rule",
            "title",
            "state",
            "severity",
            "value",
            "threshold",
            "comparison",
            "tags",
            "details",
            "samples",
            "fingerprint",
            "opened_at",
            "opened_by",
            "acknowledged_at",
            "acknowledged_by",
            "resolved_at",
            "resolved_by",
        )
