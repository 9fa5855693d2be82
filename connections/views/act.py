"""Testing, scanning and querying from the page of a connection."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect

from accounts.mixins import sentences_of
from connections import services
from connections.connectors import Result
from connections.forms import QueryForm
from connections.views.browse import OfOne, past_queries
from mcp_site.core import clock
from mcp_site.core.errors import AppError, Forbidden


class ConnectionTest(OfOne):
    """Trying the connection."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Test, keep the result, and show it."""
        connection = self.find(slug)
        with self.saying():
            services.test_connection(by=self.person, connection=connection)
        return redirect("connection-detail", slug)


class ConnectionScan(OfOne):
    """Reading the schema."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Scan, and say whether anything changed."""
        connection = self.find(slug)
        with self.saying():
            snapshot = services.scan_connection(by=self.person, connection=connection)
            said = "is new" if snapshot.is_new else "is still true: the schema did not change"
            messages.success(request, f"Snapshot {snapshot.number} {said}.")
        return redirect("connection-detail", slug)


class ConnectionQuery(OfOne):
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
            past = past_queries(self.person, connection)
            whole = {"connection": connection, "past": past, **context}
            return self.page("connections/partials/query.html", whole, status=status)
        return self.show(connection, status=status, **context)


class ConnectionExport(OfOne):
    """The rows of a query as a file."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponse | StreamingHttpResponse:
        """Run the statement and stream its rows as CSV; where it fails, say so on the page."""
        connection = self.find(slug)
        form = QueryForm(request.POST)
        if not form.is_valid():
            return self.show(connection, status=400, query_form=form)
        try:
            result = services.run_query(
                by=self.person, connection=connection, sql=form.cleaned_data["sql"], limit=services.MAX_QUERY_ROWS
            )
        except Forbidden as exc:
            raise PermissionDenied(exc.detail) from exc
        except AppError as exc:
            return self.show(connection, status=exc.status, query_form=form, problems=sentences_of(exc))
        name = f"{connection.slug}-{clock.now():%Y%m%d-%H%M%S}.csv"
        return StreamingHttpResponse(
            _csv(result),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Truncated": str(result.truncated)},
        )


class _Line:
    """What csv writes to: hands back each line."""

    def write(self, text: str) -> str:
        return text


def _csv(result: Result) -> Iterator[str]:
    writer = csv.writer(_Line(), quoting=csv.QUOTE_MINIMAL)
    yield writer.writerow([column["name"] for column in result.columns])
    for row in result.rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
