"""Where outside systems call: no account, but a token in the address and a signature over time and body."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.throttles import Usage, address_of, count
from mcp_site.core.http import refuse_unknown_parameters
from workflows.services import hooks
from workflows.services.triggers import digest_of


class HookRate(BaseThrottle):
    """How often one address on the panel is called, and how often one caller tries addresses."""

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count for the token, and for the caller's address, as for anybody unknown who writes."""
        plain = request._request  # noqa: SLF001  DRF wraps it
        counted = [
            count(plain, "hook", digest_of(str(view.kwargs["token"]))),
            count(plain, "write", f"hooks {address_of(plain)}"),
        ]
        known = [usage for usage in counted if usage is not None]
        self.usage = next((usage for usage in known if usage.is_over), known[0] if known else None)
        plain.rate_usage = self.usage  # type: ignore[attr-defined]
        return self.usage is None or not self.usage.is_over

    def wait(self) -> float | None:
        """Return the seconds for Retry-After."""
        return float(self.usage.seconds) if self.usage else None


class HookAnswer(serializers.Serializer[Any]):
    """The run that a call started."""

    run_id = serializers.UUIDField()
    number = serializers.IntegerField()


_SIGNED = [
    OpenApiParameter("X-MCP-Timestamp", str, OpenApiParameter.HEADER, required=True, description="seconds since 1970"),
    OpenApiParameter(
        "X-MCP-Signature",
        str,
        OpenApiParameter.HEADER,
        required=True,
        description="`sha256=` and the hex HMAC-SHA256, under the secret, of timestamp, a point, and the body",
    ),
]


class Hook(APIView):
    """The address of a trigger."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (HookRate,)
    # The signature is over the bytes, so they are read as they came.
    parser_classes = ()

    @extend_schema(
        tags=["triggers"],
        auth=[],
        parameters=_SIGNED,
        request={"application/json": {}, "application/x-www-form-urlencoded": {"type": "object"}, "text/plain": {}},
        responses={202: OpenApiResponse(HookAnswer, description="started")},
        operation_id="hooks_call",
    )
    def post(self, request: Request, token: str) -> Response:
        """Start the trigger's workflow. 404: no such address; 401: no right signature; 409: sent before, or paused."""
        refuse_unknown_parameters(request, set())
        plain = request._request  # noqa: SLF001  DRF wraps it
        headers = {name.lower(): value for name, value in plain.headers.items()}
        run = hooks.receive(hooks.Call(token, headers, plain.body))
        return Response({"run_id": str(run.uid), "number": run.pk}, status=202)
