"""The audit trail over HTTP, for Admins: list it, take it out, prove it whole."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import django_filters
from channels.db import database_sync_to_async
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, chain, services
from accounts.api.serializers import PersonSerializer
from accounts.models import AuditEvent
from accounts.permissions import actor
from mcp_site.core.documents import canonical
from mcp_site.core.errors import Rejected
from mcp_site.core.filters import MomentFilter
from mcp_site.core.http import StrictQuery

_BATCH = 1000
# A cell that begins like this is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class AuditFilter(django_filters.FilterSet):
    """`?actor=&action=&object_type=&object_id=&after=&before=`."""

    actor = django_filters.UUIDFilter(field_name="actor__uid")
    action = django_filters.CharFilter(max_length=64)
    object_type = django_filters.CharFilter(max_length=32)
    object_id = django_filters.CharFilter(max_length=64)
    after = MomentFilter(field_name="at", lookup_expr="gte")
    before = MomentFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields: ClassVar[tuple[str, ...]] = ()


class AuditObjectSerializer(serializers.Serializer[AuditEvent]):
    """What was acted on."""

    type = serializers.CharField(source="object_type")
    id = serializers.CharField(source="object_id")
    name = serializers.CharField(source="object_name")


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One act. `link` and `hash` are null for the moment until it is sealed."""

    number = serializers.IntegerField(source="id", read_only=True)
    actor = PersonSerializer(read_only=True, allow_null=True)
    object = AuditObjectSerializer(source="*", read_only=True)
    changes = serializers.DictField(read_only=True)
    link = serializers.IntegerField(source="link.number", read_only=True, allow_null=True)
    hash = serializers.CharField(source="link.hash", read_only=True, allow_null=True)

    class Meta:
        model = AuditEvent
        fields: ClassVar[tuple[str, ...]] = (
            "number",
            "at",
            "actor",
            "actor_kind",
            "action",
            "object",
            "changes",
            "request_id",
            "address",
            "link",
            "hash",
        )


class VerdictSerializer(serializers.Serializer[chain.Verdict]):
    """`checked` links are right; `first_broken` is the number of the first that is not."""

    valid = serializers.BooleanField()
    checked = serializers.IntegerField()
    first_broken = serializers.IntegerField(allow_null=True)


class AuditRoute(StrictQuery):
    """What the routes of the trail share: Admins only, the same events, the same filters."""

    queryset = AuditEvent.objects.select_related("actor", "link")
    serializer_class = AuditEventSerializer

    def check_permissions(self, request: Request) -> None:
        """Let Admins in. Raises NotAuthenticated, Forbidden."""
        super().check_permissions(request)
        access.require(request.user, "audit.view")


class AuditEvents(mixins.ListModelMixin, AuditRoute):
    """Who did what: newest first."""

    area = "audit"
    filterset_class = AuditFilter


class AuditVerify(AuditRoute):
    """The proof."""

    area = "audit"

    @extend_schema(responses={200: VerdictSerializer}, operation_id="audit_events_verify")
    def verify(self, request: Request) -> Response:
        """Compute the chain anew: is every event as it was sealed, and is none lost?"""
        return Response(VerdictSerializer(chain.verify()).data)


def _cell(value: Any) -> str:
    """Return `value` for a CSV cell that no spreadsheet takes for a formula."""
    if isinstance(value, (dict, list)):
        value = canonical(value).decode()
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its actor and object spread over cells of their own."""
    person, thing = data["actor"] or {}, data["object"]
    spread = {
        "actor": {"actor_id": person.get("id"), "actor_name": person.get("full_name")},
        "object": {f"object_{name}": value for name, value in thing.items()},
    }
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat.update(spread.get(name, {name: value}))
    return flat


_COLUMNS = (
    *("number", "at", "actor_id", "actor_name", "actor_kind", "action", "object_type", "object_id", "object_name"),
    *("changes", "request_id", "address", "link", "hash"),
)


def _csv_rows(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS)
    writer.writerows({name: _cell(value) for name, value in _flat(row).items()} for row in rows)
    return out.getvalue()


def _ndjson_rows(rows: list[dict[str, Any]]) -> str:
    return "".join(canonical(row).decode() + "\n" for row in rows)


# By `?as=`: media type, first line, and how rows are written.
_FORMS: dict[str, tuple[str, str, Callable[[list[dict[str, Any]]], str]]] = {
    "csv": ("text/csv; charset=utf-8", ",".join(_COLUMNS) + "\r\n", _csv_rows),
    "ndjson": ("application/x-ndjson", "", _ndjson_rows),
}


async def _pieces(events: QuerySet[AuditEvent], form: str) -> AsyncIterator[str]:
    """Yield the events oldest first, a batch at a time: the trail only grows, so batches by number miss nothing."""
    _media_type, head, write = _FORMS[form]

    @database_sync_to_async
    def batch(after: int) -> tuple[int, str]:
        rows = list(events.filter(pk__gt=after).order_by("pk")[:_BATCH])
        return (rows[-1].pk if rows else 0), write([dict(AuditEventSerializer(row).data) for row in rows])

    yield head
    last, text = await batch(0)
    while last:
        yield text
        last, text = await batch(last)


class AuditExport(AuditRoute):
    """The trail as a file."""

    area = "audit"
    filterset_class = AuditFilter
    query_params = frozenset({"as", *AuditFilter.get_filters()})  # type: ignore[no-untyped-call]  # django-filter has no types

    @extend_schema(
        operation_id="audit_events_export",
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/x-ndjson"): OpenApiTypes.STR},
        parameters=[OpenApiParameter("as", OpenApiTypes.STR, enum=sorted(_FORMS), description="`csv` unless given")],
        filters=True,
    )
    def export(self, request: Request) -> HttpResponseBase:
        """Stream the filtered events, oldest first, up to the one that records this export."""
        form = request.query_params.get("as", "csv")
        if form not in _FORMS:
            raise Rejected(f"one of {', '.join(_FORMS)}", attr="as")
        filters = {name: request.query_params[name] for name in request.query_params if name != "as"}
        events = self.filter_queryset(self.get_queryset())
        until = services.export_audit(by=actor(request), form=form, filters=filters)
        # This thread's part is over, while its request goes on for as long as the client reads.
        close_old_connections()
        response = StreamingHttpResponse(_pieces(events.filter(pk__lte=until.pk), form), content_type=_FORMS[form][0])
        response["Content-Disposition"] = f'attachment; filename="audit-events.{form}"'
        response["Cache-Control"] = "no-store"
        return response
