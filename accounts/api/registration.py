"""Registering and passwords by API."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api import serializers as shapes
from accounts.api.sign_in import Public
from accounts.authentication import session_of
from accounts.mixins import base_url
from accounts.permissions import actor
from accounts.throttles import LoginRate, RegisterRate
from mcp_site.core.serializers import read_body

_NOTHING = {204: OpenApiResponse(description="done")}


class Register(Public):
    """Make an account, or accept an invitation."""

    throttle_classes = (RegisterRate,)

    @extend_schema(
        request=shapes.RegisterBody,
        responses={201: shapes.UserSerializer},
        operation_id="auth_register",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Register. `role_name` is a wish: given at once where the panel allows, else an Admin decides."""
        user = services.register(**read_body(shapes.RegisterBody, request))
        return Response(shapes.UserSerializer(user).data, status=201)


class Password(APIView):
    """The caller's password."""

    throttle_classes = (LoginRate,)

    @extend_schema(request=shapes.PasswordBody, responses=_NOTHING, operation_id="auth_password", tags=["auth"])
    def post(self, request: Request) -> Response:
        """Change it: every other sign-in of the caller ends."""
        given = read_body(shapes.PasswordBody, request)
        services.change_password(
            by=actor(request),
            current=given["current_password"],
            new=given["new_password"],
            keep=session_of(request),
        )
        return Response(status=204)


class Forgot(Public):
    """Ask for a letter to set a new password."""

    throttle_classes = (RegisterRate,)

    @extend_schema(
        request=shapes.ForgotBody,
        responses={202: OpenApiResponse(description="a letter is on its way if the e-mail is known")},
        operation_id="auth_password_forgot",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Answer the same whether the e-mail is known or not."""
        given = read_body(shapes.ForgotBody, request)
        services.ask_reset(email=given["email"], base_url=base_url(request._request))  # noqa: SLF001  DRF wraps it
        return Response(status=202)


class Reset(Public):
    """Set a new password by the token of a letter."""

    throttle_classes = (RegisterRate,)

    @extend_schema(request=shapes.ResetBody, responses=_NOTHING, operation_id="auth_password_reset", tags=["auth"])
    def post(self, request: Request) -> Response:
        """Set it: every sign-in of the account ends, and the letter is used up."""
        services.reset_password(**read_body(shapes.ResetBody, request))
        return Response(status=204)
