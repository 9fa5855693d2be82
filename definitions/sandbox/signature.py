"""Reads a JSON Schema off a Python function's signature, by parsing only."""

from __future__ import annotations

import ast
import json
from typing import Any

from mcp_site.core.errors import Problem

PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
SAME = {"List": "list", "Dict": "dict", "Sequence": "list", "Mapping": "dict", "Iterable": "list"}
WITHOUT_VALUE = object()

Function = ast.FunctionDef | ast.AsyncFunctionDef


def entrypoint(code: str, name: str) -> Function | None:
    """Return the function called `name` at the top level, or None. Raises SyntaxError, ValueError."""
    found: Function | None = None
    for node in ast.parse(code).body:
        # As in Python, the last of the same name wins.
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            found = node
    return found


def problems(code: str, name: str) -> list[Problem]:
    """Return why `code` has no function `name` that can be called with inputs by name."""
    try:
        function = entrypoint(code, name)
    except SyntaxError as error:
        return [Problem("code", "syntax", f"Line {error.lineno}: {error.msg}.", error.lineno)]
    except (ValueError, RecursionError, MemoryError):
        return [Problem("code", "syntax", "The code cannot be parsed: it holds a NUL character or nests too deeply.")]
    if function is None:
        return [Problem("code", "entrypoint", f"The code defines no function {name}() at its top level.")]
    if unnamed := _unreachable(function):
        detail = f"Line {function.lineno}: {unnamed} stands before a “/”, but inputs are given by name."
        return [Problem("code", "entrypoint", detail, function.lineno)]
    return []


def _unreachable(function: Function) -> str | None:
    """Return the name of a parameter without a default that cannot be given by name, or None."""
    positional = function.args.posonlyargs
    needed = len(positional) + len(function.args.args) - len(function.args.defaults)
    return positional[0].arg if positional and needed > 0 else None


def input_schema(function: Function) -> dict[str, Any]:
    """Return the JSON Schema of the arguments that `function` takes by name."""
    arguments = function.args
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument, default in _parameters(arguments):
        schema = _schema(argument.annotation)
        if default is None:
            required.append(argument.arg)
        else:
            value = _literal(default)
            if value is not WITHOUT_VALUE:
                schema = {**schema, "default": value}
        properties[argument.arg] = schema
    found: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    found["additionalProperties"] = _schema(arguments.kwarg.annotation) or True if arguments.kwarg else False
    return found


def _parameters(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    # Defaults belong to the last positional parameters; those before a `/` cannot be named.
    missing = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * missing, *arguments.defaults]
    plain = zip(arguments.args, defaults[len(arguments.posonlyargs) :], strict=True)
    return [*plain, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
        # A tuple becomes the array that JSON knows; a set, bytes or NaN is no JSON and no default to show.
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return WITHOUT_VALUE


def _schema(node: ast.expr | None) -> dict[str, Any]:
    """Return the schema of an annotation; {} (anything) where it says nothing that JSON Schema could."""
    if isinstance(node, ast.Constant):
        return _constant(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    name = _name(node)
    return {"type": PLAIN[name]} if name in PLAIN else {}


def _constant(node: ast.Constant) -> dict[str, Any]:
    if node.value is None:
        return {"type": "null"}
    if isinstance(node.value, str):
        try:
            return _schema(ast.parse(node.value, mode="eval").body)
        except (SyntaxError, ValueError):
            pass  # an annotation may be any text
    return {}


def _name(node: ast.expr | None) -> str:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return SAME.get(name, name)


def _subscript(node: ast.Subscript) -> dict[str, Any]:
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = _name(node.value)
    if name == "list" and len(parts) == 1:
        items = _schema(parts[0])
        return {"type": "array", "items": items} if items else {"type": "array"}
    if name == "dict" and len(parts) == 2:
        values = _schema(parts[1])
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if name == "Optional":
        return _union([*parts, ast.Constant(None)])
    if name == "Union":
        return _union(parts)
    if name == "Literal":
        options = [_literal(part) for part in parts]
        return {} if any(option is WITHOUT_VALUE for option in options) else {"enum": options}
    # Annotated[X, …] means X.
    return _schema(parts[0]) if name == "Annotated" else {}


def _union(nodes: list[ast.expr]) -> dict[str, Any]:
    schemas: list[dict[str, Any]] = []
    for node in nodes:
        schema = _schema(node)
        if not schema:
            return {}
        options: list[dict[str, Any]] = schema.get("anyOf", [schema])
        schemas += [option for option in options if option not in schemas]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
