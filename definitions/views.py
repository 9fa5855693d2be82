"""The pages of definitions: the list, and one with its versions, config and uses."""

from __future__ import annotations

import json
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import select_template

from accounts import access
from accounts.mixins import PageView
from definitions.diff import difference
from definitions.forms import DefinitionFilterForm, fields_of_schema
from definitions.models import Definition, DefinitionVersion
from mcp_site.core import uses

PAGE_SIZE = 50
MAX_VERSIONS = 200
# What a kind's own template draws; the rest of its config is listed as names and values.
_DRAWN = {
    "script": frozenset({"code"}),
    "llm": frozenset({"messages", "response_schema"}),
    "sql": frozenset({"sql"}),
    "notebook": frozenset({"notebook"}),
}


class DefinitionList(PageView):
    """All definitions that the person may see."""

    section = "definitions"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = DefinitionFilterForm(request.GET)
        found = self._narrowed(Definition.objects.visible_to(self.person), form.chosen).for_api().order_by("slug")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        context = {"form": form, "page": page}
        return self.page_or_part(
            "definitions/definition_list.html", "definitions/partials/definition_rows.html", context
        )

    def _narrowed(self, found: Any, chosen: dict[str, Any]) -> Any:
        found = found.exclude(archived_at=None) if chosen.get("archived") else found.active()
        if text := chosen.get("search"):
            found = found.filter(Q(slug__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
        if kind := chosen.get("kind"):
            found = found.filter(kind=kind)
        if tag := chosen.get("tag"):
            found = found.filter(tags__contains=[tag])
        return found


class DefinitionDetail(PageView):
    """One definition: a version's config, all versions, aliases, and who uses it."""

    section = "definitions"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the newest version, or the one that `?version=` names; `?compare=` another one with it."""
        definition = get_object_or_404(Definition.objects.visible_to(self.person).for_api(), slug=slug)
        versions = definition.versions.select_related("created_by").defer("config", "input_schema", "output_schema")
        version = _version(definition, request.GET.get("version"))
        other = _version(definition, request.GET.get("compare")) if request.GET.get("compare") else None
        context = {
            "definition": definition,
            "versions": list(versions[:MAX_VERSIONS]),
            "aliases": _aliases(definition),
            "version": version,
            "uses": uses.find("definition", definition.pk, by=self.person),
            "may_share": access.can(self.person, "definition.edit", definition),
            "may_run": access.can(self.person, "definition.run", definition) and not definition.is_archived,
            **(_shown(definition, version) if version else {}),
        }
        if version and other and other != version:
            context["compared"] = {"other": other, "lines": _diff_lines(other, version)}
        return self.page("definitions/definition_detail.html", context)


def _version(definition: Definition, named: str | None) -> DefinitionVersion | None:
    """Return the version of that number, the newest for none. Raises Http404 where there is no such one."""
    if not named:
        return definition.versions.select_related("created_by").first()
    if not named.isascii() or not named.isdecimal() or len(named) > 9:
        raise Http404
    return get_object_or_404(definition.versions.select_related("created_by"), number=int(named))


def _aliases(definition: Definition) -> dict[int, list[str]]:
    """Return the names of each version by its number."""
    named: dict[int, list[str]] = {}
    for alias in definition.aliases.all():
        named.setdefault(alias.version.number, []).append(alias.name)
    return named


def _shown(definition: Definition, version: DefinitionVersion) -> dict[str, Any]:
    config = version.config if isinstance(version.config, dict) else {}
    drawn = _DRAWN.get(definition.kind, frozenset(config))
    names = [f"definitions/partials/config_{definition.kind}.html"] if definition.kind in _DRAWN else []
    return {
        "config": config,
        "config_template": select_template([*names, "definitions/partials/config_other.html"]),
        "settings": [(name, _in_words(value)) for name, value in config.items() if name not in drawn and _says(value)],
        "cells": _cells(config.get("notebook")),
        "fields": fields_of_schema(version.input_schema),
    }


def _says(value: Any) -> bool:
    return value is not None and value not in ("", [], {})


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and not any(isinstance(inner, dict | list) for inner in value.values()):
        return ", ".join(f"{name} {_in_words(inner)}" for name, inner in value.items() if _says(inner))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cells(notebook: Any) -> list[dict[str, Any]]:
    """Return a notebook's cells as type, text and tags."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    shown = []
    for cell in cells if isinstance(cells, list) else []:
        source, metadata = cell.get("source", ""), cell.get("metadata") or {}
        text = "".join(source) if isinstance(source, list) else str(source)
        shown.append({"type": cell.get("cell_type", "code"), "text": text, "tags": metadata.get("tags", [])})
    return shown


def _diff_lines(before: DefinitionVersion, after: DefinitionVersion) -> list[tuple[str, str]]:
    """Return the unified diff as (what the line is, its text)."""
    text = difference(before.content, after.content, (f"v{before.number}", f"v{after.number}"))["text"]
    signs = {"+": "add", "-": "del", "@": "gap"}
    return [(signs.get(line[:1], ""), line) for line in text.split("\n")[2:]]
