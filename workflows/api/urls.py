"""API routes of workflows and runs."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from workflows.api import runs, workflows

router = SimpleRouter(trailing_slash=False)
router.register("workflows", workflows.WorkflowViewSet, basename="workflows-api")
router.register("runs", runs.RunViewSet, basename="runs-api")

urlpatterns = [
    path("workflows/<slug:slug>/runs", runs.WorkflowRuns.as_view()),
    path("definitions/<slug:slug>/run", runs.DefinitionRuns.as_view()),
    *router.urls,
]
