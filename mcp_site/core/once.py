"""Idempotency-Key: a POST that starts or creates does so once, however often a client sends it.

`once` wraps a handler of a view. Where the answers are kept is a table's business: the app that has the table calls
`keep_in` with a function that opens a slot; the floor has no tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import wraps
from hashlib import sha256
from typing import Any, TypeVar, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mcp_site.core.documents import canonical
from mcp_site.core.errors import Conflict, Rejected
from mcp_site.core.problems import body_of

HEADER = "Idempotency-Key"
# Says in an answer that it is the one of before.
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,198}")
_API = "/api/v1"
# Seconds after which a client whose first request is still in flight may ask again.
RETRY_AFTER = 1


class InProgress(Conflict):
    """The first request with this Idempotency-Key is still being answered; ask again in a moment."""

    code = "in_progress"


class KeyReused(Conflict):
    """This Idempotency-Key was used with another body; take a new key for a new request."""

    code = "key_reused"


class AlreadyCreated(Conflict):
    """This request was answered before, with a secret that is shown once."""

    code = "already_created"


@dataclass(frozen=True, slots=True)
class Asked:
    """What makes two requests the same: who asks (a user's key), the route with its method, the key, the body."""

    caller: int
    route: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is kept. `body` is JSON text; None where it held a secret, and then `made` names the object."""

    status: int
    body: str | None
    location: str = ""
    made: str = ""


@dataclass(slots=True)
class Slot:
    """One request's place: the answer of before, or room for the one to come."""

    before: Answer | None = None
    after: Answer | None = field(default=None)


# Opens a transaction that the handler's writes belong to. Raises InProgress, KeyReused.
Open = Callable[[Asked], AbstractContextManager[Slot]]
_open: list[Open] = []


def keep_in(open_slot: Open) -> None:
    """Have answers kept by `open_slot` (an app with a table calls this when it is ready)."""
    _open[:] = [open_slot]


def _asked(request: Request, key: str) -> Asked:
    if not _KEY.fullmatch(key):
        raise Rejected("1 to 199 characters of printable ASCII, not starting with a space", attr=HEADER)
    route = f"{request.method} {request.path.removeprefix(_API)}"
    return Asked(cast(int, request.user.pk), route, key, sha256(canonical(request.data)).hexdigest())


def _kept(response: Response, secret: bool) -> Answer:
    location = str(response.headers.get("Location", ""))
    made = str(response.data.get("id") or response.data.get("slug") or "") if isinstance(response.data, dict) else ""
    body = None if secret else JSONRenderer().render(response.data).decode()
    return Answer(response.status_code, body, location, made)


def _replayed(answer: Answer) -> Response:
    headers = {REPLAYED: "true"} | ({"Location": answer.location} if answer.location else {})
    if answer.body is None:
        error = AlreadyCreated(f"This request made {answer.made} before; its secret was shown in that answer only.")
        return Response(body_of(error), status=error.status, headers=headers)
    return Response(json.loads(answer.body) if answer.body else None, status=answer.status, headers=headers)


_Handler = TypeVar("_Handler", bound=Callable[..., Response])
PARAMETER = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="makes sending this again harmless: for 24 h the same key and body give the same answer",
)


def once(*, secret: bool = False) -> Callable[[_Handler], _Handler]:
    """Let callers of a handler name an Idempotency-Key.

    The same key and body give the answer of before (with the header `Idempotency-Replayed`), another body 409
    `key_reused`, a first request in flight 409 `in_progress` with Retry-After. What was refused is not kept: nothing
    was done, so the key is free. `secret`: the answer holds a secret, so it is kept without its body and replays as
    409 `already_created` that names what was made.
    """

    def decorate(handler: _Handler) -> _Handler:
        @wraps(handler)
        def guarded(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get(HEADER)
            # A handler may read too; only its POST is guarded.
            if key is None or request.method != "POST":
                return handler(view, request, *args, **kwargs)
            try:
                with _open[0](_asked(request, key)) as slot:
                    if slot.before is not None:
                        return _replayed(slot.before)
                    response = handler(view, request, *args, **kwargs)
                    if response.status_code < 300:
                        slot.after = _kept(response, secret)
                    return response
            except InProgress as exc:
                return Response(body_of(exc), status=exc.status, headers={"Retry-After": str(RETRY_AFTER)})

        return cast(_Handler, extend_schema(methods=["POST"], parameters=[PARAMETER])(guarded))

    return decorate
