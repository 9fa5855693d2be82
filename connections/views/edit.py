"""Making and changing connections by a form that fits their type."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import access
from accounts.mixins import PageView
from connections import connectors, services
from connections.connectors import Connector
from connections.forms.editor import ConnectionForm
from connections.models import Connection
from connections.views.browse import OfOne
from mcp_site.core.errors import AppError
from mcp_site.core.registry import UnknownPlugin

_GROUPS = {"database": "Databases", "provider": "Providers of models", "secret": "Secrets"}


class ConnectionNew(PageView):
    """Choosing what to connect to."""

    section = "connections"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the types by group, those whose driver is missing with what to install."""
        _require_maker(self)
        groups: dict[str, list[Connector]] = {}
        for connector in connectors.all_connectors():
            groups.setdefault(_GROUPS.get(connector.group, connector.group), []).append(connector)
        return self.page("connections/connection_new.html", {"groups": groups})


class ConnectionCreate(PageView):
    """The form of a new connection."""

    section = "connections"

    def get(self, request: HttpRequest, type: str) -> HttpResponse:
        """Show it empty."""
        _require_maker(self)
        return self._show(ConnectionForm(_connector(type), None))

    def post(self, request: HttpRequest, type: str) -> HttpResponse:
        """Make the connection, test it if asked, and go to its page; else say beside the fields what is wrong."""
        _require_maker(self)
        form = ConnectionForm(_connector(type), None, request.POST)
        if form.is_valid():
            try:
                made = services.create_connection(by=self.person, type=type, **form.values())
            except AppError as exc:
                form.take(exc)
            else:
                messages.success(request, f"Connection {made.slug} is made.")
                _test_if_asked(self, made)
                return redirect("connection-detail", made.slug)
        return self._show(form, 400)

    def _show(self, form: ConnectionForm, status: int = 200) -> HttpResponse:
        return self.page("connections/connection_form.html", {"form": form}, status=status)


class ConnectionEdit(OfOne):
    """The form of a connection that there is."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show it with its settings; secrets stay hidden."""
        connection = self._changeable(slug)
        return self._show(ConnectionForm(_connector(connection.type), connection))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Change it, test it if asked, and go to its page."""
        connection = self._changeable(slug)
        form = ConnectionForm(_connector(connection.type), connection, request.POST)
        if form.is_valid():
            try:
                services.update_connection(by=self.person, connection=connection, **form.values())
            except AppError as exc:
                form.take(exc)
            else:
                messages.success(request, "Saved.")
                _test_if_asked(self, connection)
                return redirect("connection-detail", slug)
        return self._show(form, 400)

    def _changeable(self, slug: str) -> Connection:
        connection = self.find(slug)
        if connection.is_archived or not access.can(self.person, "connection.edit", connection):
            raise PermissionDenied("Only its owner may change this connection, and not when it is archived.")
        return connection

    def _show(self, form: ConnectionForm, status: int = 200) -> HttpResponse:
        context = {"form": form, "connection": form.connection}
        return self.page("connections/connection_form.html", context, status=status)


class ConnectionArchive(OfOne):
    """Putting a connection away."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Archive it, or say what uses it."""
        with self.saying():
            services.archive_connection(by=self.person, connection=self.find(slug))
            messages.success(request, "The connection is archived: nothing can use it any more.")
        return redirect("connection-detail", slug)


def _require_maker(view: PageView) -> None:
    if not access.can(view.person, "connection.create"):
        raise PermissionDenied("Your role does not allow to make connections.")


def _connector(name: str) -> Connector:
    try:
        return connectors.get(name)
    except UnknownPlugin as exc:
        raise Http404 from exc


def _test_if_asked(view: Any, connection: Connection) -> None:
    if "test" in view.request.POST:
        with view.saying():
            services.test_connection(by=view.person, connection=connection)
