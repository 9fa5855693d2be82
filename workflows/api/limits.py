"""Limits over HTTP: how many runs may go on at once, which do, and which wait."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers

from mcp_site.core.http import StrictQuery
from workflows.models import RunLimit, RunSlot, Workflow


class SlotSerializer(serializers.ModelSerializer[RunSlot]):
    """A run's slot, or its place in the line (`taken_at` null)."""

    run = serializers.SerializerMethodField()

    class Meta:
        model = RunSlot
        fields: ClassVar[tuple[str, ...]] = ("run", "policy", "asked_at", "taken_at")

    @extend_schema_field({"type": "object", "properties": {"id": {"type": "string"}, "number": {"type": "integer"}}})
    def get_run(self, slot: RunSlot) -> dict[str, Any]:
        """Return the run: {id, number}."""
        return {"id": str(slot.run.uid), "number": slot.run_id}


class LimitSerializer(serializers.ModelSerializer[RunLimit]):
    """A limit with its live slots."""

    workflow = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    used = serializers.SerializerMethodField()
    waiting = serializers.SerializerMethodField()
    slots = SlotSerializer(many=True, read_only=True)

    class Meta:
        model = RunLimit
        fields: ClassVar[tuple[str, ...]] = ("workflow", "key", "size", "used", "waiting", "slots")

    def get_used(self, limit: RunLimit) -> int:
        """Return how many runs hold a slot."""
        return sum(slot.taken_at is not None for slot in limit.slots.all())

    def get_waiting(self, limit: RunLimit) -> int:
        """Return how many runs wait for one."""
        return sum(slot.taken_at is None for slot in limit.slots.all())


class LimitFilter(django_filters.FilterSet):
    """`?workflow=`."""

    workflow = django_filters.CharFilter(field_name="workflow__slug")

    class Meta:
        model = RunLimit
        fields: ClassVar[tuple[str, ...]] = ()


class LimitViewSet(mixins.ListModelMixin, StrictQuery):
    """Limits on runs at once of workflows that the caller may see, those that somebody counts for now."""

    area = "runs"
    serializer_class = LimitSerializer
    filterset_class = LimitFilter

    def get_queryset(self) -> QuerySet[RunLimit]:
        """Return the limits with live slots."""
        slots = RunSlot.objects.select_related("run").only("limit", "policy", "asked_at", "taken_at", "run__uid")
        live = RunLimit.objects.filter(pk__in=RunSlot.objects.values("limit"))
        seen = live.filter(workflow__in=Workflow.objects.visible_to(self.request.user).values("pk"))
        return seen.select_related("workflow").prefetch_related(Prefetch("slots", slots.order_by("run_id")))
