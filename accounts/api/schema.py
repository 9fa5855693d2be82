"""How the API's documents describe its credentials (drf-spectacular finds these classes by being imported)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """`Authorization: Bearer <access token>`."""

    target_class = "accounts.authentication.Token"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """`X-API-Key`."""

    target_class = "accounts.authentication.Key"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class CookieScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """The session cookie of the pages."""

    target_class = "accounts.authentication.Cookie"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class TicketScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """`?ticket=` on a stream."""

    target_class = "accounts.authentication.Ticket"
    name = "ticket"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "apiKey", "in": "query", "name": "ticket", "description": "of POST /auth/ws-ticket"}
