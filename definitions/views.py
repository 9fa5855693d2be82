"""The pages of definitions: the list, and one with its versions, what it does and what it takes."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from accounts import access
from accounts.mixins import PageView
from definitions.diff import difference
from definitions.forms import DefinitionFilterForm, fields_of_schema
from definitions.models import Definition, DefinitionVersion
from mcp_site.core import uses

PAGE_SIZE = 50
MAX_VERSIONS = 200
# What the template of a kind shows in its own way; the rest of the config is listed as settings.
_SHOWN = {"script": {"code"}, "sql": {"sql"}, "llm": {"messages", "response_schema"}, "notebook": {"notebook", "cells"}}


class DefinitionList(PageView):
    """All definitions that the person may see."""

    section = "definitions"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = DefinitionFilterForm(request.GET)
        found = _narrowed(Definition.objects.visible_to(self.person), form.chosen).for_api().order_by("slug")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        context = {"form": form, "page": page}
        return self.page_or_part(
            "definitions/definition_list.html", "definitions/partials/definition_rows.html", context
        )


def _narrowed(found: Any, chosen: dict[str, Any]) -> Any:
    found = found.exclude(archived_at=None) if chosen.get("archived") else found.active()
    if text := chosen.get("search"):
        found = found.filter(Q(slug__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
    if kind := chosen.get("kind"):
        found = found.filter(kind=kind)
    if tag := chosen.get("tag"):
        found = found.filter(tags__contains=[tag])
    return found


class DefinitionDetail(PageView):
    """One definition."""

    section = "definitions"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the newest version, or `?version=`; `?compare=` adds what differs from another."""
        definition = get_object_or_404(Definition.objects.visible_to(self.person).for_api(), slug=slug)
        versions = definition.versions.select_related("created_by")
        version = _version(versions, request.GET.get("version"))
        context: dict[str, Any] = {
            "definition": definition,
            "version": version,
            "versions": list(versions.defer("config", "input_schema", "output_schema")[:MAX_VERSIONS]),
            "aliases": _aliases(definition),
            "uses": uses.find("definition", definition.pk, by=self.person),
        }
        if version is not None:
            may_run = not definition.is_archived and access.can(self.person, "definition.run", definition)
            context |= {
                **_shown(definition.kind, version.config),
                "fields": fields_of_schema(version.input_schema),
                "compared": _compared(version, _version(versions, request.GET.get("compare"), newest=False)),
                "may_run": may_run,
            }
        return self.page("definitions/definition_detail.html", context)


def _version(
    versions: QuerySet[DefinitionVersion], named: str | None, newest: bool = True
) -> DefinitionVersion | None:
    """Return the version of that number; for none the newest, or nothing. Raises Http404 where there is no such one."""
    if not named:
        return versions.first() if newest else None
    if not named.isascii() or not named.isdecimal() or len(named) > 9:
        raise Http404
    return get_object_or_404(versions, number=int(named))


def _aliases(definition: Definition) -> dict[int, list[str]]:
    named: dict[int, list[str]] = {}
    for alias in definition.aliases.all():
        named.setdefault(alias.version.number, []).append(alias.name)
    return named


def _shown(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a config: the template of its kind, its cells, its plain settings."""
    shown = _SHOWN.get(kind)
    return {
        "config": config,
        "config_template": f"definitions/partials/config_{kind if shown else 'other'}.html",
        "cells": _cells(config) if kind == "notebook" else [],
        "settings": [(n, v) for n, v in config.items() if n not in shown and v not in (None, "", [], {})] if shown else [],
    }


def _cells(config: dict[str, Any]) -> list[dict[str, Any]]:
    notebook = config.get("notebook") or config
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    found = []
    for cell in cells if isinstance(cells, list) else []:
        source = cell.get("source", "")
        text = "".join(source) if isinstance(source, list) else str(source)
        tags = (cell.get("metadata") or {}).get("tags") or []
        found.append({"type": str(cell.get("cell_type", "code")), "tags": tags, "text": text})
    return found


def _compared(version: DefinitionVersion, other: DefinitionVersion | None) -> dict[str, Any] | None:
    """Return what differs from another version, line by line with what each line is; None for no other."""
    if other is None:
        return None
    text = difference(other.content, version.content, (f"v{other.number}", f"v{version.number}"))["text"]
    sorts = {"+": "add", "-": "del", "@": "gap"}
    return {"other": other, "lines": [(sorts.get(line[:1], ""), line) for line in text.splitlines()[2:]]}
