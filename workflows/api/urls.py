"""API routes of workflows and runs."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api import shares
from workflows.api import runs, schedules, workflows
from workflows.models import Workflow

router = SimpleRouter(trailing_slash=False)
router.register("workflows", workflows.WorkflowViewSet, basename="workflows-api")
router.register("schedules", schedules.ScheduleViewSet, basename="schedules-api")
router.register("runs", runs.RunViewSet, basename="runs-api")

urlpatterns = [
    path("workflows/<slug:slug>/runs", runs.WorkflowRuns.as_view()),
    path("definitions/<slug:slug>/run", runs.DefinitionRuns.as_view()),
    *router.urls,
    *shares.routes(Workflow, "workflows"),
]
