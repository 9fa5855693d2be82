"""Reading JSON and YAML that strangers wrote, with caps on size, depth and aliases."""

from __future__ import annotations

import json
from typing import Any

import yaml

from mcp_site.core.errors import Problem, Rejected

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 64


def json_depth_exceeds(text: bytes, limit: int = MAX_DEPTH) -> bool:
    """Tell whether `text` nests brackets deeper than `limit`, without parsing it (a parser would recurse)."""
    depth = 0
    in_string = escaped = False
    for byte in text:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # backslash
                escaped = True
            elif byte == 0x22:  # double quote
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            if depth > limit:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_text(text: str, path: str) -> None:
    """Raise Rejected for a text that PostgreSQL can't store."""
    if "\x00" in text:
        raise Rejected("may not hold the NUL character", attr=path or None, code="null_character")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Rejected("holds half of a surrogate pair, which is no text", attr=path or None, code="not_text") from exc


def _refuse_unstorable(value: Any) -> None:
    """Raise Rejected where a text or a name can't be stored."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, str):
            _refuse_text(item, path)
        if isinstance(item, dict):
            for key, inner in item.items():
                _refuse_text(key, path)
                stack.append((f"{path}.{key}" if path else key, inner))
        elif isinstance(item, list):
            stack.extend((f"{path}.{index}" if path else str(index), inner) for index, inner in enumerate(item))


def load_json(text: bytes) -> Any:
    """Parse JSON (RFC 8259: no NaN, no Infinity). Raises Rejected with the place of the fault."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and json_depth_exceeds(text):
        raise Rejected(f"JSON nests deeper than {MAX_DEPTH} levels", code="too_deep")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise Rejected("the text is not UTF-8", code="parse_error") from exc
    except json.JSONDecodeError as exc:
        raise Rejected(f"not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})", code="parse_error") from exc
    except (ValueError, RecursionError) as exc:
        # ValueError: NaN, or an integer of more digits than Python converts.
        raise Rejected("not JSON: a number is out of range", code="parse_error") from exc
    _refuse_unstorable(value)
    return value


class _Loader(yaml.SafeLoader):
    """YAML without aliases, tags of Python, or dates: what JSON can say, and nothing else."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a name must be text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str) -> Any:
    """Parse YAML into JSON values. Raises Rejected with the line of the fault."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Rejected(f"the document is larger than {MAX_BYTES} bytes", code="too_large")
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader with less, not more)
        # Goes through JSON so that nothing but JSON's types leaves this function.
        value = load_json(json.dumps(value, allow_nan=False).encode())
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        detail = f"not YAML: {exc.problem or exc.context or 'cannot be read'}"
        raise Rejected([Problem("", "parse_error", detail, line)]) from exc
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        raise Rejected("not YAML that says what JSON can say", code="parse_error") from exc
    return value


def canonical(value: Any) -> bytes:
    """Return the one JSON text that equal values share: sorted names, no spaces. Digests are made of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
