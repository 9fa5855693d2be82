"""Page routes. Names are without a namespace because models and templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.views import shares
from workflows.models import Workflow
from workflows.views import approvals, comparing, definitions, reruns, runs, schedules, triggers, workflows

urlpatterns: list[URLPattern] = [
    path("workflows/", workflows.WorkflowList.as_view(), name="workflow-list"),
    path("workflows/<slug:slug>/", workflows.WorkflowDetail.as_view(), name="workflow-detail"),
    *shares.routes(Workflow, "workflows"),
    path("workflows/<slug:slug>/run/", workflows.WorkflowRun.as_view(), name="workflow-run"),
    path("schedules/", schedules.ScheduleList.as_view(), name="schedule-list"),
    path("schedules/new/", schedules.ScheduleNew.as_view(), name="schedule-new"),
    path("schedules/preview/", schedules.SchedulePreview.as_view(), name="schedule-preview"),
    path("schedules/<uuid:uid>/", schedules.ScheduleEdit.as_view(), name="schedule-edit"),
    path("schedules/<uuid:uid>/switch/", schedules.ScheduleSwitch.as_view(), name="schedule-switch"),
    path("schedules/<uuid:uid>/delete/", schedules.ScheduleDelete.as_view(), name="schedule-delete"),
    path("workflows/<slug:slug>/triggers/new/", triggers.TriggerNew.as_view(), name="trigger-new"),
    path("triggers/<uuid:uid>/", triggers.TriggerDetail.as_view(), name="trigger-detail"),
    path("triggers/<uuid:uid>/switch/", triggers.TriggerSwitch.as_view(), name="trigger-switch"),
    path("triggers/<uuid:uid>/rotate/", triggers.TriggerRotate.as_view(), name="trigger-rotate"),
    path("triggers/<uuid:uid>/delete/", triggers.TriggerDelete.as_view(), name="trigger-delete"),
    path("runs/", runs.RunList.as_view(), name="run-list"),
    path("runs/<uuid:uid>/", runs.RunDetail.as_view(), name="run-detail"),
    path("runs/<uuid:uid>/part/<slug:name>/", runs.RunPart.as_view(), name="run-part"),
    path("runs/<uuid:uid>/cancel/", runs.RunCancel.as_view(), name="run-cancel"),
    path("runs/<uuid:uid>/pause/", runs.RunPause.as_view(), name="run-pause"),
    path("runs/<uuid:uid>/resume/", runs.RunResume.as_view(), name="run-resume"),
    path("runs/<uuid:uid>/compare/<uuid:other>/", comparing.RunCompare.as_view(), name="run-compare"),
    path("runs/<uuid:uid>/rerun/", reruns.RerunPage.as_view(), name="run-rerun"),
    path("runs/<uuid:uid>/steps/<slug:key>/decide/", approvals.Decide.as_view(), name="run-decide"),
    path("approvals/", approvals.ApprovalList.as_view(), name="approval-list"),
    # What the pages of definitions show of runs: a lower app does not know them.
    path("definitions/<slug:slug>/runs/", definitions.DefinitionRuns.as_view(), name="definition-runs"),
    path("definitions/<slug:slug>/run/", definitions.DefinitionRun.as_view(), name="definition-run"),
]
