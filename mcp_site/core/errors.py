"""Errors that people see: a stable code, an HTTP status, and a sentence that says what to do.

The docstring of each class is its default message, so that no error exists without a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document: where (`path`, dotted), which (`code`), and why (`detail`)."""

    path: str
    code: str
    detail: str
    line: int | None = None

    def under(self, prefix: str) -> Problem:
        """Return the same problem seen from a document that holds this one at `prefix`."""
        path = ".".join(part for part in (prefix, self.path) if part)
        return Problem(path, self.code, self.detail, self.line)


_CODES = {"missing": "required", "extra_forbidden": "unknown_field"}
_DETAILS = {"missing": "is required", "extra_forbidden": "this field is not known here"}


def problem_of(error: Mapping[str, Any]) -> Problem:
    """Return one of Pydantic's errors as a problem; ask for them without their input, which may be a secret."""
    kind = str(error["type"])
    detail = _DETAILS.get(kind) or str(error["msg"]).removeprefix("Value error, ")
    return Problem(".".join(map(str, error["loc"])), _CODES.get(kind, "invalid"), detail)


class AppError(Exception):
    """The request could not be carried out."""

    code = "error"
    status = 400

    def __init__(self, detail: str | None = None, *, attr: str | None = None, code: str | None = None) -> None:
        self.detail = detail or " ".join((type(self).__doc__ or "").split())
        self.attr = attr
        if code is not None:
            self.code = code
        super().__init__(self.detail)


class Rejected(AppError):
    """The input was not accepted."""

    code = "invalid"
    status = 400

    def __init__(self, problems: Sequence[Problem] | str, *, attr: str | None = None, code: str = "invalid") -> None:
        if isinstance(problems, str):
            problems = [Problem(attr or "", code, problems)]
        self.problems: tuple[Problem, ...] = tuple(problems)
        first = self.problems[0]
        super().__init__(first.detail, attr=first.path or None, code=first.code)


class NotFound(AppError):
    """There is nothing here that you can see."""

    code = "not_found"
    status = 404


class Forbidden(AppError):
    """Your role or your share of this object does not allow that."""

    code = "permission_denied"
    status = 403


class Conflict(AppError):
    """The present state does not allow that."""

    code = "conflict"
    status = 409


class OtherSideFailed(AppError):
    """The system on the other side did not do what it was asked."""

    code = "connection_failed"
    status = 422


def reject_if(problems: Iterable[Problem]) -> None:
    """Raise `Rejected` with all `problems` at once, if there are any."""
    found = tuple(problems)
    if found:
        raise Rejected(found)
