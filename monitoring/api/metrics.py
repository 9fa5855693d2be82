"""Metrics over HTTP: samples in, series out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.permissions import actor
from mcp_site.core import clock
from mcp_site.core.errors import Problem, Rejected, reject_if
from mcp_site.core.http import StrictQuery, refuse_unknown_parameters
from mcp_site.core.pagination import NewestFirst
from monitoring import explorer, services, spans
from monitoring.api.samples import BatchBody, PerformanceBody, SampleBody, read_batch, read_sample
from monitoring.models import Series
from monitoring.series import Measured
from monitoring.sketch import AGGREGATES

TAGS = ["metrics"]
_TAG = "tag."


class Stored(serializers.Serializer[Any]):
    """How many samples were written."""

    stored = serializers.IntegerField()


class _Writes(APIView):
    """What the routes that take samples share."""

    area = "metrics"

    def keep(self, request: Request, measured: Sequence[Measured]) -> Response:
        """Store what the body held, and say how many."""
        return Response({"stored": services.record(by=actor(request), measured=measured)}, status=201)


class Performance(_Writes):
    """How models do."""

    @extend_schema(request=PerformanceBody, responses={201: Stored}, operation_id="metrics_performance", tags=TAGS)
    def post(self, request: Request) -> Response:
        """Store the latency of a model and, if given, its accuracy."""
        access.require(request.user, "metric.write")
        body = PerformanceBody(data=request.data)
        body.is_valid(raise_exception=True)
        return self.keep(request, body.measured(clock.now()))


class Custom(_Writes):
    """Whatever else is measured."""

    @extend_schema(request=SampleBody, responses={201: Stored}, operation_id="metrics_custom", tags=TAGS)
    def post(self, request: Request) -> Response:
        """Store one sample."""
        access.require(request.user, "metric.write")
        return self.keep(request, read_sample(request.data, clock.now()))


class Batch(_Writes):
    """Many samples at once."""

    @extend_schema(request=BatchBody, responses={201: Stored}, operation_id="metrics_batch", tags=TAGS)
    def post(self, request: Request) -> Response:
        """Store up to 5,000 samples: all or none."""
        access.require(request.user, "metric.write")
        return self.keep(request, read_batch(request.data, clock.now()))


class LineSerializer(serializers.Serializer[Any]):
    """One series: its tags, and [time, value] for each bucket with samples."""

    tags = serializers.DictField(child=serializers.CharField())
    points = serializers.ListField(child=serializers.ListField())


class SeriesSerializer(serializers.Serializer[Any]):
    """What was asked for, as it was understood. `left_out` counts series beyond the newest 100."""

    name = serializers.CharField()
    aggregate = serializers.CharField()
    bucket = serializers.CharField()
    series = LineSerializer(many=True)
    left_out = serializers.IntegerField()


_PARAMETERS = [
    OpenApiParameter("name", str, required=True, description="Name of the series"),
    OpenApiParameter("from", OpenApiTypes.DATETIME, description="From this moment on; a day before `to` if left out"),
    OpenApiParameter("to", OpenApiTypes.DATETIME, description="Before this moment; now if left out"),
    OpenApiParameter("bucket", str, description="`1m 5m 1h 1d …`; about 300 buckets if left out"),
    OpenApiParameter("aggregate", str, enum=AGGREGATES, description="What each bucket comes to; `avg` if left out"),
    OpenApiParameter("tag.x", str, description="Only series whose tag `x` has this value; as many as you like"),
]


class SeriesPoints(APIView):
    """Series over time."""

    area = "metrics"

    @extend_schema(parameters=_PARAMETERS, responses={200: SeriesSerializer}, operation_id="metrics_series", tags=TAGS)
    def get(self, request: Request) -> Response:
        """Show one value per bucket of time for each series of a name."""
        access.require(request.user, "metric.view")
        asked = read_query(request)
        lines, left_out = explorer.lines(actor(request), asked)
        return Response(
            {
                "name": asked.name,
                "aggregate": asked.aggregate,
                "bucket": spans.text_of(asked.bucket),
                "series": [{"tags": tags, "points": points} for tags, points in lines],
                "left_out": left_out,
            }
        )


def read_query(request: Request) -> explorer.Asked:
    """Return what the query parameters ask for. Raises Rejected with every fault at once."""
    params = request.query_params
    tags = {name.removeprefix(_TAG): str(value) for name, value in params.items() if name.startswith(_TAG)}
    known = {"name", "from", "to", "bucket", "aggregate", "format"} | {f"{_TAG}{name}" for name in tags}
    refuse_unknown_parameters(request, known)
    problems: list[Problem] = []
    end = _moment(params, "to", clock.now(), problems)
    start = _moment(params, "from", end - timedelta(days=1), problems)
    reject_if(problems)
    return explorer.ask(
        name=params.get("name", ""),
        tags=tags,
        start=start,
        end=end,
        bucket=params.get("bucket", ""),
        aggregate=params.get("aggregate", "avg"),
    )


def _moment(params: Any, name: str, default: datetime, problems: list[Problem]) -> datetime:
    raw = params.get(name)
    if raw is None:
        return default
    try:
        return explorer.moment_of(raw)
    except ValueError as exc:
        problems.append(Problem(name, "invalid", str(exc)))
        return default


class NameSerializer(serializers.Serializer[Any]):
    """A name, how many series the caller may see under it, and when the newest sample came."""

    name = serializers.CharField()
    series = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)
    tags = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))


class NamePages(NewestFirst):
    """By name."""

    ordering = "name"


class Names(mixins.ListModelMixin, StrictQuery):
    """What there is to look at."""

    area = "metrics"
    serializer_class = NameSerializer
    pagination_class = NamePages
    queryset = Series.objects.none()
    filter_backends = ()
    query_params = frozenset({"search"})

    @extend_schema(
        parameters=[OpenApiParameter("search", str, description="Text in the name")],
        operation_id="metrics_names",
        tags=TAGS,
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the names of series, with the values of their tags (the first 50 of each)."""
        access.require(request.user, "metric.view")
        search = request.query_params.get("search", "")
        if "ordering" in request.query_params:
            raise Rejected("names come in one order only", attr="ordering")
        visible = Series.objects.visible_to(request.user).filter(name__icontains=search)
        names = visible.order_by().values("name").annotate(series=Count("pk"), last_at=Max("last_at"))
        page: Any = self.paginate_queryset(names)
        tags = explorer.tag_values(actor(request), [row["name"] for row in page])
        shown = [{**row, "tags": tags.get(row["name"], {})} for row in page]
        return self.get_paginated_response(NameSerializer(shown, many=True).data)
