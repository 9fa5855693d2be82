"""What templates of all pages draw with: icons, states, times, JSON. They escape whatever they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from mcp_site.core import clock

register = template.Library()

# States that have no drawing of their own share one.
_DRAWN_AS = {
    "ok": "st-succeeded",
    "error": "st-failed",
    "warning": "warning",
    "info": "info",
    "paused": "st-waiting",
}
_UNITS = ((60, "s"), (60, "min"), (24, "h"), (7, "d"))
_KINDS = frozenset({"llm", "notebook", "script", "sql", "workflow", "key"})
_KINDS_DRAWN_AS = {"postgresql": "sql", "sqlite": "sql", "openai": "llm", "secret": "key"}
# A tree of more values than this is shown as far as it goes; the API has the whole.
MAX_TREE_VALUES = 1500
MAX_TREE_DEPTH = 12
MAX_TEXT = 2000


def icon_of_state(state: str) -> str:
    """Return the name of the drawing for a state."""
    return _DRAWN_AS.get(state, f"st-{state}")


@register.filter
def word(state: str) -> str:
    """Return a state as people read it: `timed_out` is "Timed out"."""
    return str(state).replace("_", " ").capitalize()


def icon_href(name: str) -> str:
    """Return the address of one drawing of the sprite."""
    return f"{static('img/icons.svg')}#{name}"


@register.simple_tag
def state_href(state: str) -> str:
    """Return the address of a state's drawing."""
    return icon_href(icon_of_state(state))


def _drawing_of_kind(name: str) -> str:
    return _KINDS_DRAWN_AS.get(name, name if name in _KINDS else "definition")


@register.simple_tag
def kind_href(name: str) -> str:
    """Return the address of a kind's drawing."""
    return icon_href(_drawing_of_kind(name))


@register.simple_tag
def icon(name: str, state: str = "", size: str = "", plain: bool = False) -> SafeString:
    """Draw an icon, in a state's colour if one is given; `plain` leaves its size to what is around it."""
    return format_html(
        '<svg{}{}{} aria-hidden="true"><use href="{}"/></svg>',
        mark_safe("" if plain else ' class="c-icon"'),  # noqa: S308  (constants)
        format_html(' data-state="{}"', state) if state else "",
        format_html(' data-size="{}"', size) if size else "",
        icon_href(name),
    )


@register.simple_tag
def state_icon(state: str) -> SafeString:
    """Draw a state's own icon in its colour."""
    return icon(icon_of_state(state), state=state)


@register.simple_tag
def badge(state: str, text: str = "", size: str = "", look: str = "") -> SafeString:
    """Write a state as a badge: drawing, colour and word (`text` in place of the state's own)."""
    return format_html(
        '<span class="c-badge" data-state="{}"{}{}>{}<span data-word>{}</span></span>',
        state,
        format_html(' data-size="{}"', size) if size else "",
        format_html(' data-look="{}"', look) if look else "",
        state_icon(state),
        text or word(state),
    )


@register.simple_tag
def kind(name: str, size: str = "") -> SafeString:
    """Draw the mark of a kind of definition, or of a type of connection."""
    drawn = _drawing_of_kind(name)
    more = format_html(' data-size="{}"', size) if size else ""
    colour = drawn if drawn in _KINDS else name
    return format_html('<span class="c-kind" data-kind="{}"{}>{}</span>', colour, more, icon(drawn))


def ago_text(at: datetime, now: datetime) -> str:
    """Say how long ago, or how far ahead, a moment is; the date where that is over a week."""
    amount = abs((now - at).total_seconds())
    if amount < 5:
        return "just now"
    for size, unit in _UNITS:
        if amount < size:
            text = f"{int(amount)} {unit}"
            return f"in {text}" if at > now else f"{text} ago"
        amount /= size
    return f"{at.day} {at:%b %Y}"


@register.simple_tag
def moment(at: datetime | None) -> SafeString | str:
    """Write a time relative to now, the exact one in its title."""
    if at is None:
        return "–"
    return format_html(
        '<relative-time><time datetime="{}" title="{} UTC">{}</time></relative-time>',
        at.isoformat(),
        at.strftime("%Y-%m-%d %H:%M:%S"),
        ago_text(at, clock.now()),
    )


