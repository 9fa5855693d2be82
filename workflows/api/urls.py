"""API routes of workflows and runs."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api import shares
from workflows.api import approvals, comparing, limits, runs, schedules, triggers, workflows
from workflows.models import Workflow

router = SimpleRouter(trailing_slash=False)
router.register("workflows", workflows.WorkflowViewSet, basename="workflows-api")
router.register("schedules", schedules.ScheduleViewSet, basename="schedules-api")
router.register("triggers", triggers.TriggerViewSet, basename="triggers-api")
router.register("runs", runs.RunViewSet, basename="runs-api")
router.register("limits", limits.LimitViewSet, basename="limits-api")
router.register("approvals", approvals.ApprovalViewSet, basename="approvals-api")

_STEP = "runs/<uuid:uid>/steps/<slug:key>"

urlpatterns = [
    path("workflows/<slug:slug>/runs", runs.WorkflowRuns.as_view()),
    path("definitions/<slug:slug>/run", runs.DefinitionRuns.as_view()),
    path(f"{_STEP}/approve", approvals.Approve.as_view()),
    path(f"{_STEP}/reject", approvals.Reject.as_view()),
    path(f"{_STEP}/<int:index>/approve", approvals.ApproveItem.as_view()),
    path(f"{_STEP}/<int:index>/reject", approvals.RejectItem.as_view()),
    path("runs/<uuid:uid>/compare/<uuid:other>", comparing.CompareRuns.as_view()),
    *router.urls,
    *shares.routes(Workflow, "workflows"),
]
