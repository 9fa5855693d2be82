"""What edges share: strict query parameters, entity tags, page or fragment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from functools import wraps
from hashlib import sha256
from typing import Any, ClassVar, TypeVar, cast

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mcp_site.core.documents import canonical
from mcp_site.core.errors import AppError, Problem, Rejected, reject_if

# A weak tag counts like a strong one: proxies that compress weaken those that pass.
_TAG = re.compile(r'"[\x21\x23-\x7e]*"')


def refuse_unknown_parameters(request: Request, known: Container[str]) -> None:
    """Raise Rejected for query parameters whose names are not `known`."""
    reject_if(
        Problem(name, "unknown_parameter", "this query parameter is not known here")
        for name in request.query_params
        if name not in known
    )


class Stale(AppError):
    """It was changed since you read it; read it again, and send your change with its new ETag."""

    code = "stale"
    status = 412


class StrictQuery(viewsets.GenericViewSet[Any]):
    """A viewset that refuses query parameters it does not know, naming them.

    List what the actions read beside paging, search, ordering and filters in `query_params`
    (for all actions).

    A view that sets `untagged` sends an `ETag` with one row, over all that it shows but the `untagged` fields:
    those that change by themselves, such as the time of the next run. Its handlers that change the row are
    wrapped in `unless_stale`.
    """

    query_params: ClassVar[frozenset[str]] = frozenset()
    untagged: ClassVar[frozenset[str] | None] = None

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

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the entity tag to an answer that shows one row."""
        shows_one = getattr(self, "action", None) in {"create", "retrieve", "partial_update", "update"}
        if self.untagged is not None and shows_one and response.status_code in (200, 201):
            response["ETag"] = self.tag_of(response.data)
        return super().finalize_response(request, response, *args, **kwargs)

    def tag_of(self, shown: Any) -> str:
        """Return the entity tag of a row as it is shown."""
        plain = {name: value for name, value in shown.items() if name not in (self.untagged or ())}
        return f'"{sha256(canonical(json.loads(JSONRenderer().render(plain)))).hexdigest()[:32]}"'

    def refuse_if_stale(self, request: Request, **kwargs: Any) -> None:
        """Raise Stale unless the row is as one of the tags in If-Match says. Locks the row."""
        model: Any = self.get_queryset().model
        wanted = {self.lookup_field: kwargs[self.lookup_url_kwarg or self.lookup_field]}
        # Evaluated: nobody changes it between the comparison and the change.
        list(model.objects.filter(**wanted).select_for_update(of=("self",)).values_list("pk"))
        given = request.headers["If-Match"].strip()
        shown: Any = getattr(self, "retrieve")  # noqa: B009  not every viewset has it
        if given != "*" and self.tag_of(shown(request, **kwargs).data) not in _TAG.findall(given):
            raise Stale


_Handler = TypeVar("_Handler", bound=Callable[..., Response])
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="the ETag that the change is meant for; without it the last write wins",
)


def unless_stale(handler: _Handler) -> _Handler:
    """Let callers of a handler that changes one row send If-Match: 412 where the row was changed meanwhile."""

    @wraps(handler)
    def guarded(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "If-Match" not in request.headers:
            return handler(view, request, *args, **kwargs)
        with transaction.atomic():
            view.refuse_if_stale(request, **kwargs)
            return handler(view, request, *args, **kwargs)

    return cast(_Handler, extend_schema(parameters=[_IF_MATCH])(guarded))


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