@register.filter
def spell(value: timedelta | float | None) -> str:
    """Write a duration: `0.42 s`, `4.2 s`, `1 m 38 s`, `2 h 11 m`, `3 d 4 h`."""
    if value is None:
        return "–"
    seconds = max(0.0, value.total_seconds() if isinstance(value, timedelta) else float(value))
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


@register.filter
def initials(person: Any) -> str:
    """Return one or two letters for a person's mark."""
    words = str(person or "?").replace(".", " ").replace("@", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"


@register.filter
def size(count: int | None) -> str:
    """Write a number of bytes: `512 B`, `1.4 KiB`."""
    amount = float(count or 0)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


@register.filter
def get(values: Mapping[Any, Any], name: Any) -> Any:
    """Return what a mapping holds under a name, None for nothing."""
    return values.get(name)


@register.filter
def pretty(value: Any) -> str:
    """Write a JSON value over several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


@register.filter
def cell(value: Any) -> str:
    """Write a JSON value as one cell of a table."""
    if value is None:
        return "null"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def is_table(value: Any) -> bool:
    """Tell whether a value has the shape of a query's rows."""
    # Steps give what they like: what only looks like a table is drawn as a tree.
    columns, rows = (value.get("columns"), value.get("rows")) if isinstance(value, dict) else (None, None)
    return (
        isinstance(columns, list)
        and isinstance(rows, list)
        and all(isinstance(column, dict) and "name" in column for column in columns)
        and all(isinstance(row, list) for row in rows)
    )


@register.simple_tag
def json_tree(value: Any, name: str = "") -> SafeString:
    """Draw a JSON value as a tree that opens and closes, the first levels open."""
    left = iter(range(MAX_TREE_VALUES))
    return format_html('<div class="c-json">{}</div>', _node(name, value, 0, left))


def _label(name: str) -> SafeString:
    return format_html('<span class="k-key">{}</span>', name) if name != "" else mark_safe("")


def _leaf(value: Any) -> SafeString:
    # Text of several lines (a traceback, an answer) stands as it was written.
    text = f'"{value}"' if isinstance(value, str) and "\n" in value else json.dumps(value, ensure_ascii=False)
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}…"
    if isinstance(value, str):
        return format_html('<span class="k-str">{}</span>', text)
    if value is None or isinstance(value, bool):
        return format_html('<span class="{}">{}</span>', "u-mute" if value is None else "k-tag", text)
    return format_html('<span class="k-num">{}</span>', text)


def _node(name: str, value: Any, depth: int, left: Iterator[int]) -> SafeString:
    if not isinstance(value, dict | list) or not value or depth >= MAX_TREE_DEPTH:
        shown = value if not isinstance(value, dict | list) or not value else "…"
        return format_html("<div>{}{}</div>", _label(name), _leaf(shown))
    pairs = value.items() if isinstance(value, dict) else ((str(place), item) for place, item in enumerate(value))
    parts = []
    for key, item in pairs:
        if next(left, None) is None:
            parts.append(mark_safe('<li><div class="u-mute">… the API has the rest</div></li>'))
            break
        parts.append(format_html("<li>{}</li>", _node(str(key), item, depth + 1, left)))
    count = f"{{{len(value)}}}" if isinstance(value, dict) else f"[{len(value)}]"
    opened = mark_safe(" open" if depth < 2 and len(value) <= 50 else "")  # noqa: S308  (constants)
    return format_html(
        '<details{}><summary>{} <span class="u-mute">{}</span></summary><ul>{}</ul></details>',
        opened,
        _label(name),
        count,
        mark_safe("".join(map(conditional_escape, parts))),  # noqa: S308  (each part is made by format_html)
    )


@register.filter
def add_number(value: float, more: float) -> str:
    """Return a sum with one digit behind the point, as drawings want it."""
    return f"{value + more:.1f}"
