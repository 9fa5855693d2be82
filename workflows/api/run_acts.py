"""What is done to a run over HTTP: cancel, pause, resume, run again."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor
from mcp_site.core.once import PARAMETER, once
from mcp_site.core.serializers import read_body
from workflows import outputs, services
from workflows.api import run_serializers as shapes
from workflows.models import Run


def answer_run(request: Request, run: Run, status: int = 200) -> Response:
    """Answer one run with its output."""
    shown = Run.objects.for_api().get(pk=run.pk)
    context = {"request": request, "output": outputs.output_of_run(shown)}
    data = shapes.RunDetailSerializer(shown, context=context).data
    headers = {"Location": f"/api/v1/runs/{run.uid}"} if status == 201 else None
    return Response(data, status=status, headers=headers)


class RunActs(viewsets.GenericViewSet[Run]):
    """The routes below a run that change something."""

    @extend_schema(request=None, responses={200: shapes.RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, uid: UUID) -> Response:
        """Cancel: nothing new starts, what runs is told to stop."""
        return answer_run(request, services.cancel_run(run=self.get_object(), by=actor(request)))

    @extend_schema(request=None, responses={200: shapes.RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, uid: UUID) -> Response:
        """Pause: no step is taken until the run is resumed; what runs goes on to its end."""
        return answer_run(request, services.pause_run(run=self.get_object(), by=actor(request)))

    @extend_schema(request=None, responses={200: shapes.RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, uid: UUID) -> Response:
        """Let a paused run go on."""
        return answer_run(request, services.resume_run(run=self.get_object(), by=actor(request)))

    @extend_schema(request=shapes.RerunBody, responses={201: shapes.RunDetailSerializer}, parameters=[PARAMETER])
    @action(detail=True, methods=["post"])
    @once()
    def rerun(self, request: Request, uid: UUID) -> Response:
        """Start the run again: a new run that takes over what it may (`/rerun/preview` shows what)."""
        body = read_body(shapes.RerunBody, request)
        return answer_run(request, services.rerun_run(run=self.get_object(), by=actor(request), **body), 201)

    @extend_schema(request=shapes.RerunBody, responses={200: shapes.RerunPreviewSerializer})
    @action(detail=True, methods=["post"], url_path="rerun/preview")
    def rerun_preview(self, request: Request, uid: UUID) -> Response:
        """Say for each step whether a rerun would reuse its result or run it again, and why."""
        body = read_body(shapes.RerunBody, request)
        rerun = services.preview_rerun(run=self.get_object(), by=actor(request), **body)
        steps = [
            {
                "key": choice.step.key,
                "action": "run" if choice.carried is None else "reuse",
                "version": rerun.version_of(choice),
                "because": choice.because,
            }
            for choice in rerun.shown
        ]
        return Response(shapes.RerunPreviewSerializer({"steps": steps}).data)
