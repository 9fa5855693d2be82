"""Shapes of workflows and versions in the API."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from mcp_site.core.models import Visibility
from mcp_site.core.serializers import SlugField, Strict
from workflows.models import Workflow, WorkflowVersion

ALIAS = r"^[a-z][a-z0-9-]{0,62}$"


class TagsField(serializers.ListField):
    """At most 20 short tags."""

    child = serializers.CharField(max_length=50)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20, **kwargs)


@extend_schema_field({"oneOf": [{"type": "object"}, {"type": "string", "description": "YAML"}]})
class GraphField(serializers.Field[Any, Any, Any, Any]):
    """A graph document: an object, or a text that holds YAML. What is in it the service says."""

    default_error_messages = {"invalid": "must be an object, or a text that holds YAML"}

    def to_internal_value(self, data: Any) -> Any:
        """Return the document as it came."""
        if not isinstance(data, dict | str) or data == "":
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        """Return the stored document."""
        return value


class WorkflowCreate(Strict):
    """A new workflow, with its first version if `graph` is given."""

    slug = SlugField()
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    tags = TagsField(required=False)
    visibility = serializers.ChoiceField(Visibility.choices, required=False)
    graph = GraphField(required=False)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class WorkflowChange(Strict):
    """What may be changed of a workflow."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    tags = TagsField(required=False)
    visibility = serializers.ChoiceField(Visibility.choices, required=False)


class WorkflowSerializer(serializers.ModelSerializer[Workflow]):
    """A workflow in answers."""

    id = serializers.UUIDField(source="uid", read_only=True)
    owner = PersonSerializer(read_only=True)
    latest_version = serializers.SerializerMethodField()
    aliases = serializers.SerializerMethodField()
    archived = serializers.SerializerMethodField()

    class Meta:
        model = Workflow
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "slug",
            "name",
            "description",
            "tags",
            "visibility",
            "owner",
            "latest_version",
            "aliases",
            "archived",
            "created_at",
            "updated_at",
        )

    def get_latest_version(self, workflow: Workflow) -> int | None:
        """Return the newest version's number, or null."""
        return workflow.latest_number or None

    def get_aliases(self, workflow: Workflow) -> dict[str, int]:
        """Return {alias: version number}."""
        return {alias.name: alias.version.number for alias in workflow.aliases.all()}

    def get_archived(self, workflow: Workflow) -> bool:
        """Tell whether it starts no runs any more."""
        return workflow.archived_at is not None


class VersionCreate(Strict):
    """A new version."""

    graph = GraphField()
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class GraphBody(Strict):
    """A graph to be looked at."""

    graph = GraphField()


class RollbackBody(Strict):
    """The version to go back to."""

    to = serializers.IntegerField(min_value=1, max_value=10**9)


class AliasBody(Strict):
    """The version that an alias shall name."""

    version = serializers.IntegerField(min_value=1, max_value=10**9)


class WorkflowVersionSerializer(serializers.ModelSerializer[WorkflowVersion]):
    """A version in answers."""

    id = serializers.UUIDField(source="uid", read_only=True)
    graph = GraphField(read_only=True)
    created_by = PersonSerializer(read_only=True)

    class Meta:
        model = WorkflowVersion
        fields: ClassVar[tuple[str, ...]] = ("id", "number", "graph", "digest", "note", "created_by", "created_at")
