"""Approvals over HTTP: the inbox, and deciding."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import PersonSerializer
from accounts.permissions import actor
from mcp_site.core.http import StrictQuery, refuse_unknown_parameters
from mcp_site.core.pagination import NewestFirst
from mcp_site.core.serializers import JsonObject, Strict, read_body
from workflows import services
from workflows.models import Approval, ApprovalState, Decision, Verdict


class ApprovalDecision(Strict):
    """What somebody decides."""

    comment = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    form = JsonObject(required=False, max_bytes=64 * 1024)


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """What somebody decided."""

    by = PersonSerializer(read_only=True)

    class Meta:
        model = Decision
        fields: ClassVar[tuple[str, ...]] = ("by", "verdict", "comment", "form", "at")


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """An approval in answers."""

    run = serializers.SerializerMethodField()
    workflow = serializers.SerializerMethodField()
    step = serializers.CharField(source="step.key", read_only=True)
    index = serializers.IntegerField(source="step.index", read_only=True, allow_null=True)
    state = serializers.ChoiceField(choices=ApprovalState.choices, read_only=True)
    reason = serializers.CharField(source="step.reason", read_only=True, allow_null=True)
    users = PersonSerializer(many=True, read_only=True)
    due_at = serializers.DateTimeField(source="step.wake_at", read_only=True, allow_null=True)
    decisions = DecisionSerializer(many=True, read_only=True)
    may_decide = serializers.SerializerMethodField()

    class Meta:
        model = Approval
        fields: ClassVar[tuple[str, ...]] = (
            "run",
            "workflow",
            "step",
            "index",
            "state",
            "reason",
            "message",
            "form",
            "roles",
            "users",
            "required",
            "allow_self",
            "asked_at",
            "due_at",
            "decisions",
            "may_decide",
        )

    @extend_schema_field({"type": "object", "properties": {"id": {"type": "string"}, "number": {"type": "integer"}}})
    def get_run(self, approval: Approval) -> dict[str, Any]:
        """Return which run asks: {id, number}."""
        return {"id": str(approval.run.uid), "number": approval.run_id}

    @extend_schema_field({"type": ["string", "null"]})
    def get_workflow(self, approval: Approval) -> str | None:
        """Return the slug of the workflow."""
        return approval.run.workflow.slug if approval.run.workflow is not None else None

    def get_may_decide(self, approval: Approval) -> bool:
        """Tell whether the caller may decide it now."""
        caller = actor(self.context["request"])
        decided = any(one.by_id == caller.pk for one in approval.decisions.all())
        return approval.state == ApprovalState.OPEN and not decided and services.may_decide(approval, caller)


class ApprovalFilter(django_filters.FilterSet):
    """`?state=&workflow=`."""

    state = django_filters.ChoiceFilter(choices=ApprovalState.choices, method="filter_state")
    workflow = django_filters.CharFilter(field_name="run__workflow__slug")

    class Meta:
        model = Approval
        fields: ClassVar[tuple[str, ...]] = ()

    def filter_state(self, queryset: Any, _name: str, value: str) -> QuerySet[Approval]:
        """Keep those that stand so."""
        found: QuerySet[Approval] = queryset.in_state(value)
        return found


class _NewestQuestions(NewestFirst):
    ordering = "-step_id"


class ApprovalViewSet(mixins.ListModelMixin, StrictQuery):
    """Approvals that the caller may see, newest first; `?state=open` is the inbox."""

    area = "runs"
    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter
    pagination_class = _NewestQuestions

    def get_queryset(self) -> QuerySet[Approval]:
        """Return what the caller may see: of runs in sight, and those that name him."""
        return Approval.objects.visible_to(self.request.user).for_api()


class _Decide(APIView):
    """What approving and rejecting share."""

    area = "runs"
    verdict: ClassVar[Verdict]

    def decide(self, request: Request, uid: UUID, key: str, index: int | None) -> Response:
        """Decide for the step or the item, and answer the approval."""
        refuse_unknown_parameters(request, set())
        found = Approval.objects.visible_to(request.user).for_api()
        approval = get_object_or_404(found, run__uid=uid, step__key=key, step__index=index)
        body = read_body(ApprovalDecision, request)
        decided = services.decide(approval=approval, by=actor(request), verdict=self.verdict, **body)
        return Response(ApprovalSerializer(decided, context={"request": request}).data)


class Approve(_Decide):
    """Approving what a step asks."""

    verdict = Verdict.APPROVE

    @extend_schema(request=ApprovalDecision, responses={200: ApprovalSerializer}, operation_id="runs_steps_approve")
    def post(self, request: Request, uid: UUID, key: str) -> Response:
        """Approve what a step asks; the step goes on when as many have approved as it requires."""
        return self.decide(request, uid, key, None)


class ApproveItem(_Decide):
    """Approving what one item of a mapped step asks."""

    verdict = Verdict.APPROVE

    @extend_schema(
        request=ApprovalDecision, responses={200: ApprovalSerializer}, operation_id="runs_steps_items_approve"
    )
    def post(self, request: Request, uid: UUID, key: str, index: int) -> Response:
        """Approve what an item asks; the item goes on when as many have approved as it requires."""
        return self.decide(request, uid, key, index)


class Reject(_Decide):
    """Rejecting what a step asks."""

    verdict = Verdict.REJECT

    @extend_schema(request=ApprovalDecision, responses={200: ApprovalSerializer}, operation_id="runs_steps_reject")
    def post(self, request: Request, uid: UUID, key: str) -> Response:
        """Reject what a step asks: the step fails."""
        return self.decide(request, uid, key, None)


class RejectItem(_Decide):
    """Rejecting what one item of a mapped step asks."""

    verdict = Verdict.REJECT

    @extend_schema(
        request=ApprovalDecision, responses={200: ApprovalSerializer}, operation_id="runs_steps_items_reject"
    )
    def post(self, request: Request, uid: UUID, key: str, index: int) -> Response:
        """Reject what an item asks: the item fails."""
        return self.decide(request, uid, key, index)
