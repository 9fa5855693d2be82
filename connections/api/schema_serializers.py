"""Shapes of schemas: snapshots, tables, what changed between two, and whom that touches."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from connections.models import SchemaSnapshot


class SnapshotSerializer(serializers.ModelSerializer[SchemaSnapshot]):
    """A snapshot without its tables."""

    id = serializers.UUIDField(source="uid", read_only=True)
    created_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = SchemaSnapshot
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "number",
            "fingerprint",
            "tables_count",
            "created_at",
            "created_by",
        )


class TableColumnSerializer(serializers.Serializer[Any]):
    """A column of a table."""

    name = serializers.CharField()
    type = serializers.CharField(allow_blank=True)
    nullable = serializers.BooleanField()
    default = serializers.CharField(allow_null=True)
    comment = serializers.CharField(allow_null=True)
    tags = serializers.ListField(
        child=serializers.CharField(),
        help_text="what the name looks like: secret, email, phone, card, person, address, identity, network",
    )


class ForeignKeySerializer(serializers.Serializer[Any]):
    """A foreign key."""

    name = serializers.CharField(allow_null=True)
    columns = serializers.ListField(child=serializers.CharField())
    schema = serializers.CharField(allow_null=True)
    table = serializers.CharField()
    target_columns = serializers.ListField(child=serializers.CharField())


class IndexSerializer(serializers.Serializer[Any]):
    """An index."""

    name = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    unique = serializers.BooleanField()


class TableSerializer(serializers.Serializer[Any]):
    """A table or view as a scan found it."""

    schema = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    comment = serializers.CharField(allow_null=True)
    columns = TableColumnSerializer(many=True)
    primary_key = serializers.ListField(child=serializers.CharField())
    foreign_keys = ForeignKeySerializer(many=True)
    indexes = IndexSerializer(many=True)
    rows = serializers.IntegerField(allow_null=True, help_text="the database's own estimate")


class SchemaSerializer(SnapshotSerializer):
    """The newest snapshot with its tables."""

    tables = TableSerializer(many=True, read_only=True)

    class Meta(SnapshotSerializer.Meta):
        fields: ClassVar[tuple[str, ...]] = (*SnapshotSerializer.Meta.fields, "tables")


class ChangeSerializer(serializers.Serializer[Any]):
    """One difference between two snapshots."""

    kind = serializers.CharField(help_text="table_added, table_removed, column_added, type_changed, index_removed …")
    schema = serializers.CharField()
    table = serializers.CharField()
    name = serializers.CharField(allow_blank=True, help_text="the column, key or index; empty for the table as a whole")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    breaking = serializers.BooleanField(help_text="what reads it may fail, or say something else")


class DriftSerializer(serializers.Serializer[Any]):
    """What changed from one snapshot to another, named by their numbers."""

    changes = ChangeSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which Python keeps for itself, and `to`."""
        ends = {"from": serializers.IntegerField(), "to": serializers.IntegerField()}
        return {**ends, **super().get_fields()}


class AffectedSerializer(serializers.Serializer[Any]):
    """One thing that reads what changed."""

    type = serializers.CharField(help_text="definition, workflow or schedule")
    slug = serializers.CharField()
    name = serializers.CharField()
    because = serializers.CharField()


class ImpactSerializer(DriftSerializer):
    """What changed, and who reads it."""

    affected = AffectedSerializer(many=True)
    hidden = serializers.IntegerField(help_text="how many more are affected that you can't see")
