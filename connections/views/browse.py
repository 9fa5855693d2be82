"""The pages of connections: the list, and one with its last test, its schema and a small query console."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404

from accounts import access
from accounts.mixins import PageView
from connections import connectors
from connections.forms import ConnectionFilterForm, QueryForm, SchemaForm
from connections.models import Connection, PastQuery, SchemaSnapshot
from connections.rules import tags_of
from mcp_site.core import uses
from mcp_site.core.registry import UnknownPlugin

PAGE_SIZE = 50
PAST_SHOWN = 10
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
        context = {"form": form, "page": page, "may_create": access.can(self.person, "connection.create")}
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


class OfOne(PageView):
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
            "edit": not connection.is_archived and access.can(self.person, "connection.edit", connection),
        }
        context = {
            "connection": connection,
            "past": past_queries(self.person, connection) if may["query"] else [],
            "config": _settings(connection),
            "may": may,
            "has_schema": "scan" in known,
            "query_form": QueryForm(initial=self._again(connection)),
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
        snapshot = SchemaSnapshot.objects.filter(connection=connection).defer("tables").order_by("-number").first()
        if snapshot is None:
            return {"snapshot": None}
        tables, found = snapshot.outline(search, MAX_TABLES)
        named = snapshot.table(wanted) if wanted else None
        if named is None and tables:
            named = snapshot.table(f"{tables[0]['schema']}.{tables[0]['name']}")
        return {
            "snapshot": snapshot,
            "search": search,
            "found": found,
            "schemas": _by_schema(tables),
            "is_cut": found > MAX_TABLES,
            "table": _with_keys(named),
        }

    def _again(self, connection: Connection) -> dict[str, Any]:
        """Return the statement of the past query that the address names (`?again=`), if it is the person's own."""
        raw = self.request.GET.get("again", "")
        past = PastQuery.objects.filter(user=self.person, connection=connection)
        found = past.filter(pk=int(raw[:12])).first() if raw.isascii() and raw.isdecimal() else None
        return {"sql": found.sql} if found else {}


class SchemaIndex(OfOne):
    """Names of all tables and columns, which the browser searches by itself: instant at thousands of tables."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Answer `{"tables": [[schema, name, rows, "column column …"], …]}`; it stays true for its snapshot."""
        snapshot = SchemaSnapshot.objects.filter(connection=self.find(slug)).defer("tables").order_by("-number").first()
        response = JsonResponse({"tables": snapshot.index() if snapshot else []})
        # The address names the snapshot, so what was answered once stays right.
        response["Cache-Control"] = "private, max-age=86400"
        return response


class ConnectionDetail(OfOne):
    """One connection."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show it; htmx asks for the schema browser alone."""
        connection = self.find(slug)
        if getattr(request, "htmx", False):
            context = {"connection": connection, **self.schema(connection)}
            return self.page("connections/partials/schema.html", context)
        return self.show(connection)


def past_queries(person: Any, connection: Connection) -> list[PastQuery]:
    """Return what the person asked of the connection before, newest first."""
    return list(PastQuery.objects.filter(user=person, connection=connection).order_by("-id")[:PAST_SHOWN])


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
        {
            **column,
            "tags": tags_of(column["name"]),
            "key": ", ".join(keys[column["name"]] for keys in (primary, foreign) if column["name"] in keys),
        }
        for column in table["columns"]
    ]
    return {**table, "columns": columns, "full_name": f"{table['schema']}.{table['name']}"}
