"""The table of executors. Others import this package, never a module inside it."""

from __future__ import annotations

from mcp_site.core.registry import Registry
from workflows.executors.base import Executor

EXECUTORS: Registry[Executor] = Registry(
    {"celery": "workflows.executors.celery:CeleryExecutor"}, group="mcp_panel.executors"
)


def get(name: str) -> Executor:
    """Return the executor called `name`. Raises UnknownPlugin."""
    return EXECUTORS.get(name)


__all__ = ["EXECUTORS", "Executor", "get"]
