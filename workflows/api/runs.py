"""Runs over HTTP: start, look, follow, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, renderers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import Cookie, Key, Ticket, Token, caller_of
from accounts.permissions import actor
from definitions.models import Definition
from mcp_site.core.http import StrictQuery, refuse_unknown_parameters, whole_number
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import PARAMETER, REPLAYED, once
from mcp_site.core.serializers import read_body
from workflows import artifacts, events, outputs, services
from workflows.api import run_serializers as shapes
from workflows.api.filters import RunFilter
from workflows.api.run_acts import RunActs, answer_run
from workflows.models import Artifact, LogChunk, Run, StepRun, TriggerKind, Workflow
from workflows.stream import stream

MAX_WAIT = 60
_KEY = "[a-z][a-z0-9_]{0,62}"
# What browsers may show inside the panel; everything else is a download.
SAFE_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "application/json"})


def wait_for(run: Run, seconds: int) -> None:
    """Return when `run` has ended, or after `seconds`."""
    until = time.monotonic() + seconds
    pause = 0.01
    while time.monotonic() < until and Run.objects.unfinished().filter(pk=run.pk).exists():
        # Back into the pool meanwhile: many may wait at once.
        close_old_connections()
        time.sleep(pause)
        pause = min(0.25, pause * 1.5)


_WAIT = OpenApiParameter("wait", OpenApiTypes.INT, description="seconds to wait for the end (at most 60)")


class _Starts(APIView):
    """What the two ways to start a run share: `?wait=`, and the answer."""

    area = "runs"
    rate = "run"

    def start(self, request: Request, body: Any, begin: Callable[..., Run]) -> Response:
        """Check the query and the body, `begin` a run, and answer it, after its end if asked to wait for that."""
        refuse_unknown_parameters(request, {"wait"})
        wait = whole_number(request, "wait", 0, 0, MAX_WAIT)
        answer = self.begin(request, body, begin)
        if not wait or answer.status_code != 201:
            return answer
        # The start is committed by now, else no worker would see it.
        run = Run.objects.get(uid=answer.data["id"])
        wait_for(run, wait)
        ended = answer_run(request, run, 201)
        if REPLAYED in answer.headers:
            ended[REPLAYED] = answer[REPLAYED]
        return ended

    @once()
    def begin(self, request: Request, body: Any, begin: Callable[..., Run]) -> Response:
        """Start the run, once for each Idempotency-Key."""
        given = {"inputs": {}, **read_body(body, request)}
        return answer_run(request, begin(by=actor(request), trigger=TriggerKind.API, **given), 201)


class WorkflowRuns(_Starts):
    """Start runs of a workflow."""

    @extend_schema(request=shapes.RunCreate, responses={201: shapes.RunDetailSerializer}, parameters=[_WAIT, PARAMETER])
    def post(self, request: Request, slug: str) -> Response:
        """Start a run; `?wait=30` answers when it has ended, or after so many seconds."""
        workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
        return self.start(request, shapes.RunCreate, partial(services.start_run, workflow=workflow))


class DefinitionRuns(_Starts):
    """Run one definition by itself."""

    @extend_schema(
        request=shapes.DefinitionRunCreate, responses={201: shapes.RunDetailSerializer}, parameters=[_WAIT, PARAMETER]
    )
    def post(self, request: Request, slug: str) -> Response:
        """Start a one-step run; `?wait=30` answers when it has ended, or after so many seconds."""
        definition = get_object_or_404(Definition.objects.visible_to(request.user), slug=slug)
        begin = partial(services.start_definition_run, definition=definition)
        return self.start(request, shapes.DefinitionRunCreate, begin)


class EventStreamRenderer(renderers.BaseRenderer):
    """Lets clients ask for `text/event-stream`; the stream itself is no DRF answer."""

    media_type = "text/event-stream"
    format = "sse"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Render an error for a client that wanted a stream."""
        return renderers.JSONRenderer().render(data)


