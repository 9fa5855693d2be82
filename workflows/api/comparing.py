"""Comparing two runs over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mcp_site.core.http import refuse_unknown_parameters
from workflows import services
from workflows.models import Run


class RunChangeSerializer(serializers.Serializer[Any]):
    """One place where two values differ."""

    path = serializers.CharField()
    what = serializers.CharField(help_text="added, removed or changed")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ComparedRunSerializer(serializers.ModelSerializer[Run]):
    """One of the two runs."""

    id = serializers.UUIDField(source="uid", read_only=True)
    number = serializers.IntegerField(source="pk", read_only=True)
    version = serializers.SlugRelatedField[Any](slug_field="number", read_only=True)

    class Meta:
        model = Run
        fields = ("id", "number", "version", "state", "reason", "cost", "started_at", "finished_at")


class ComparedSideSerializer(serializers.Serializer[Any]):
    """A step as it was in one of the runs."""

    state = serializers.CharField()
    version = serializers.CharField()
    attempts = serializers.IntegerField()
    seconds = serializers.FloatField(allow_null=True)


class ComparedStepSerializer(serializers.Serializer[Any]):
    """A step in both runs."""

    key = serializers.CharField()
    sides = serializers.SerializerMethodField()
    same_output = serializers.BooleanField(allow_null=True, help_text="null unless it succeeded in both")

    @extend_schema_field(ComparedSideSerializer(many=True))
    def get_sides(self, pair: Any) -> list[dict[str, Any] | None]:
        """Return how it was in the first and in the second run; null where it is not there."""
        return [ComparedSideSerializer(side).data if side is not None else None for side in pair.sides]


class ComparisonSerializer(serializers.Serializer[Any]):
    """What differs from the first run to the second, at most 200 places of each kind."""

    runs = ComparedRunSerializer(many=True)
    inputs = RunChangeSerializer(many=True)
    output = RunChangeSerializer(many=True, allow_null=True, help_text="null where one is larger than 1 MiB")
    steps = ComparedStepSerializer(many=True)


class CompareRuns(APIView):
    """Comparing a run with another one."""

    area = "runs"

    @extend_schema(responses={200: ComparisonSerializer})
    def get(self, request: Request, uid: UUID, other: UUID) -> Response:
        """Say what differs from the first run to the second: inputs, versions, steps, output."""
        refuse_unknown_parameters(request, set())
        seen = Run.objects.visible_to(request.user).select_related("version").defer("version__graph", "graph")
        first, second = get_object_or_404(seen, uid=uid), get_object_or_404(seen, uid=other)
        return Response(ComparisonSerializer(services.compare_runs(first, second)).data)
