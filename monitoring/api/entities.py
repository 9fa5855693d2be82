"""Any thing of the panel in one answer; and the first page as numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import PersonSerializer
from accounts.models import AuditEvent
from accounts.permissions import actor
from connections.api.serializers import ConnectionSerializer
from definitions.api.serializers import DefinitionSerializer, DefinitionVersionSerializer
from mcp_site.core.http import refuse_unknown_parameters
from monitoring import dashboard, entities
from workflows.api.run_serializers import RunSerializer
from workflows.api.serializers import WorkflowSerializer, WorkflowVersionSerializer

# How each type is answered by its own routes, and the area of keys that reach it.
_SHAPES: dict[str, tuple[type[serializers.Serializer[Any]], str]] = {
    "definition": (DefinitionSerializer, "definitions"),
    "version": (DefinitionVersionSerializer, "definitions"),
    "workflow": (WorkflowSerializer, "workflows"),
    "workflow-version": (WorkflowVersionSerializer, "workflows"),
    "run": (RunSerializer, "runs"),
    "connection": (ConnectionSerializer, "connections"),
}


class RelatedSerializer(serializers.Serializer[Any]):
    """A related thing, as far as the caller may see it."""

    type = serializers.CharField()
    id = serializers.CharField()
    relationship = serializers.CharField()
    name = serializers.CharField()


class ActSerializer(serializers.ModelSerializer[AuditEvent]):
    """An audited act: who did what and when. The audit trail has the rest, for Admins."""

    actor = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = AuditEvent
        fields: ClassVar[tuple[str, ...]] = ("at", "actor", "action")


class EntitySerializer(serializers.Serializer[Any]):
    """A thing: `data` is what its own route answers."""

    type = serializers.CharField()
    id = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]  # the contract's name for it
    related = RelatedSerializer(many=True)
    activity = ActSerializer(many=True)


class EntityDetail(APIView):
    """Any definition, version, workflow, workflow-version, run or connection."""

    @property
    def area(self) -> str | None:
        """Return the area of keys that reach this type."""
        return _SHAPES.get(self.kwargs.get("type", ""), (None, None))[1]

    @extend_schema(responses={200: EntitySerializer}, operation_id="entities_retrieve", tags=["entities"])
    def get(self, request: Request, type: str, id: str) -> Response:
        """Show a thing by its id or slug, with its related things and its latest audited acts."""
        refuse_unknown_parameters(request, ())
        found = entities.find(type, id, actor(request))
        shape, _ = _SHAPES[found.type]
        answer = {
            "type": found.type,
            "id": str(found.row.uid),
            "data": shape(found.row, context={"request": request}).data,
            "related": found.related,
            "activity": found.activity,
        }
        return Response(EntitySerializer(answer).data)


class HourSerializer(serializers.Serializer[Any]):
    """How the runs that ended in one hour went."""

    hour = serializers.DateTimeField()
    outcomes = serializers.DictField(child=serializers.IntegerField())


class SummarySerializer(serializers.Serializer[Any]):
    """The numbers of the first page. What ended is counted over the last 24 hours; durations are seconds."""

    running = serializers.IntegerField()
    outcomes = serializers.DictField(child=serializers.IntegerField())
    by_hour = HourSerializer(many=True)
    success_rate = serializers.FloatField(allow_null=True)
    duration_p95 = serializers.FloatField(allow_null=True)
    queue_depth = serializers.IntegerField()
    queue_oldest_at = serializers.DateTimeField(allow_null=True)
    open_alerts = serializers.IntegerField()
    unread_notifications = serializers.IntegerField()
    definitions = serializers.IntegerField()
    workflows = serializers.IntegerField()
    connections = serializers.IntegerField()
    tokens_today = serializers.IntegerField()
    cost_today = serializers.DecimalField(max_digits=14, decimal_places=6)
    recent_runs = RunSerializer(many=True)


class DashboardSummary(APIView):
    """The first page for programs."""

    area = "runs"

    @extend_schema(responses={200: SummarySerializer}, operation_id="dashboard_summary", tags=["dashboard"])
    def get(self, request: Request) -> Response:
        """Answer the numbers on the first page, over what the caller may see."""
        refuse_unknown_parameters(request, ())
        person = actor(request)
        summary = dashboard.summary(person)
        tokens, cost = dashboard.spent_today(person)
        answer = {
            "running": summary.going_total,
            "outcomes": summary.outcomes.totals,
            "by_hour": [{"hour": hour, "outcomes": n} for hour, n in sorted(summary.outcomes.by_hour.items())],
            "success_rate": summary.outcomes.success_rate,
            "duration_p95": summary.p95.total_seconds() if summary.p95 is not None else None,
            "queue_depth": summary.ready,
            "queue_oldest_at": summary.oldest_ready,
            "open_alerts": dashboard.open_alerts(person),
            "unread_notifications": dashboard.unread(person),
            "definitions": summary.counts.definitions,
            "workflows": summary.counts.workflows,
            "connections": summary.counts.connections,
            "tokens_today": tokens,
            "cost_today": cost,
            "recent_runs": summary.recent,
        }
        return Response(SummarySerializer(answer, context={"request": request}).data)
