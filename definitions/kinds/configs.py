"""Reading a kind's config as its type has it, and saying what is wrong without repeating what was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from definitions.kinds.base import Config, Kind
from mcp_site.core.errors import Problem, Rejected, problem_of


def read_config(kind: Kind, values: Mapping[str, Any], at: str = "config") -> Config:
    """Return the typed config. Raises Rejected with every problem, paths below `at`."""
    try:
        return kind.Config.model_validate(dict(values))
    except ValidationError as exc:
        found: list[dict[str, Any]] = [
            dict(e) for e in exc.errors(include_url=False, include_context=False, include_input=False)
        ]
        # A list with a wrong item also "has too few items after validation": only the item is worth saying.
        said = [e for e in found if not any(_lies_in(other["loc"], e["loc"]) for other in found)]
        raise Rejected([_problem(error).under(at) for error in said]) from exc


def _lies_in(place: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def _problem(error: dict[str, Any]) -> Problem:
    problem = problem_of(error)
    return replace(problem, code="not_supported") if error["type"] == "literal_error" else problem
