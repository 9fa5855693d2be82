"""Shapes of runs, steps and artifacts in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import PersonSerializer
from mcp_site.core.serializers import JsonObject, Strict
from workflows.models import Artifact, Run, StepRun
from workflows.states import CHILD_KIND


class RunCreate(Strict):
    """A run to start."""

    inputs = JsonObject(required=False)
    version = serializers.CharField(max_length=63, required=False, help_text="number or alias; the newest without it")
    priority = serializers.IntegerField(min_value=0, max_value=9, required=False)
    labels = JsonObject(required=False, max_bytes=16 * 1024)


class DefinitionRunCreate(Strict):
    """A one-step run to start."""

    inputs = JsonObject(required=False)
    version = serializers.CharField(max_length=63, required=False, help_text="number or alias; the newest without it")


class RerunBody(Strict):
    """What to run again: `from` is `start`, `failed`, or the key of a step."""

    inputs = JsonObject(required=False, help_text="the whole object; the run's own without it")
    versions = serializers.ChoiceField(choices=["same", "newest"], required=False)

    def get_fields(self) -> dict[str, Any]:
        """Add the field whose name is a word of Python."""
        start = serializers.CharField(max_length=63, source="start", help_text="start, failed, or the key of a step")
        return {"from": start, **super().get_fields()}


class RerunStepSerializer(serializers.Serializer[Any]):
    """What becomes of one step in a rerun, and why."""

    key = serializers.CharField()
    action = serializers.ChoiceField(choices=["reuse", "run"])
    version = serializers.CharField(help_text="definition@version")
    because = serializers.CharField()


class RerunPreviewSerializer(serializers.Serializer[Any]):
    """What a rerun would do."""

    steps = RerunStepSerializer(many=True)


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run in answers. `steps_url` and `events_url` are absolute."""

    id = serializers.UUIDField(source="uid", read_only=True)
    number = serializers.IntegerField(source="pk", read_only=True)
    workflow = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    definition = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    version = serializers.SlugRelatedField[Any](slug_field="number", read_only=True)
    trigger = serializers.SerializerMethodField()
    started_by = PersonSerializer(read_only=True)
    rerun_of = serializers.SlugRelatedField[Any](slug_field="uid", read_only=True)
    progress = serializers.SerializerMethodField()
    steps_url = serializers.SerializerMethodField()
    events_url = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "number",
            "workflow",
            "definition",
            "version",
            "state",
            "reason",
            "inputs",
            "labels",
            "priority",
            "trigger",
            "started_by",
            "created_at",
            "started_at",
            "finished_at",
            "deadline_at",
            "progress",
            "cost",
            "rerun_of",
            "steps_url",
            "events_url",
        )

    def get_trigger(self, run: Run) -> dict[str, str]:
        """Return what started it."""
        return {"kind": run.trigger_kind} | ({"id": run.trigger_id} if run.trigger_id else {})

    def get_progress(self, run: Run) -> dict[str, int]:
        """Return how many steps are done, of how many."""
        return {"done": run.steps - run.open, "total": run.steps}

    def _url(self, run: Run, tail: str) -> str:
        return str(self.context["request"].build_absolute_uri(f"/api/v1/runs/{run.uid}/{tail}"))

    def get_steps_url(self, run: Run) -> str:
        """Return where its steps are."""
        return self._url(run, "steps")

    def get_events_url(self, run: Run) -> str:
        """Return where its events are."""
        return self._url(run, "events")


class RunDetailSerializer(RunSerializer):
    """A run with its output, inline up to 1 MiB wherever it is stored."""

    output = serializers.SerializerMethodField()
    output_artifact = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "output", "output_artifact")

    @extend_schema_field({})
    def get_output(self, run: Run) -> Any:
        """Return the output, or null where it is larger."""
        return self.context["output"][0]

    @extend_schema_field({"type": ["object", "null"]})
    def get_output_artifact(self, run: Run) -> Mapping[str, Any] | None:
        """Return {size, sha256} of an output that is larger."""
        found: Mapping[str, Any] | None = self.context["output"][1]
        return found


class StepSerializer(serializers.ModelSerializer[StepRun]):
    """A step of a run in lists: without its output."""

    attempts = serializers.IntegerField(source="attempt", read_only=True)
    waiting_for = serializers.SerializerMethodField()
    reused_from = serializers.SerializerMethodField()
    items = serializers.SerializerMethodField()

    class Meta:
        model = StepRun
        fields: ClassVar[tuple[str, ...]] = (
            "key",
            "index",
            "kind",
            "state",
            "reason",
            "attempts",
            "started_at",
            "finished_at",
            "error",
            "waiting_for",
            "reused_from",
            "items",
        )

    @extend_schema_field({"type": ["string", "null"]})
    def get_waiting_for(self, step: StepRun) -> str | None:
        """Return what it waits for: `items`, `approval`, `child_run`, `retry`, `slot`, `worker`, or null."""
        reasons = {
            "mapped": "items",
            "awaiting_approval": "approval",
            "child_run": "child_run",
            "awaiting_slot": "slot",
        }
        if step.state in ("waiting", "ready") and step.reason in reasons:
            return reasons[step.reason]
        return {"retrying": "retry", "ready": "worker"}.get(step.state)

    @extend_schema_field({"type": ["object", "null"]})
    def get_reused_from(self, step: StepRun) -> dict[str, Any] | None:
        """Return the run whose result this is: {id, number}; null for a step that ran in this one."""
        if step.source is None:
            return None
        return {"id": str(step.source.run.uid), "number": step.source.run_id}

    @extend_schema_field({"type": ["object", "null"]})
    def get_items(self, step: StepRun) -> dict[str, int] | None:
        """Return, for a mapped step, how many items there are and how they ended."""
        if step.first_item is None:
            return None
        return {"total": step.need, "succeeded": step.ok, "failed": step.bad, "skipped": step.skip}


class StepDetailSerializer(StepSerializer):
    """A step with its output and its attempts."""

    output = serializers.SerializerMethodField()
    output_artifact = serializers.SerializerMethodField()
    child_run = serializers.SerializerMethodField()
    tries = serializers.SerializerMethodField()

    class Meta(StepSerializer.Meta):
        fields = (*StepSerializer.Meta.fields, "output", "output_artifact", "child_run", "tries")

    @extend_schema_field({})
    def get_output(self, step: StepRun) -> Any:
        """Return the output, or null where it is larger than 1 MiB."""
        return self.context["output"][0]

    @extend_schema_field({"type": ["object", "null"]})
    def get_output_artifact(self, step: StepRun) -> Mapping[str, Any] | None:
        """Return {size, sha256} of an output that is larger."""
        found: Mapping[str, Any] | None = self.context["output"][1]
        return found

    @extend_schema_field({"type": ["object", "null"]})
    def get_child_run(self, step: StepRun) -> dict[str, Any] | None:
        """Return the run that the step started: {id, number, state}; null for other steps."""
        child = step.child_runs.only("uid", "state").first() if step.kind == CHILD_KIND else None
        return {"id": str(child.uid), "number": child.pk, "state": child.state} if child is not None else None

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_tries(self, step: StepRun) -> list[dict[str, Any]]:
        """Return each attempt with its times, end, error and usage."""
        tries: list[dict[str, Any]] = self.context["tries"]
        return tries


class ArtifactSerializer(serializers.ModelSerializer[Artifact]):
    """A file of a run."""

    id = serializers.UUIDField(source="uid", read_only=True)

    class Meta:
        model = Artifact
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "step",
            "index",
            "attempt",
            "name",
            "media_type",
            "size",
            "sha256",
            "created_at",
        )