class PlainTextRenderer(renderers.BaseRenderer):
    """Text as it is."""

    media_type = "text/plain"
    format = "text"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return the text, or an error as JSON."""
        return data.encode() if isinstance(data, str) else renderers.JSONRenderer().render(data)


class RunViewSet(RunActs, mixins.ListModelMixin, StrictQuery):
    """Runs: newest first."""

    area = "runs"
    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    serializer_class = shapes.RunSerializer
    filterset_class = RunFilter
    query_params = frozenset({"after", "kind", "limit", "step", "index", "ticket"})

    def get_queryset(self) -> QuerySet[Run]:
        """Return what the caller may see."""
        return Run.objects.visible_to(self.request.user).for_api()

    @extend_schema(responses={200: shapes.RunDetailSerializer})
    def retrieve(self, request: Request, uid: UUID) -> Response:
        """Answer one run with its output."""
        return answer_run(request, self.get_object())

    @extend_schema(responses={200: shapes.StepSerializer(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None)
    def steps(self, request: Request, uid: UUID) -> Response:
        """List the steps of the graph and the items of mapped ones, in their order."""
        steps = StepRun.objects.shown().filter(run=self.get_object()).for_api().order_by("n")
        low = whole_number(request, "after", -1, 0, 10**9)
        limit = whole_number(request, "limit", 1000, 1, 1000)
        rows = list(steps.filter(n__gt=low)[: limit + 1])
        more = len(rows) > limit
        shown = shapes.StepSerializer(rows[:limit], many=True).data
        return Response({"results": shown, "next_after": rows[limit - 1].n if more else None})

    @extend_schema(responses={200: shapes.StepDetailSerializer})
    @action(detail=True, methods=["get"], url_path=rf"steps/(?P<key>{_KEY})")
    def step(self, request: Request, uid: UUID, key: str) -> Response:
        """Answer one step of the graph with its output and attempts."""
        return self._answer_step(key=key, index__isnull=True)

    @extend_schema(responses={200: shapes.StepDetailSerializer}, operation_id="runs_steps_items_retrieve")
    @action(detail=True, methods=["get"], url_path=rf"steps/(?P<key>{_KEY})/(?P<index>[0-9]{{1,6}})")
    def item(self, request: Request, uid: UUID, key: str, index: str) -> Response:
        """Answer one item of a mapped step with its output and attempts."""
        return self._answer_step(key=key, index=int(index))

    def _answer_step(self, **where: Any) -> Response:
        step = get_object_or_404(StepRun.objects.shown().select_related("source__run"), run=self.get_object(), **where)
        context = {"output": outputs.output_of_step(step), "tries": outputs.tries_of_step(step)}
        return Response(shapes.StepDetailSerializer(step, context=context).data)

    @extend_schema(responses={200: OpenApiResponse({"type": "object"})}, filters=False)
    @action(
        detail=True,
        methods=["get"],
        filterset_class=None,
        renderer_classes=[renderers.JSONRenderer, EventStreamRenderer],
        authentication_classes=[Ticket, Token, Key, Cookie],
        url_path="events",
    )
    def event_list(self, request: Request, uid: UUID) -> HttpResponseBase:
        """Follow the events (Accept: text/event-stream; resumes from Last-Event-ID), or list them ascending."""
        run = self.get_object()
        after = whole_number(request, "after", 0, 0, 2**31 - 1)
        if request.accepted_renderer.media_type == EventStreamRenderer.media_type:
            last = request.headers.get("Last-Event-ID", "")
            return stream(run, int(last) if last.isdecimal() and len(last) < 10 else after, caller_of(request))
        limit = whole_number(request, "limit", 200, 1, events.PAGE)
        found = events.read(run.pk, after, limit)
        kind = request.query_params.get("kind")
        shown = [event for event in found if kind is None or event["kind"] == kind]
        more = len(found) == limit
        return Response({"results": shown, "next_after": found[-1]["number"] if more else None})

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, filters=False)
    @action(
        detail=True,
        methods=["get"],
        filterset_class=None,
        renderer_classes=[PlainTextRenderer, renderers.JSONRenderer],
    )
    def logs(self, request: Request, uid: UUID) -> Response:
        """Answer the log, by step and attempt, as text; as JSON chunks with Accept: application/json."""
        chunks = LogChunk.objects.filter(run=self.get_object())
        if step := request.query_params.get("step"):
            chunks = chunks.filter(step=step)
        if "index" in request.query_params:
            chunks = chunks.filter(index=whole_number(request, "index", 0, 0, 10**6))
        limit = whole_number(request, "limit", 2000, 1, 5000)
        newest = chunks.order_by("-at", "-n", "-attempt", "-number")[:limit]
        rows = list(newest)[::-1]
        if request.accepted_renderer.media_type == PlainTextRenderer.media_type:
            return Response("".join(chunk.text for chunk in rows if chunk.stream != "token"))
        return Response({"results": [events.encode_log(chunk) for chunk in rows]})

    @extend_schema(responses={200: shapes.ArtifactSerializer(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, url_path="artifacts")
    def artifact_list(self, request: Request, uid: UUID) -> Response:
        """List the files that the run's attempts left."""
        rows = Artifact.objects.filter(run=self.get_object()).order_by("id")[:1000]
        return Response({"results": shapes.ArtifactSerializer(rows, many=True).data})

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], url_path=rf"artifacts/(?P<artifact>{UUID_PATTERN})")
    def artifact(self, request: Request, uid: UUID, artifact: str) -> HttpResponseBase:
        """Send one file, as a download unless it is a plain image or text."""
        found = get_object_or_404(Artifact, run=self.get_object(), uid=artifact)
        inline = found.media_type in SAFE_INLINE
        response = StreamingHttpResponse(
            artifacts.stream(found.sha256), content_type=found.media_type if inline else "application/octet-stream"
        )
        way = "inline" if inline else "attachment"
        response["Content-Disposition"] = f"{way}; filename*=UTF-8''{quote(found.name, safe='')}"
        response["Content-Length"] = str(found.size)
        response["Content-Security-Policy"] = "sandbox; default-src 'none'; img-src data:"
        response["X-Content-Type-Options"] = "nosniff"
        return response
