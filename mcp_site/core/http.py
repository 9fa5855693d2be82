"""What edges share: the htmx request, strict query parameters, page or fragment."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import viewsets
from rest_framework.request import Request

from mcp_site.core.errors import Problem, Rejected, reject_if


def refuse_unknown_parameters(request: Request, known: Container[str]) -> None:
    """Raise Rejected for query parameters whose names are not `known`."""
    reject_if(
        Problem(name, "unknown_parameter", "this query parameter is not known here")
        for name in request.query_params
        if name not in known
    )


class StrictQuery(viewsets.GenericViewSet[Any]):
    """A viewset that refuses query parameters it does not know, naming them.

    List what the actions read beside paging, search, ordering and filters in `query_params`
    (for all actions).
    """

    query_params: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the caller first, then the query."""
        super().initial(request, *args, **kwargs)
        known = {"format", *self.query_params}
        if self.detail is False and request.method == "GET":
            known |= {"cursor", "page_size", "search", "ordering"}
            filterset = getattr(self, "filterset_class", None)
            if filterset is not None:
                known |= set(filterset.base_filters)
        refuse_unknown_parameters(request, known)
        for name, values in request.query_params.lists():
            if any("\x00" in value for value in values):
                raise Rejected("may not hold the NUL character", attr=name, code="null_character")


def whole_number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return the query parameter `name` as a number from `low` to `high`. Raises Rejected."""
    raw = request.query_params.get(name)
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdecimal() or not low <= int(raw[:18]) <= high:
        raise Rejected(f"a whole number from {low} to {high}", attr=name)
    return int(raw)


def page_or_partial(request: HttpRequest, page: str, partial: str, context: dict[str, Any]) -> HttpResponse:
    """Render `partial` for htmx and `page` (which includes the same partial) for everyone else."""
    htmx = getattr(request, "htmx", None)
    wants_partial = htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request
    return render(request, partial if wants_partial else page, context)
