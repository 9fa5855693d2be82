"""The pages of connections: the list, and one with its schema and what can be done with it: test, scan, query."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
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
from mcp_site.core.errors import AppError

PAGE_SIZE = 50
# Of a search in a schema; narrowing it finds the others.
MAX_TABLES = 400


class ConnectionList(PageView):
    """All connections that the person may see."""

    section = "connections"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = ConnectionFilterForm(request.GET)
        found = _narrowed(Connection.objects.visible_to(self.person).for_api(), form.chosen).order_by("slug")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        context = {"form": form, "page": page}
        return self.page_or_part(
            "connections/connection_list.html", "connections/partials/connection_rows.html", context
        )


def _narrowed(found: Any, chosen: dict[str, Any]) -> Any:
    found = found.exclude(archived_at=None) if chosen.get("archived") else found.filter(archived_at=None)
    if text := chosen.get("search"):
        found = found.filter(Q(slug__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
    if type_ := chosen.get("type"):
        found = found.filter(type=type_)
    return found


class _OfConnection(PageView):
    """What the page of a connection and its acts share."""

    section = "connections"

    def find(self, slug: str) -> Connection:
        """Return the connection. Raises Http404 for what the person may not see."""
        found: Connection = get_object_or_404(Connection.objects.visible_to(self.person).for_api(), slug=slug)
        return found

    def show(self, connection: Connection, status: int = 200, **more: Any) -> HttpResponse:
        """Render the page, or the part that htmx asks for: the query, or the schema browser."""
        able = _capabilities(connection)
        acts = {"test": "use", "scan": "use", "query": "query"}
        may = {
            act: act in able and not connection.is_archived and access.can(self.person, f"connection.{right}", connection)
            for act, right in acts.items()
        }
        context = {"connection": connection, "may": may, "has_schema": "scan" in able, "query_form": QueryForm(), **more}
        if self.request.method == "POST":
            part = "connections/partials/query.html"
        else:
            part = "connections/partials/schema.html"
        if "scan" in able:
            context |= self.schema(connection)
        context |= {
            "config": _config(connection),
            "uses": uses.find("connection", connection.pk, by=self.person),
        }
        return self.page_or_part("connections/connection_detail.html", part, context, status)

    def schema(self, connection: Connection) -> dict[str, Any]:
        """Return the newest snapshot's tables that fit the search, by schema, and the one that is looked at."""
        form = SchemaForm(self.request.GET)
        form.is_valid()
        search, wanted = form.cleaned_data.get("search", ""), form.cleaned_data.get("table", "")
        snapshot: SchemaSnapshot | None = connection.snapshots.order_by("-number").first()
        found = snapshot.tables_with(search) if snapshot is not None else []
        named = sorted(((f"{table['schema']}.{table['name']}", table) for table in found), key=lambda pair: pair[0])
        schemas: dict[str, list[dict[str, Any]]] = {}
        for _, table in named[:MAX_TABLES]:
            schemas.setdefault(str(table["schema"]), []).append(table)
        chosen = next((pair for pair in named if pair[0] == wanted), named[0] if named else None)
        return {
            "snapshot": snapshot,
            "search": search,
            "found": len(named),
            "is_cut": len(named) > MAX_TABLES,
            "schemas": schemas,
            "table": _table(*chosen) if chosen is not None else None,
        }


def _table(full_name: str, table: dict[str, Any]) -> dict[str, Any]:
    points_at = {name: f"→ {key['table']}" for key in table["foreign_keys"] for name in key["columns"]}
    columns = []
    for column in table["columns"]:
        keys = ["primary key"] if column["name"] in table["primary_key"] else []
        keys += [points_at[column["name"]]] if column["name"] in points_at else []
        columns.append({**column, "key": ", ".join(keys)})
    return {**table, "full_name": full_name, "columns": columns}


def _capabilities(connection: Connection) -> frozenset[str]:
    if connection.type not in connectors.CONNECTORS:
        # A plug-in that is not installed any more: the page still shows what is stored.
        return frozenset()
    return connectors.get(connection.type).capabilities


def _config(connection: Connection) -> list[tuple[str, Any, bool]]:
    """Return name, value and whether it is a secret (then the value only says whether it is set)."""
    found = []
    for name, value in connection.shown_config.items():
        is_secret = isinstance(value, dict) and value.keys() == {"set"}
        found.append((name, value["set"] if is_secret else value, is_secret))
    return found


class ConnectionDetail(_OfConnection):
    """One connection."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show how it was last reached, what it holds, and what uses it."""
        return self.show(self.find(slug))


class ConnectionTest(_OfConnection):
    """Trying a connection."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Try it phase by phase, and go back to its page, which shows them."""
        with self.saying():
            result = services.test_connection(by=self.person, connection=self.find(slug))
            failed = next((phase for phase in result.phases if not phase.ok), None)
            if failed is None:
                messages.success(request, "The connection works.")
            else:
                messages.error(request, f"The test stopped at {failed.name}: {failed.detail}")
        return redirect("connection-detail", slug)


class ConnectionScan(_OfConnection):
    """Reading a connection's schema."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Read it, and go back to its page."""
        with self.saying():
            snapshot, is_new = services.scan_connection(by=self.person, connection=self.find(slug))
            found = f"{snapshot.tables_count} table{'' if snapshot.tables_count == 1 else 's'}"
            messages.success(request, f"Found {found}." if is_new else f"Nothing has changed: {found}.")
        return redirect("connection-detail", slug)


class ConnectionQuery(_OfConnection):
    """Running a read-only query."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Send whoever reloads the result back to the page."""
        return redirect("connection-detail", slug)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the rows, or beside the text what is wrong with it."""
        connection = self.find(slug)
        form = QueryForm(request.POST)
        if not form.is_valid():
            return self.show(connection, self.refused(400), query_form=form)
        given = form.cleaned_data
        try:
            found = services.run_query(by=self.person, connection=connection, sql=given["sql"], limit=given["limit"])
        except AppError as exc:
            return self.show(connection, self.refused(exc.status), query_form=form, problems=sentences_of(exc))
        return self.show(connection, query_form=form, result=found.as_json(), warnings=found.warnings)

    def refused(self, status: int) -> int:
        """Return the status of a refusal: htmx puts nothing on the page that comes with an error's."""
        return 200 if getattr(self.request, "htmx", False) else status
