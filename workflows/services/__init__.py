"""What people do with workflows and runs: an actor, a permission, rows, audit."""

from __future__ import annotations

from workflows.services.approvals import decide, may_decide
from workflows.services.comparing import compare_runs
from workflows.services.control import cancel_run, may_control, pause_run, resume_run
from workflows.services.graphs import (
    archive_workflow,
    create_workflow,
    delete_alias,
    get_version,
    move_alias,
    problems_of_graph,
    read_graph,
    rollback,
    save_version,
    update_workflow,
)
from workflows.services.reruns import Rerun, preview_rerun, rerun_run
from workflows.services.runs import start_definition_run, start_run

__all__ = [
    "Rerun",
    "archive_workflow",
    "cancel_run",
    "compare_runs",
    "create_workflow",
    "decide",
    "delete_alias",
    "get_version",
    "may_control",
    "may_decide",
    "move_alias",
    "pause_run",
    "preview_rerun",
    "problems_of_graph",
    "read_graph",
    "rerun_run",
    "resume_run",
    "rollback",
    "save_version",
    "start_definition_run",
    "start_run",
    "update_workflow",
]
