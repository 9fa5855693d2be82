"""Signing in by API, and who am I."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.api.serializers import LoginBody, MeBody, RefreshBody, TokensSerializer, UserSerializer
from accounts.models import User
from accounts.permissions import actor
from accounts.throttles import LoginRate


def _tokens(access: str, refresh: str) -> dict[str, Any]:
    lifetime: timedelta = api_settings.ACCESS_TOKEN_LIFETIME
    return {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "bearer",
        "expires_in": int(lifetime.total_seconds()),
    }


class Login(APIView):
    """Exchange e-mail and password for tokens."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (LoginRate,)

    @extend_schema(request=LoginBody, responses={200: TokensSerializer}, operation_id="auth_login", tags=["auth"])
    def post(self, request: Request) -> Response:
        """Answer with tokens, or 401 in the same words whether the e-mail is known or not."""
        body = LoginBody(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        user = authenticate(request, username=given["email"].lower(), password=given["password"])
        if not isinstance(user, User):
            raise exceptions.AuthenticationFailed("E-mail or password is wrong.")
        refresh = RefreshToken.for_user(user)
        audit.log(user, "auth.login", user)
        return Response({**_tokens(str(refresh.access_token), str(refresh)), "user": UserSerializer(user).data})

    def get_authenticate_header(self, request: Request) -> str:
        """Make a failed login a 401."""
        return 'Bearer realm="api"'


class Refresh(APIView):
    """Exchange a refresh token for a new pair; the old one is dead from then on."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=RefreshBody, responses={200: TokensSerializer}, operation_id="auth_refresh", tags=["auth"])
    def post(self, request: Request) -> Response:
        """Answer with a new pair, or 401."""
        body = RefreshBody(data=request.data)
        body.is_valid(raise_exception=True)
        serializer = TokenRefreshSerializer(data={"refresh": body.validated_data["refresh_token"]})
        try:
            serializer.is_valid(raise_exception=True)
        except TokenError as exc:
            raise exceptions.AuthenticationFailed("The refresh token is not valid any more.") from exc
        return Response(_tokens(serializer.validated_data["access"], serializer.validated_data["refresh"]))

    def get_authenticate_header(self, request: Request) -> str:
        """Make a refused token a 401."""
        return 'Bearer realm="api"'


class Me(APIView):
    """The caller's own account."""

    @extend_schema(responses={200: UserSerializer}, operation_id="auth_me", tags=["auth"])
    def get(self, request: Request) -> Response:
        """Answer who the caller is."""
        return Response(UserSerializer(actor(request)).data)

    @extend_schema(request=MeBody, responses={200: UserSerializer}, operation_id="auth_me_update", tags=["auth"])
    def patch(self, request: Request) -> Response:
        """Change the caller's name."""
        body = MeBody(data=request.data)
        body.is_valid(raise_exception=True)
        user = actor(request)
        if "full_name" in body.validated_data:
            before = user.full_name
            user.full_name = body.validated_data["full_name"]
            user.save(update_fields=["full_name"])
            audit.log(user, "user.update", user, changes={"full_name": [before, user.full_name]})
        return Response(UserSerializer(user).data)
