"""The web process: HTTP by Django, WebSocket by Channels, and a tick thread."""

from __future__ import annotations

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcp_site.settings")
django_application = get_asgi_application()

from accounts.authentication import SocketCredentials  # noqa: E402
from mcp_site import checks, gate  # noqa: E402
from mcp_site.core.ticks import TickThread  # noqa: E402  after django.setup()
from monitoring import faults  # noqa: E402
from workflows.routing import websocket_urlpatterns  # noqa: E402

_routes = URLRouter(websocket_urlpatterns)
_by_cookie = AllowedHostsOriginValidator(AuthMiddlewareStack(_routes))
_by_itself = SocketCredentials(_routes)


async def _websocket(scope: Any, receive: Any, send: Any) -> Any:
    """Sockets with credentials of their own need no Origin; all others are browsers, whose Origin must be ours."""
    chosen = _by_itself if SocketCredentials.are_in(scope) else _by_cookie
    return await chosen(scope, receive, send)


application = ProtocolTypeRouter({"http": django_application, "websocket": _websocket})

checks.refuse_unsafe_start()
# The first request would otherwise wait for every page's code.
get_resolver().url_patterns  # noqa: B018
gate.wait()
faults.begin()
if settings.MCP_TICKS:
    TickThread().start()
