"""Definitions in the Django admin: names and reach can be changed; versions and moves are to read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from definitions import gates, services
from definitions.models import Alias, AliasMove, Definition, DefinitionVersion
from mcp_site.core.admin import ReadOnly

_EDITABLE = ("name", "description", "tags", "visibility")


class DefinitionForm(forms.ModelForm):
    """What can be changed, held to the same rules as everywhere."""

    def clean(self) -> dict[str, Any]:
        """Say at each field what is wrong with it."""
        cleaned = dict(super().clean() or self.cleaned_data)
        for problem in gates.reasons_against(cleaned):
            self.add_error(problem.path, problem.detail)
        return cleaned


@admin.register(Definition)
class DefinitionAdmin(admin.ModelAdmin):
    """Definitions: what they do is in their versions, which are saved on their page or by API."""

    form = DefinitionForm
    list_display = ("slug", "name", "kind", "owner", "visibility", "latest_number", "updated_at", "archived_at")
    list_filter = ("kind", "visibility")
    search_fields = ("slug", "name", "description")
    list_select_related = ("owner",)
    fields = (
        "slug",
        "name",
        "description",
        "tags",
        "visibility",
        "kind",
        "owner",
        "latest_number",
        "archived_at",
        "created_at",
        "updated_at",
    )
    readonly_fields = tuple(name for name in fields if name not in _EDITABLE)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Change through the service, so that it is checked and audited like everywhere."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        services.update_definition(by=request.user, definition=obj, **changed)  # type: ignore[arg-type]  # staff

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Archived definitions stay as they are."""
        return super().has_change_permission(request, obj) and (obj is None or not obj.is_archived)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Definitions are made on their page or by API, where the kind's form is."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Definitions are archived, not removed."""
        return False


@admin.register(DefinitionVersion)
class DefinitionVersionAdmin(ReadOnly):
    """Versions."""

    list_display = ("definition", "number", "note", "created_by", "created_at")
    list_filter = ("definition__kind",)
    list_select_related = ("definition", "created_by")
    search_fields = ("definition__slug", "note")


@admin.register(Alias)
class AliasAdmin(ReadOnly):
    """Aliases: moved on the definition's page or by API, where the move is remembered."""

    list_display = ("definition", "name", "version", "moved_by", "moved_at")
    list_select_related = ("definition", "version__definition", "moved_by")
    search_fields = ("definition__slug", "name")


@admin.register(AliasMove)
class AliasMoveAdmin(ReadOnly):
    """Where aliases stood."""

    list_display = ("definition", "name", "from_number", "to_number", "by", "at")
    list_select_related = ("definition", "by")
    search_fields = ("definition__slug", "name")
