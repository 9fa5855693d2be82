"""Schedules over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import PersonSerializer
from accounts.permissions import actor
from mcp_site.core.errors import Rejected
from mcp_site.core.http import StrictQuery, unless_stale
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import once
from mcp_site.core.pagination import NewestFirst
from mcp_site.core.serializers import JsonObject, SlugField, Strict, read_body
from workflows.models import Workflow
from workflows.models.schedule import CatchUp, Firing, Overlap, Schedule
from workflows.services import schedules as services

TAGS = ["schedules"]


class SchedulePreview(Strict):
    """When would this be due?"""

    cron = serializers.CharField(max_length=400)
    timezone = serializers.CharField(max_length=64, required=False, default="UTC")


class ScheduleChange(Strict):
    """What may be changed of a schedule."""

    cron = serializers.CharField(max_length=400, required=False)
    timezone = serializers.CharField(max_length=64, required=False)
    inputs = JsonObject(required=False)
    version = serializers.CharField(
        max_length=63,
        required=False,
        allow_null=True,
        help_text="number or alias, looked up at each start; null: newest",
    )
    catch_up = serializers.ChoiceField(CatchUp.choices, required=False)
    overlap = serializers.ChoiceField(Overlap.choices, required=False)
    enabled = serializers.BooleanField(required=False)


class ScheduleCreate(ScheduleChange):
    """A new schedule."""

    workflow = SlugField()
    cron = serializers.CharField(max_length=400)


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    """A schedule in answers. Needs `for_api()`."""

    id = serializers.UUIDField(source="uid", read_only=True)
    workflow = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    version = serializers.SerializerMethodField()
    last_run = serializers.SlugRelatedField[Any](slug_field="uid", read_only=True)
    owner = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Schedule
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "workflow",
            "cron",
            "timezone",
            "inputs",
            "version",
            "catch_up",
            "overlap",
            "enabled",
            "notice",
            "next_at",
            "last_run",
            "owner",
            "created_at",
            "updated_at",
        )

    @extend_schema_field({"type": ["string", "integer", "null"]})
    def get_version(self, schedule: Schedule) -> str | int | None:
        """Return the number or alias that it starts, null for the newest."""
        return int(schedule.version) if schedule.version.isdecimal() else schedule.version or None


class UpcomingSerializer(serializers.Serializer[Any]):
    """The next five due times."""

    upcoming = serializers.ListField(child=serializers.DateTimeField())


class ScheduleDetailSerializer(ScheduleSerializer):
    """One schedule with its next five due times."""

    upcoming = serializers.SerializerMethodField()

    class Meta(ScheduleSerializer.Meta):
        fields = (*ScheduleSerializer.Meta.fields, "upcoming")

    @extend_schema_field({"type": "array", "items": {"type": "string", "format": "date-time"}})
    def get_upcoming(self, schedule: Schedule) -> Any:
        """Return the next five due times, none while it is paused."""
        times = services.upcoming(schedule.cron, schedule.timezone) if schedule.enabled else []
        return UpcomingSerializer({"upcoming": times}).data["upcoming"]


class FiringSerializer(serializers.ModelSerializer[Firing]):
    """What became of one due time."""

    run = serializers.SlugRelatedField[Any](slug_field="uid", read_only=True)

    class Meta:
        model = Firing
        fields: ClassVar[tuple[str, ...]] = ("due_at", "outcome", "run", "detail", "at")


class ScheduleFilter(django_filters.FilterSet):
    """`?workflow=&enabled=`."""

    workflow = django_filters.CharFilter(field_name="workflow__slug", max_length=63)
    enabled = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce="true".__eq__, empty_value=None
    )

    class Meta:
        model = Schedule
        fields: ClassVar[tuple[str, ...]] = ()


def workflow_named(request: Request, slug: str) -> Workflow:
    """Return the workflow that a body names. Raises Rejected at `workflow`."""
    workflow = Workflow.objects.visible_to(request.user).filter(slug=slug).first()
    if workflow is None:
        raise Rejected("there is no such workflow", attr="workflow", code="unknown_workflow")
    return workflow


class ScheduleViewSet(mixins.ListModelMixin, StrictQuery):
    """Runs that start by the clock."""

    area = "workflows"
    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    # What changes by itself.
    untagged = frozenset({"upcoming", "next_at", "last_run", "notice", "updated_at"})

    def get_queryset(self) -> QuerySet[Schedule]:
        """Return those of the workflows that the caller may see."""
        return Schedule.objects.visible_to(self.request.user).for_api()

    def _show(self, schedule: Schedule, status: int = 200) -> Response:
        shown = Schedule.objects.for_api().get(pk=schedule.pk)
        headers = {"Location": f"/api/v1/schedules/{shown.uid}"} if status == 201 else None
        return Response(ScheduleDetailSerializer(shown).data, status=status, headers=headers)

    @extend_schema(tags=TAGS, request=ScheduleCreate, responses={201: ScheduleDetailSerializer})
    @once()
    def create(self, request: Request) -> Response:
        """Have a workflow run by the clock, as the caller."""
        body = read_body(ScheduleCreate, request)
        workflow = workflow_named(request, body.pop("workflow"))
        return self._show(services.create_schedule(by=actor(request), workflow=workflow, **body), 201)

    @extend_schema(tags=TAGS, responses={200: ScheduleDetailSerializer})
    def retrieve(self, request: Request, uid: str) -> Response:
        """Answer one schedule with its next five due times."""
        return self._show(self.get_object())

    @extend_schema(tags=TAGS, request=ScheduleChange, responses={200: ScheduleDetailSerializer})
    @unless_stale
    def partial_update(self, request: Request, uid: str) -> Response:
        """Change it; `{"enabled": false}` pauses, `true` goes on from now."""
        changes = read_body(ScheduleChange, request)
        return self._show(services.update_schedule(by=actor(request), schedule=self.get_object(), **changes))

    @extend_schema(tags=TAGS, responses={204: OpenApiResponse(description="removed")})
    @unless_stale
    def destroy(self, request: Request, uid: str) -> Response:
        """Remove it; its runs stay."""
        services.delete_schedule(by=actor(request), schedule=self.get_object())
        return Response(status=204)

    @extend_schema(tags=TAGS, responses={200: FiringSerializer(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=NewestFirst)
    def firings(self, request: Request, uid: str) -> Response:
        """List its due times of the last 90 days and what became of each, newest first."""
        page = self.paginate_queryset(self.get_object().firings.select_related("run"))
        return self.get_paginated_response(FiringSerializer(page, many=True).data)

    @extend_schema(tags=TAGS, request=SchedulePreview, responses={200: UpcomingSerializer})
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Say when a cron expression would be due next, without saving anything."""
        return Response(UpcomingSerializer({"upcoming": services.upcoming(**read_body(SchedulePreview, request))}).data)
