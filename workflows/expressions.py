"""Expressions in graphs: CEL inside `${{ }}`, compiled when a version is saved, evaluated when a step starts.

A string that is one whole expression keeps the type of its value; a string with text around expressions is
interpolated. `$${{` writes a literal `${{`. Plain paths (`inputs.region`, `steps.a.output.rows[0]`) are walked
directly, which gives the same answer as CEL without converting the whole scope.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

# `failures` is known only to the handler of a failed run.
ROOTS = ("inputs", "steps", "item", "index", "run", "failures")
MAX_EXPRESSION = 4096
_STRING = re.compile(r"""[rR]?("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_PLAIN = re.compile(r"[a-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,9}\])*")
_STEP = re.compile(r"(?<![\w.])steps\s*\.\s*([A-Za-z_]\w*)")
_STEPS = re.compile(r"(?<![\w.])steps\b")
_INPUT = re.compile(r"(?<![\w.])inputs\s*\.\s*([A-Za-z_]\w*)")
_ITEMS = re.compile(r"(?<![\w.])steps\s*\.\s*([A-Za-z_]\w*)\s*\.\s*items\b")


class BadExpression(ValueError):
    """An expression that can't be compiled; the message says why."""


class EvaluationFailed(ValueError):
    """An expression that has no value with the data at hand; the message says why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression and the names it reads."""

    source: str
    program: cel.Program | None
    path: tuple[str | int, ...]
    steps: frozenset[str]
    items_of: frozenset[str]
    inputs: frozenset[str]
    roots: frozenset[str]

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value in `scope`. Raises EvaluationFailed."""
        if self.program is None:
            return _walk(self.source, self.path, scope)
        try:
            return _plain_json(self.program.execute({name: scope.get(name) for name in self.roots}))
        except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError) as exc:
            raise EvaluationFailed(f"`{self.source}`: {_first_line(exc)}") from exc


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]


def _walk(source: str, path: tuple[str | int, ...], scope: Mapping[str, Any]) -> Any:
    value: Any = scope
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError) as exc:
            raise EvaluationFailed(f"`{source}`: there is no `{part}` here") from exc
    return value


def _plain_json(value: Any) -> Any:
    """Turn what CEL returns into JSON values: bytes and times become text, optionals their value or null."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_json(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@lru_cache(maxsize=4096)
def compile_expression(source: str, known: tuple[str, ...] = ROOTS) -> Expression:
    """Compile one expression that may read the `known` names. Raises BadExpression."""
    source = source.strip()
    if not source:
        raise BadExpression("the expression is empty")
    if len(source) > MAX_EXPRESSION:
        raise BadExpression(f"an expression has at most {MAX_EXPRESSION} characters")
    bare = _STRING.sub('""', source)
    if len(_STEPS.findall(bare)) != len(_STEP.findall(bare)):
        raise BadExpression("name a step as steps.<key>, so that it is known what the step depends on")
    steps, inputs = frozenset(_STEP.findall(bare)), frozenset(_INPUT.findall(bare))
    items_of = frozenset(_ITEMS.findall(bare))
    if _PLAIN.fullmatch(source) and source not in ("true", "false", "null"):
        path = tuple(int(p[1:-1]) if p.startswith("[") else p for p in re.findall(r"\[\d+\]|\w+", source))
        roots = frozenset({str(path[0])})
        program = None
    else:
        try:
            program = cel.compile(source)
        except ValueError as exc:
            raise BadExpression(f"not a CEL expression: {_first_line(exc)}") from exc
        path, roots = (), frozenset(program.variables()) & frozenset(known)
    unknown = {str(path[0])} - set(known) if path else _unknown_names(program, bare, known)
    if unknown:
        raise BadExpression(f"unknown name `{min(unknown)}`; known are {', '.join(known)}")
    return Expression(source, program, path, steps, items_of, inputs, roots)


