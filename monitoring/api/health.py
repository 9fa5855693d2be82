"""Health over HTTP: alive, ready, and the whole picture for Admins."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from monitoring import health

_ANSWER = {200: OpenApiResponse({"type": "object"}), 503: OpenApiResponse({"type": "object"})}


class Live(APIView):
    """Whether the process answers at all. Touches nothing else."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(responses={200: OpenApiResponse({"type": "object"})}, operation_id="health_live", tags=["health"])
    def get(self, request: Request) -> Response:
        """Answer that it lives."""
        return Response({"status": "ok"})


class Ready(APIView):
    """Whether the panel can take requests: its database and its broker answer, its tables are up to date."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(responses=_ANSWER, operation_id="health_ready", tags=["health"])
    def get(self, request: Request) -> Response:
        """Answer 200 when ready, else 503."""
        ok = all(check.ok for check in health.checks())
        return Response({"status": "ok" if ok else "unavailable"}, status=200 if ok else 503)


class Health(APIView):
    """The same with each check, its time and its trouble, for Admins."""

    permission_classes = (AllowAny,)

    @extend_schema(responses=_ANSWER, operation_id="health", tags=["health"])
    def get(self, request: Request) -> Response:
        """Answer `ok`, `degraded` or (503) `unavailable`, and to Admins what was looked at."""
        found = health.all_checks()
        status = health.verdict(found)
        answer: dict[str, object] = {"status": status}
        if access.can(request.user, "health.view"):
            answer["checks"] = [asdict(check) for check in found]
        return Response(answer, status=503 if status == "unavailable" else 200)
