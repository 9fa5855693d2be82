"""Reading and changing a notebook's cells as plain JSON: parameters, syntax, tagged outputs, figures."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mcp_site.core.errors import Problem

PARAMETERS = "parameters"
INJECTED = "injected-parameters"
OUTPUT = "output"
# IPython's own syntax: %magic, !command, help?, x = %magic, x = !command.
_MAGIC = re.compile(r"^\s*[%!?]|=\s*[%!]|\?\s*$", re.MULTILINE)
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_ANNOTATIONS = {"bool": "boolean", "int": "integer", "float": "number", "str": "string", "list": "array"}
_ANNOTATIONS["dict"] = "object"


def source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which the format also allows as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: Mapping[str, Any]) -> list[str]:
    """Return a cell's tags."""
    tags = cell.get("metadata", {}).get("tags", [])
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def code_cells(notebook: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield place and content of every code cell that holds code."""
    for index, cell in enumerate(notebook.get("cells", [])):
        if cell.get("cell_type") == "code" and source_of(cell).strip():
            yield index, cell


def with_ids(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook with an id for every cell that its format wants one for and that has none."""
    found, version = notebook.get("cells"), (notebook.get("nbformat", 0), notebook.get("nbformat_minor", 0))
    if not isinstance(found, list) or version < (4, 5):
        return dict(notebook)
    made = [{"id": f"cell-{index}", **cell} if isinstance(cell, dict) else cell for index, cell in enumerate(found)]
    return {**notebook, "cells": made}


def syntax_problems(notebook: Mapping[str, Any]) -> list[Problem]:
    """Return the code cells that are not Python; those with IPython's own syntax are not judged."""
    found = []
    for index, cell in code_cells(notebook):
        source = source_of(cell)
        if _MAGIC.search(source):
            continue
        try:
            ast.parse(source)
        except SyntaxError as exc:
            path = f"notebook.cells.{index}.source"
            found.append(Problem(path, "syntax_error", f"not Python: {exc.msg} (line {exc.lineno})", exc.lineno))
        except (ValueError, RecursionError, MemoryError):
            found.append(Problem(f"notebook.cells.{index}.source", "syntax_error", "not Python that can be read"))
    return found


def parameters_schema(notebook: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the assignments in the cell tagged `parameters`, or None without such a cell."""
    cell = next((cell for _, cell in code_cells(notebook) if PARAMETERS in tags_of(cell)), None)
    if cell is None:
        return None
    try:
        body = ast.parse(source_of(cell)).body
    except (SyntaxError, ValueError):
        return None
    properties: dict[str, Any] = {}
    for statement in body:
        properties.update(_assigned(statement))
    return {"type": "object", "properties": properties}


def _assigned(statement: ast.stmt) -> dict[str, Any]:
    """Return name and schema of an assignment of a literal to a name; nothing for other statements."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, node, annotation = statement.targets[0], statement.value, None
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, node, annotation = statement.target, statement.value, statement.annotation
    else:
        return {}
    if not isinstance(target, ast.Name):
        return {}
    try:
        value = ast.literal_eval(node)
        default = json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, MemoryError, RecursionError):
        return {}
    named = _ANNOTATIONS.get(annotation.id) if isinstance(annotation, ast.Name) else None
    kind = named or _TYPES.get(type(default))
    return {target.id: {**({"type": kind} if kind and default is not None else {}), "default": default}}


def bad_names(inputs: Mapping[str, Any]) -> list[str]:
    """Return the inputs whose names can't be variables."""
    return [name for name in inputs if not name.isidentifier() or keyword.iskeyword(name)]


def inject(notebook: dict[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with a cell that sets the inputs: after the cell tagged `parameters`, else at the top.

    A cell that an earlier execution injected is replaced.
    """
    made = deepcopy(notebook)
    cells = [cell for cell in made["cells"] if INJECTED not in tags_of(cell)]
    if inputs:
        lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in inputs.items())]
        cell: dict[str, Any] = {
            "cell_type": "code",
            "metadata": {"tags": [INJECTED]},
            "execution_count": None,
            "outputs": [],
            "source": "\n".join(lines),
        }
        if (made.get("nbformat"), made.get("nbformat_minor", 0)) >= (4, 5):
            cell["id"] = INJECTED
        tagged = [index for index, known in enumerate(cells) if PARAMETERS in tags_of(known)]
        cells.insert(tagged[0] + 1 if tagged else 0, cell)
    made["cells"] = cells
    return made


def tagged_output(notebook: Mapping[str, Any]) -> Any:
    """Return the result of the cell tagged `output`, a list if there are several such cells, None if there is none."""
    found = [_result(cell) for _, cell in code_cells(notebook) if OUTPUT in tags_of(cell)]
    return found[0] if len(found) == 1 else (found or None)


def _result(cell: Mapping[str, Any]) -> Any:
    for output in reversed(cell.get("outputs", [])):
        if output.get("output_type") not in ("execute_result", "display_data"):
            continue
        data = output.get("data", {})
        if "application/json" in data:
            return data["application/json"]
        if "text/plain" in data:
            return _parsed("".join(data["text/plain"]))
    return None


def _parsed(text: str) -> Any:
    """Return what a text says as JSON or as a Python literal that JSON can say, else the text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return json.loads(json.dumps(read(text), allow_nan=False))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return text


def figures(notebook: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every PNG among the outputs: `figure-<cell>-<n>.png`, both counted from 1."""
    for index, cell in code_cells(notebook):
        images = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
        for number, image in enumerate((image for image in images if image), 1):
            try:
                yield f"figure-{index + 1}-{number}.png", base64.b64decode("".join(image))
            except (binascii.Error, ValueError):
                continue  # not an image; it stays in the notebook as it is
