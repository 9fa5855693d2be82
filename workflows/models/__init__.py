"""Rows of workflows."""

from __future__ import annotations

from workflows.models.approval import Approval, ApprovalState, Decision, Verdict
from workflows.models.artifact import Artifact
from workflows.models.attempt import Attempt
from workflows.models.event import Event
from workflows.models.idempotency import KeptAnswer
from workflows.models.limit import Limit, RunLimit, RunSlot, Slot, SlotPolicy
from workflows.models.log import LogChunk
from workflows.models.run import Run, TriggerKind
from workflows.models.schedule import Firing, Schedule
from workflows.models.step_run import StepRun
from workflows.models.trigger import Trigger, TriggerCall
from workflows.models.workflow import Workflow, WorkflowAlias, WorkflowVersion

__all__ = [
    "Approval",
    "ApprovalState",
    "Artifact",
    "Attempt",
    "Decision",
    "Event",
    "Firing",
    "KeptAnswer",
    "Limit",
    "LogChunk",
    "Run",
    "RunLimit",
    "RunSlot",
    "Schedule",
    "Slot",
    "SlotPolicy",
    "StepRun",
    "Trigger",
    "TriggerCall",
    "TriggerKind",
    "Verdict",
    "Workflow",
    "WorkflowAlias",
    "WorkflowVersion",
]
