"""Shapes of the definitions API."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from definitions.gates import MAX_DESCRIPTION, MAX_NAME, MAX_TAG, MAX_TAGS
from definitions.models import AliasMove, Definition, DefinitionVersion
from definitions.services import MAX_CONTENT_BYTES
from mcp_site.core.models import Visibility
from mcp_site.core.serializers import JsonObject, SlugField, Strict

MAX_NUMBER = 10**9


class DefinitionKindSerializer(serializers.Serializer[Any]):
    """A kind of definition: its config as a JSON Schema, and hints for a form."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the client's word; not the field's own label
    description = serializers.CharField()
    config_schema = serializers.DictField()
    ui = serializers.DictField()


class DefinitionSerializer(serializers.ModelSerializer[Definition]):
    """A definition; what it does is in its versions. Needs `for_api()`."""

    id = serializers.UUIDField(source="uid", read_only=True)
    owner = PersonSerializer(read_only=True, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)
    latest_version = serializers.SerializerMethodField()
    aliases = serializers.SerializerMethodField()
    archived = serializers.BooleanField(source="is_archived", read_only=True)

    class Meta:
        model = Definition
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "slug",
            "name",
            "description",
            "kind",
            "tags",
            "visibility",
            "owner",
            "latest_version",
            "aliases",
            "archived",
            "created_at",
            "updated_at",
        )

    def get_latest_version(self, definition: Definition) -> int | None:
        """Return the newest version's number, or null before the first."""
        return definition.latest_number or None

    def get_aliases(self, definition: Definition) -> dict[str, int]:
        """Return {alias: version number}."""
        return {alias.name: alias.version.number for alias in definition.aliases.all()}


class DefinitionVersionSerializer(serializers.ModelSerializer[DefinitionVersion]):
    """A version; it never changes."""

    id = serializers.UUIDField(source="uid", read_only=True)
    created_by = PersonSerializer(read_only=True, allow_null=True)
    config = serializers.DictField(read_only=True)
    input_schema = serializers.DictField(read_only=True, allow_null=True)
    output_schema = serializers.DictField(read_only=True, allow_null=True)

    class Meta:
        model = DefinitionVersion
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "number",
            "config",
            "input_schema",
            "output_schema",
            "digest",
            "note",
            "created_by",
            "created_at",
        )


class AliasMoveSerializer(serializers.ModelSerializer[AliasMove]):
    """One move of an alias; `from_version` is null where it was made, `to_version` where it was removed."""

    from_version = serializers.IntegerField(source="from_number", read_only=True, allow_null=True)
    to_version = serializers.IntegerField(source="to_number", read_only=True, allow_null=True)
    moved_by = PersonSerializer(source="by", read_only=True, allow_null=True)
    moved_at = serializers.DateTimeField(source="at", read_only=True)

    class Meta:
        model = AliasMove
        fields: ClassVar[tuple[str, ...]] = ("name", "from_version", "to_version", "moved_by", "moved_at")


class VersionChangeSerializer(serializers.Serializer[Any]):
    """One place where two versions differ."""

    path = serializers.CharField()
    change = serializers.ChoiceField(["added", "removed", "changed"])


class VersionDifferenceSerializer(serializers.Serializer[Any]):
    """What differs between two versions, as fields, as places, and as a unified text diff."""

    changed = serializers.ListField(child=serializers.CharField(), help_text="fields, such as `config.code`")
    changes = VersionChangeSerializer(many=True)
    text = serializers.CharField(allow_blank=True)


class UseSerializer(serializers.Serializer[Any]):
    """One thing that uses a definition."""

    type = serializers.CharField()
    slug = serializers.CharField()
    name = serializers.CharField()
    url = serializers.CharField()


class UsageSerializer(serializers.Serializer[Any]):
    """What uses a definition: what the caller may see, and how many more."""

    uses = UseSerializer(many=True, source="visible")
    hidden = serializers.IntegerField()


class TagsField(serializers.ListField):
    """A few short texts."""

    child = serializers.CharField(max_length=MAX_TAG)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_TAGS, **kwargs)


class DefinitionVersionCreate(Strict):
    """A new version. Schemas that are left out are read off the config where the kind can."""

    config = JsonObject(max_bytes=MAX_CONTENT_BYTES)
    input_schema = JsonObject(required=False, allow_null=True)
    output_schema = JsonObject(required=False, allow_null=True)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class DefinitionCreate(Strict):
    """A new definition, with its first version if `config` is given."""

    slug = SlugField()
    name = serializers.CharField(max_length=MAX_NAME)
    description = serializers.CharField(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    kind = serializers.CharField(max_length=32)
    tags = TagsField(required=False)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)
    config = JsonObject(max_bytes=MAX_CONTENT_BYTES, required=False)
    input_schema = JsonObject(required=False, allow_null=True)
    output_schema = JsonObject(required=False, allow_null=True)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what belongs to a version where there is none."""
        if "config" not in attrs:
            lost = [name for name in ("input_schema", "output_schema", "note") if attrs.get(name)]
            if lost:
                error = serializers.ErrorDetail("is required beside what else is given", code="required")
                raise serializers.ValidationError({"config": [error]})
        return attrs


class DefinitionUpdate(Strict):
    """What changes."""

    name = serializers.CharField(max_length=MAX_NAME, required=False)
    description = serializers.CharField(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    tags = TagsField(required=False)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)


class DefinitionRollback(Strict):
    """The version to go back to."""

    to = serializers.IntegerField(min_value=1, max_value=MAX_NUMBER)


class DefinitionAliasTarget(Strict):
    """The version that an alias shall stand for."""

    version = serializers.IntegerField(min_value=1, max_value=MAX_NUMBER)
