"""The only writer of audit rows. Call `log` inside the transaction of the act, so that both stand or fall."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from accounts.models import AuditEvent, User
from mcp_site.core.masking import mask_names


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act came from."""

    request_id: str = ""
    address: str | None = None
    user_agent: str = ""
    # What the API key begins with that the caller showed.
    key: str = ""


_NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("audit_origin", default=_NOWHERE)


def set_origin(origin: Origin) -> None:
    """Remember where the acts of this request come from (the middleware calls this)."""
    _origin.set(origin)


def origin() -> Origin:
    """Return where the acts of this request come from."""
    return _origin.get()


def note_key(prefix: str) -> None:
    """Remember that this request was made with the API key that begins with `prefix`."""
    _origin.set(replace(_origin.get(), key=prefix))


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{field: [before, after]}` for what differs."""
    names = [*before, *(name for name in after if name not in before)]
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def log(
    by: User | None,
    action: str,
    target: Any = None,
    *,
    type: str = "",
    id: str = "",
    name: str = "",
    changes: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Record that `by` (None: the panel itself) did `action` to `target`.

    `target` may be any row with a `uid`; its type is its model's name and its name its slug. Values under
    secret-looking names in `changes` are masked.
    """
    where = _origin.get()
    if target is not None:
        type = type or target._meta.model_name  # noqa: SLF001  Django's public-by-convention Meta
        id = id or str(getattr(target, "uid", target.pk))
        name = name or str(getattr(target, "slug", "") or target)
    return AuditEvent.objects.create(
        actor=by,
        actor_kind="system" if by is None else "key" if where.key else "user",
        key=where.key if by is not None else "",
        action=action,
        object_type=type,
        object_id=id,
        object_name=name[:200],
        changes=mask_names(dict(changes or {})),
        request_id=where.request_id,
        address=where.address,
    )
