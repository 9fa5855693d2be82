"""Shapes of the connections API."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from connections.models import Connection
from connections.services import MAX_QUERY_ROWS, MAX_SCAN_HOURS
from mcp_site.core.models import Visibility
from mcp_site.core.serializers import JsonObject, SlugField, Strict


class ConnectionTypeSerializer(serializers.Serializer[Any]):
    """A type of connection: its fields as a JSON Schema, what it can do, what to install if it can't yet."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the client's word; not the field's own label
    group = serializers.CharField()
    capabilities = serializers.ListField(child=serializers.CharField())
    config_schema = serializers.DictField()
    secret_fields = serializers.ListField(child=serializers.CharField())
    installed = serializers.BooleanField()
    install = serializers.CharField(allow_null=True, help_text="what to `pip install`")


class ConnectionTypesSerializer(serializers.Serializer[Any]):
    """All types on one page, in the shape of every list."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = ConnectionTypeSerializer(many=True)


class PhaseSerializer(serializers.Serializer[Any]):
    """One phase of a test."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    ms = serializers.FloatField()
    detail = serializers.CharField(allow_blank=True)


class TestResultSerializer(serializers.Serializer[Any]):
    """What a test found."""

    ok = serializers.BooleanField()
    phases = PhaseSerializer(many=True)
    server_version = serializers.CharField(allow_blank=True)
    warnings = serializers.ListField(child=serializers.CharField())


class StoredTestSerializer(TestResultSerializer):
    """The newest test."""

    at = serializers.DateTimeField()


class LastScanSerializer(serializers.Serializer[Any]):
    """The newest scan, and the snapshot that holds what it found."""

    at = serializers.DateTimeField()
    snapshot = serializers.IntegerField()
    tables_count = serializers.IntegerField()


class ConnectionSerializer(serializers.ModelSerializer[Connection]):
    """A connection; of its secrets only whether they are set."""

    id = serializers.UUIDField(source="uid", read_only=True)
    owner = PersonSerializer(read_only=True, allow_null=True)
    config = serializers.DictField(source="shown_config", read_only=True)
    archived = serializers.BooleanField(source="is_archived", read_only=True)
    last_test = serializers.SerializerMethodField()
    last_scan = serializers.SerializerMethodField()

    class Meta:
        model = Connection
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "slug",
            "name",
            "description",
            "type",
            "config",
            "revision",
            "visibility",
            "owner",
            "last_test",
            "last_scan",
            "scan_every",
            "fingerprint",
            "archived",
            "created_at",
            "updated_at",
        )

    @extend_schema_field(StoredTestSerializer(allow_null=True))
    def get_last_test(self, connection: Connection) -> dict[str, Any] | None:
        """Return the newest test of this revision, or null."""
        if connection.last_test is None or connection.last_test_at is None:
            return None
        return {**connection.last_test, "at": connection.last_test_at}

    @extend_schema_field(LastScanSerializer(allow_null=True))
    def get_last_scan(self, connection: Any) -> dict[str, Any] | None:
        """Return the newest scan, or null. Needs `for_api()`."""
        if connection.last_scan_at is None or connection.last_snapshot is None:
            return None
        return {
            "at": connection.last_scan_at,
            "snapshot": connection.last_snapshot,
            "tables_count": connection.last_tables_count,
        }


class ConnectionCreate(Strict):
    """A new connection. Secrets are given inside `config`."""

    slug = SlugField()
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    type = serializers.CharField(max_length=32)
    config = JsonObject(max_bytes=256 * 1024)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)


class ConnectionUpdate(Strict):
    """What changes. `config` is merged: what is left out stays, null takes away."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    config = JsonObject(max_bytes=256 * 1024, required=False)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)
    scan_every = serializers.IntegerField(
        min_value=0, max_value=MAX_SCAN_HOURS, required=False, help_text="hours between scans by the clock; 0: none"
    )


class QueryBody(Strict):
    """One read-only statement with `:name` parameters."""

    sql = serializers.CharField(max_length=100_000, trim_whitespace=False)
    params = JsonObject(max_bytes=1024 * 1024, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_QUERY_ROWS, required=False)


class ResultColumnSerializer(serializers.Serializer[Any]):
    """A column of a result."""

    name = serializers.CharField()
    type = serializers.CharField()


class ResultSerializer(serializers.Serializer[Any]):
    """Rows of a query."""

    columns = ResultColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.ListField())
    row_count = serializers.IntegerField()
    truncated = serializers.BooleanField()
    warnings = serializers.ListField(child=serializers.CharField())
