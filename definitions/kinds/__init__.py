"""The table of kinds. Others import this package, never a module inside it.

To add a kind: one file beside these, one line here, one page in docs/reference/kinds/. Third parties add
theirs by the entry-point group `mcp_panel.kinds`.
"""

from __future__ import annotations

from definitions.kinds.base import (
    Artifact,
    Cancelled,
    Config,
    ConnectionValues,
    Context,
    Emit,
    Inferred,
    Kind,
    Outcome,
    SecretRef,
    StepFailed,
    Usage,
)
from definitions.kinds.configs import read_config
from mcp_site.core.registry import Registry

KINDS: Registry[Kind] = Registry(
    {
        "script": "definitions.kinds.script:Script",
        "notebook": "definitions.kinds.notebook:Notebook",
        "llm": "definitions.kinds.llm:Llm",
        "sql": "definitions.kinds.sql:Sql",
    },
    group="mcp_panel.kinds",
)


def get(name: str) -> Kind:
    """Return the kind called `name`. Raises UnknownPlugin."""
    return KINDS.get(name)


def all_kinds() -> list[Kind]:
    """Return every kind in the order of the table."""
    return KINDS.all()


__all__ = [
    "KINDS",
    "Artifact",
    "Cancelled",
    "Config",
    "ConnectionValues",
    "Context",
    "Emit",
    "Inferred",
    "Kind",
    "Outcome",
    "SecretRef",
    "StepFailed",
    "Usage",
    "all_kinds",
    "get",
    "read_config",
]
