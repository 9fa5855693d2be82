"""JSON Schema 2020-12 that users wrote: checked when saved, applied to data, and never a way out.

No remote `$ref` (the registry has no retriever), patterns run on RE2 (linear time), size and depth are capped.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from mcp_site.core.documents import canonical, json_depth_exceeds
from mcp_site.core.errors import Problem

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_DEPTH = 32


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Any:
    if validator.is_type(instance, "string") and not _compiled(pattern).search(instance):
        yield ValidationError(f"does not match the pattern {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, schema: Any) -> Any:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        regex = _compiled(pattern)
        for name, value in instance.items():
            if regex.search(name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Any:
    if not validator.is_type(instance, "object"):
        return
    known = schema.get("properties", {})
    patterns = [_compiled(pattern) for pattern in schema.get("patternProperties", {})]
    extras = [name for name in instance if name not in known and not any(p.search(name) for p in patterns)]
    for name in extras:
        if validator.is_type(allowed, "object"):
            yield from validator.descend(instance[name], allowed, path=name)
        elif allowed is False:
            yield ValidationError("is not a known name here", path=[name])


_Validator = extend(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)


def _dotted(path: Any) -> str:
    return ".".join(str(part) for part in path)


def _walk_patterns(schema: Any) -> list[str]:
    found: list[str] = []
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("pattern"), str):
                found.append(item["pattern"])
            if isinstance(item.get("patternProperties"), dict):
                found.extend(item["patternProperties"])
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def _references(schema: Any) -> list[str]:
    found: list[str] = []
    stack = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            found += [item[name] for name in ("$ref", "$dynamicRef") if isinstance(item.get(name), str)]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def problems_of_schema(schema: Any) -> list[Problem]:
    """Return what is wrong with `schema` itself; nothing means it can be saved."""
    if not isinstance(schema, dict):
        return [Problem("", "invalid", "a JSON Schema is an object")]
    text = canonical(schema)
    if len(text) > MAX_SCHEMA_BYTES or json_depth_exceeds(text, MAX_SCHEMA_DEPTH):
        return [
            Problem("", "too_large", f"a schema has at most {MAX_SCHEMA_BYTES} bytes and {MAX_SCHEMA_DEPTH} levels")
        ]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as exc:
        best = best_match([exc]) or exc  # type: ignore[list-item]  # a SchemaError is the same sort of error
        return [Problem(_dotted(best.absolute_path), "invalid_schema", _shorten(best.message))]
    for reference in _references(schema):
        if not reference.startswith("#"):
            return [Problem("", "remote_reference", "a `$ref` must stay inside the schema (start with #)")]
    for pattern in _walk_patterns(schema):
        try:
            _compiled(pattern)
        except re2.error:
            return [Problem("", "invalid_pattern", "a pattern is not an RE2 regular expression")]
    return []


def _shorten(message: str, limit: int = 200) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"


def _describe(error: ValidationError) -> str:
    """Say what was expected, never what was given: the value may be a secret."""
    expected: Any = error.validator_value
    rule: Any = error.validator
    match rule:
        case "type":
            return f"must be of type {expected if isinstance(expected, str) else ' or '.join(expected)}"
        case "enum":
            return _shorten(f"must be one of {', '.join(json.dumps(item) for item in expected)}")
        case "const":
            return _shorten(f"must be {json.dumps(expected)}")
        case "required":
            return "is required"
        case (
            "minLength"
            | "maxLength"
            | "minimum"
            | "maximum"
            | "minItems"
            | "maxItems"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
        ):
            return f"breaks {rule}: {expected}"
        case "additionalProperties" | "pattern":
            return error.message
        case None:
            return "is not allowed here"
        case _:
            return f"breaks the rule `{rule}` of its schema"


def problems_of_value(schema: dict[str, Any], value: Any, limit: int = 20) -> list[Problem]:
    """Return where `value` breaks `schema`, at most `limit` places, each with its dotted path."""
    found: list[Problem] = []
    try:
        for error in _Validator(schema, registry=Registry()).iter_errors(value):
            path = [str(part) for part in error.absolute_path]
            if error.validator == "required":
                required: Any = error.validator_value
                missing = [name for name in required if name not in error.instance]
                found += [Problem(_dotted([*path, name]), "required", "is required") for name in missing]
            else:
                found.append(Problem(_dotted(path), "invalid", _describe(error)))
            if len(found) >= limit:
                break
    except (Unresolvable, RecursionError):
        return [Problem("", "invalid_schema", "the schema refers to something that it does not hold")]
    return list(dict.fromkeys(found))
