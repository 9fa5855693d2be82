"""What people do with workflows and runs: an actor, a permission, rows, audit."""

from __future__ import annotations

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
from workflows.services.runs import cancel_run, start_definition_run, start_run

__all__ = [
    "archive_workflow",
    "cancel_run",
    "create_workflow",
    "delete_alias",
    "get_version",
    "move_alias",
    "problems_of_graph",
    "read_graph",
    "rollback",
    "save_version",
    "start_definition_run",
    "start_run",
    "update_workflow",
]
