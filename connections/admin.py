"""Connections and snapshots in the Django admin: secrets are never shown, only which are set."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import access
from accounts.models import User
from connections import services
from connections.models import Connection, PastQuery, SchemaSnapshot
from mcp_site.core.admin import ReadOnly


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):
    """Connections: name, description and visibility can be changed here; the rest on its page or by API."""

    list_display = ("slug", "name", "type", "owner", "visibility", "last_test_at", "last_scan_at", "archived_at")
    list_filter = ("type", "visibility")
    search_fields = ("slug", "name")
    list_select_related = ("owner",)
    fields = (
        "slug",
        "name",
        "description",
        "visibility",
        "type",
        "owner",
        "settings",
        "revision",
        "last_test",
        "last_test_at",
        "scan_every",
        "scan_due_at",
        "scan_error",
        "last_scan_at",
        "fingerprint",
        "archived_at",
        "created_at",
        "updated_at",
    )
    readonly_fields = tuple(name for name in fields if name not in ("name", "description", "visibility"))

    @admin.display(description="config")
    def settings(self, connection: Connection) -> dict[str, Any]:
        """Show the config; of each secret only whether it is set."""
        return connection.shown_config

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """Staff see here what they see everywhere."""
        return Connection.objects.visible_to(cast(User, request.user))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Change through the service, so that it is checked and audited like everywhere."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        services.update_connection(by=cast(User, request.user), connection=obj, **changed)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Archived connections stay as they are, others' too where the role says so."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (not obj.is_archived and access.can(request.user, "connection.edit", obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Connections are made on their page or by API, where the type's form is."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Connections are archived, not removed."""
        return False


@admin.register(SchemaSnapshot)
class SchemaSnapshotAdmin(ReadOnly):
    """Snapshots: to read, never to change."""

    list_display = ("connection", "number", "tables_count", "created_at", "created_by")
    list_select_related = ("connection", "created_by")
    search_fields = ("connection__slug",)


@admin.register(PastQuery)
class PastQueryAdmin(ReadOnly):
    """What people asked by hand: to read, never to change."""

    list_display = ("connection", "user", "sql", "ran_at", "ms", "row_count")
    list_select_related = ("connection", "user")
    search_fields = ("connection__slug", "user__email")
