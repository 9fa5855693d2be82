"""The graph document: its shape, what can be wrong with it, and the plan that the engine carries out. Pure."""

from __future__ import annotations

from workflows.graph.check import Facts, Part, check, people, references, workflows_called
from workflows.graph.document import Approval, Graph, Handler, Retry, Step, allowed_of, json_schema
from workflows.graph.joins import verdict
from workflows.graph.plan import Plan, PlannedLimit, PlannedStep, compile_plan, one_step

__all__ = [
    "Approval",
    "Facts",
    "Graph",
    "Handler",
    "Part",
    "Plan",
    "PlannedLimit",
    "PlannedStep",
    "Retry",
    "Step",
    "allowed_of",
    "check",
    "compile_plan",
    "json_schema",
    "one_step",
    "people",
    "references",
    "verdict",
    "workflows_called",
]
