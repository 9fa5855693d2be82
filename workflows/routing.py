"""WebSocket routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from workflows import consumers

websocket_urlpatterns: list[URLPattern] = [
    path("ws/runs/<uuid:uid>", consumers.RunConsumer.as_asgi()),
    path("ws/runs", consumers.RunsConsumer.as_asgi()),
]
