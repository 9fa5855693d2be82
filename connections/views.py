"""The pages of connections: the list, and one with its last test, its schema and a small query console."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView, sentences_of
from connections import connectors, services
from connections.forms import ConnectionFilterForm, QueryForm, SchemaForm
from connections.models import Connection, SchemaSnapshot
from mcp_site.core import uses
from mcp_site.core.errors import AppError, Forbidden
from mcp_site.core.registry import UnknownPlugin

PAGE_SIZE = 50
# More tables than these are found by searching, not by scrolling.
MAX_TABLES = 300


class ConnectionList(PageView):
    """All connections that the person may see."""

    section = "connections"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = ConnectionFilterForm(request.GET)
        found = self._narrowed(Connection.objects.visible_to(self.person), form.chosen).for_api().order_by("slug")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        context = {"form": form, "page": page}
        return self.page_or_part(
            "connections/connection_list.html", "connections/partials/connection_rows.html", context
        )

    def _narrowed(self, found: Any, chosen: dict[str, Any]) -> Any:
        found = found.exclude(archived_at=None) if chosen.get("archived") else found.active()
        if text := chosen.get("search"):
            found = found.filter(Q(slug__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
        if type_name := chosen.get("type"):
            found = found.filter(type=type_name)
        return found


class _OfOne(PageView):
    """What the pages of one connection share."""

    section = "connections"

    def find(self, slug: str) -> Connection:
        """Return the connection. Raises Http404 for what the person may not see."""
        found: Connection = get_object_or_404(Connection.objects.visible_to(self.person).for_api(), slug=slug)
        return found

    def show(self, connection: Connection, status: int = 200, **more: Any) -> HttpResponse:
        """Render the page, with `more` in its context."""
        known = _capabilities(connection)
        usable = known if not connection.is_archived else frozenset()
        may = {
            "test": "test" in usable and access.can(self.person, "connection.use", connection),
            "scan": "scan" in usable and access.can(self.person, "connection.use", connection),
            "query": "query" in usable and access.can(self.person, "connection.query", connection),
        }
        context = {
            "connection": connection,
            "config": _settings(connection),
            "may": may,
            "has_schema": "scan" in known,
            "query_form": QueryForm(),
            "uses": uses.find("connection", connection.pk, by=self.person),
            **self.schema(connection),
            **more,
        }
        return self.page("connections/connection_detail.html", context, status=status)

    def schema(self, connection: Connection) -> dict[str, Any]:
        """Return what the schema browser shows: the tables that fit the search, and the chosen one."""
        form = SchemaForm(self.request.GET)
        form.is_valid()
        search, wanted = form.cleaned_data.get("search", ""), form.cleaned_data.get("table", "")
        snapshot = SchemaSnapshot.objects.filter(connection=connection).order_by("-number").first()
        if snapshot is None:
            return {"snapshot": None}
        tables = snapshot.tables_with(search)
        named = {f"{table['schema']}.{table['name']}": table for table in tables}
        return {
            "snapshot": snapshot,
            "search": search,
            "found": len(tables),
            "schemas": _by_schema(tables[:MAX_TABLES]),
            "is_cut": len(tables) > MAX_TABLES,
            "table": _with_keys(named.get(wanted) or (tables[0] if tables else None)),
        }


class ConnectionDetail(_OfOne):
    """One connection."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show it; htmx asks for the schema browser alone."""
        connection = self.find(slug)
        if getattr(request, "htmx", False):
            context = {"connection": connection, **self.schema(connection)}
            return self.page("connections/partials/schema.html", context)
        return self.show(connection)


class ConnectionTest(_OfOne):
    """Trying the connection."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Test, keep the result, and show it."""
        connection = self.find(slug)
        with self.saying():
            services.test_connection(by=self.person, connection=connection)
        return redirect("connection-detail", slug)


class ConnectionScan(_OfOne):
    """Reading the schema."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Scan, and say whether anything changed."""
        connection = self.find(slug)
        with self.saying():
            snapshot = services.scan_connection(by=self.person, connection=connection)
            said = "is new" if snapshot.is_new else "is still true: the schema did not change"
            messages.success(request, f"Snapshot {snapshot.number} {said}.")
        return redirect("connection-detail", slug)


class ConnectionQuery(_OfOne):
    """The small query console."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Send whoever reloads the page of a result back to the form."""
        return redirect("connection-detail", slug)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Run one statement that reads, and show what came of it beside the form."""
        connection = self.find(slug)
        form = QueryForm(request.POST)
        context: dict[str, Any] = {"query_form": form}
        status = 400
        if form.is_valid():
            asked = {"sql": form.cleaned_data["sql"], "limit": form.cleaned_data["limit"]}
            try:
                result = services.run_query(by=self.person, connection=connection, **asked)
                context |= {"result": result.as_json(), "warnings": result.warnings}
                status = 200
            except Forbidden as exc:
                # There is no form to say it beside.
                raise PermissionDenied(exc.detail) from exc
            except AppError as exc:
                context["problems"] = sentences_of(exc)
                status = exc.status
        if getattr(request, "htmx", False):
            return self.page("connections/partials/query.html", {"connection": connection, **context}, status=status)
        return self.show(connection, status=status, **context)


def _capabilities(connection: Connection) -> frozenset[str]:
    try:
        return connectors.get(connection.type).capabilities
    except UnknownPlugin:
        return frozenset()


def _settings(connection: Connection) -> list[tuple[str, Any, bool]]:
    """Return (name, value, is a secret) for each setting; of a secret only whether it is set."""
    shown: list[tuple[str, Any, bool]] = []
    for name, value in connection.shown_config.items():
        is_secret = isinstance(value, dict) and value.keys() == {"set"}
        if is_secret:
            shown.append((name, value["set"], True))
        elif isinstance(value, dict):
            inner = ", ".join(f"{key}: {part}" for key, part in value.items() if part not in (None, ""))
            shown.append((name, inner, False))
        elif value not in (None, "", []):
            shown.append((name, value, False))
    return shown


def _by_schema(tables: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        grouped.setdefault(table["schema"], []).append(table)
    return grouped


def _with_keys(table: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the table with, at each column, what keys it is part of."""
    if table is None:
        return None
    primary = dict.fromkeys(table.get("primary_key", []), "primary key")
    foreign = {name: f"→ {key['table']}" for key in table.get("foreign_keys", []) for name in key.get("columns", [])}
    columns = [
        {**column, "key": ", ".join(keys[column["name"]] for keys in (primary, foreign) if column["name"] in keys)}
        for column in table["columns"]
    ]
    return {**table, "columns": columns, "full_name": f"{table['schema']}.{table['name']}"}
