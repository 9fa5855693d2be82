"""Signing in and out by API, who am I, and my sign-ins."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, mixins
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services, tokens
from accounts.api import serializers as shapes
from accounts.authentication import REALM, LockedOut, check_password, session_of, wait_seconds
from accounts.models import Session
from accounts.permissions import actor
from accounts.throttles import LoginRate
from mcp_site.core.http import StrictQuery
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.serializers import read_body

_NOTHING = {204: OpenApiResponse(description="done")}


class Public(APIView):
    """A route for people who have no credentials yet: given ones are not even looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        """Make a refusal a 401."""
        return REALM


def _shown(pair: tokens.Pair) -> dict[str, Any]:
    return {
        "access_token": pair.access,
        "refresh_token": pair.refresh,
        "token_type": "bearer",
        "expires_in": pair.expires_in,
    }


class Login(Public):
    """Exchange e-mail and password for tokens."""

    throttle_classes = (LoginRate,)

    @extend_schema(
        request=shapes.LoginBody, responses={200: shapes.TokensSerializer}, operation_id="auth_login", tags=["auth"]
    )
    def post(self, request: Request) -> Response:
        """Answer with tokens, or 401 in the same words and time whether the e-mail is known or not."""
        given = read_body(shapes.LoginBody, request)
        try:
            user = check_password(request._request, given["email"], given["password"])  # noqa: SLF001  DRF wraps it
        except LockedOut as exc:
            services.note_failed(email=given["email"], is_locked=True)
            raise exceptions.Throttled(wait_seconds(), "Too many wrong passwords.", "locked") from exc
        if user is None:
            services.note_failed(email=given["email"], is_locked=False)
            raise exceptions.AuthenticationFailed("E-mail or password is wrong.")
        # As Django's own login does: the wrong passwords of before are forgotten, the time of the login noted.
        user_logged_in.send(sender=type(user), request=request._request, user=user)  # noqa: SLF001
        pair = services.sign_in_tokens(user=user)
        return Response({**_shown(pair), "user": shapes.UserSerializer(user).data})


class Refresh(Public):
    """Exchange a refresh token for a new pair; the old one is dead from then on."""

    @extend_schema(
        request=shapes.RefreshBody,
        responses={200: shapes.TokensSerializer},
        operation_id="auth_refresh",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Answer with a new pair, or 401. A token that was used before ends its whole sign-in: somebody copied it."""
        given = read_body(shapes.RefreshBody, request)
        try:
            return Response(_shown(services.renew_tokens(given["refresh_token"])))
        except tokens.Refused as exc:
            raise exceptions.AuthenticationFailed("The refresh token is not valid any more.") from exc


class _Own(APIView):
    """A route of people, which no API key reaches, whatever its scopes."""

    area: str | None = None


class Logout(_Own):
    """End this sign-in."""

    @extend_schema(request=None, responses=_NOTHING, operation_id="auth_logout", tags=["auth"])
    def post(self, request: Request) -> Response:
        """End the sign-in of the token or cookie: its access and refresh tokens are dead at once."""
        session = session_of(request)
        services.sign_out(by=actor(request), session=session)
        if session is None or session.cookie_key:
            request._request.session.flush()  # noqa: SLF001  DRF wraps it
        return Response(status=204)


class Me(_Own):
    """The caller's own account."""

    @extend_schema(responses={200: shapes.UserSerializer}, operation_id="auth_me", tags=["auth"])
    def get(self, request: Request) -> Response:
        """Answer who the caller is."""
        return Response(shapes.UserSerializer(actor(request)).data)

    @extend_schema(
        request=shapes.MeBody, responses={200: shapes.UserSerializer}, operation_id="auth_me_update", tags=["auth"]
    )
    def patch(self, request: Request) -> Response:
        """Change the caller's name."""
        user = actor(request)
        return Response(
            shapes.UserSerializer(services.change_person(by=user, user=user, **read_body(shapes.MeBody, request))).data
        )


class Sessions(mixins.ListModelMixin, StrictQuery):
    """The caller's sign-ins that can still be used."""

    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    queryset = Session.objects.none()
    serializer_class = shapes.SessionSerializer

    def get_queryset(self) -> QuerySet[Session]:
        """Return the caller's own."""
        return Session.objects.live().filter(user=self.request.user.pk)

    def get_serializer_context(self) -> dict[str, Any]:
        """Know which one this request came by."""
        return {**super().get_serializer_context(), "current": session_of(self.request)}

    @extend_schema(responses=_NOTHING)
    def destroy(self, request: Request, uid: str) -> Response:
        """End one of them: its tokens or its cookie are dead at once, and its open streams within seconds."""
        services.end_session(by=actor(request), session=self.get_object())
        return Response(status=204)


class WsTicket(_Own):
    """A credential for a WebSocket or event stream, where no header can be set."""

    @extend_schema(request=None, responses={201: shapes.TicketSerializer}, operation_id="auth_ws_ticket", tags=["auth"])
    def post(self, request: Request) -> Response:
        """Give a ticket for `?ticket=`: good once, within 30 seconds."""
        text = tokens.ticket(actor(request), session_of(request))
        return Response({"ticket": text, "expires_in": tokens.TICKET_SECONDS}, status=201)
