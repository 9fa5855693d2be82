"""A connector's config between what people send, what is stored in plain, and what is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from connections.connectors.base import Config, Connector
from mcp_site.core.errors import Problem, Rejected, problem_of
from mcp_site.core.masking import Masker


def read_config(connector: Connector, values: Mapping[str, Any], at: str = "config") -> Config:
    """Return the typed config. Raises Rejected with paths below `at` that never repeat a value."""
    try:
        return connector.Config.model_validate(dict(values))
    except ValidationError as exc:
        # A validator of a third party may quote what it was given.
        masker = Masker(str(values[name]) for name in connector.Config.secret_fields() if values.get(name))
        found = exc.errors(include_url=False, include_context=False, include_input=False)
        raise Rejected([_problem(dict(error), masker).under(at) for error in found]) from exc


def split(config: Config) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the plain values, and the secret ones that are set."""
    values = config.model_dump(mode="json")
    secrets = {name: values.pop(name) for name in config.secret_fields()}
    return values, {name: str(value) for name, value in secrets.items() if value not in (None, "")}


def merged(stored: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `stored` with `change` merged in: objects within objects, null takes a field back to its default."""
    result = dict(stored)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def _problem(error: dict[str, Any], masker: Masker) -> Problem:
    problem = problem_of(error)
    return replace(problem, detail=masker.text(problem.detail))