def _unknown_names(program: cel.Program | None, bare: str, known: tuple[str, ...]) -> set[str]:
    """Return names that are neither roots nor bound by a macro such as `list.map(x, …)`."""
    bound = set(re.findall(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*([A-Za-z_]\w*)\s*,", bare))
    return set(program.variables()) - set(known) - bound if program else set()


def _pieces(text: str, known: tuple[str, ...]) -> Iterator[str | Expression]:
    """Split `text` into literal pieces and compiled expressions. Raises BadExpression."""
    position = 0
    literal = ""
    while (start := text.find("${{", position)) >= 0:
        literal += text[position:start]
        if literal.endswith("$"):
            literal, position = literal[:-1] + "${{", start + 3
            continue
        end = _closing(text, start + 3)
        if literal:
            yield literal
            literal = ""
        yield compile_expression(text[start + 3 : end], known)
        position = end + 2
    literal += text[position:]
    if literal:
        yield literal


def _closing(text: str, start: int) -> int:
    """Return where the `}}` stands that ends the expression begun at `start`; braces and strings nest."""
    depth, position = 0, start
    while position < len(text):
        string = _STRING.match(text, position)
        if string:
            position = string.end()
            continue
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            if depth == 0 and text.startswith("}}", position):
                return position
            depth -= 1
        position += 1
    raise BadExpression("`${{` is not closed by `}}`")


@dataclass(frozen=True, slots=True)
class _Text:
    pieces: tuple[str | Expression, ...]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Template:
    """A JSON value with expressions in its strings, compiled once. They may read `roots`, else what graphs know."""

    def __init__(self, value: Any, *, roots: tuple[str, ...] = ROOTS) -> None:
        self._known = roots
        self.problems: list[tuple[str, str]] = []
        self.expressions: list[Expression] = []
        self._tree = self._compile(value, "")

    @property
    def is_constant(self) -> bool:
        """Tell whether there is nothing to evaluate."""
        return not self.expressions

    @property
    def is_whole(self) -> bool:
        """Tell whether the value is one expression, which then keeps the type of its value."""
        return isinstance(self._tree, Expression)

    @property
    def steps(self) -> frozenset[str]:
        """Return the keys of the steps that are read."""
        return frozenset(key for expression in self.expressions for key in expression.steps)

    @property
    def items_of(self) -> frozenset[str]:
        """Return the keys of the mapped steps whose single items are read."""
        return frozenset(key for expression in self.expressions for key in expression.items_of)

    @property
    def inputs(self) -> frozenset[str]:
        """Return the names of the run's inputs that are read."""
        return frozenset(name for expression in self.expressions for name in expression.inputs)

    @property
    def roots(self) -> frozenset[str]:
        """Return the names that are read: `inputs`, `steps`, `item`, `index`, `run`, `failures`."""
        return frozenset(name for expression in self.expressions for name in expression.roots)

    def _compile(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: self._compile(inner, f"{path}.{key}" if path else key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._compile(inner, f"{path}.{i}" if path else str(i)) for i, inner in enumerate(value)]
        if not isinstance(value, str) or "${{" not in value:
            return value
        try:
            pieces = tuple(_pieces(value, self._known))
        except BadExpression as exc:
            self.problems.append((path, str(exc)))
            return value
        self.expressions += [piece for piece in pieces if isinstance(piece, Expression)]
        if len(pieces) == 1:
            return pieces[0]
        return _Text(pieces)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value with every expression replaced. Raises EvaluationFailed."""
        return self._evaluate(self._tree, scope)

    def _evaluate(self, node: Any, scope: Mapping[str, Any]) -> Any:
        if isinstance(node, Expression):
            return node.evaluate(scope)
        if isinstance(node, _Text):
            return "".join(p if isinstance(p, str) else _as_text(p.evaluate(scope)) for p in node.pieces)
        if isinstance(node, dict):
            return {key: self._evaluate(inner, scope) for key, inner in node.items()}
        if isinstance(node, list):
            return [self._evaluate(inner, scope) for inner in node]
        return node
