"""People, roles and the audit trail in the Django admin."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import AuditEvent, User
from mcp_site.core.admin import ReadOnly

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg, misc]  # unfold's mixture is its own
    """Users: the e-mail is the login, groups are roles and teams."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("email",)
    list_display = ("email", "full_name", "role", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "groups")
    search_fields = ("email", "full_name")
    readonly_fields = ("uid", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "password", "full_name", "uid")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Times", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = (  # type: ignore[assignment]  # the stubs know only Django's own fields
        (None, {"classes": ("wide",), "fields": ("email", "full_name", "password1", "password2")}),
    )
    filter_horizontal = ("groups",)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]  # likewise
    """Roles (Viewer, Editor, Admin) and teams."""


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    """Who did what: to read, never to change."""

    list_display = ("id", "at", "actor", "action", "object_type", "object_name", "address")
    list_filter = ("action", "object_type")
    search_fields = ("object_name", "object_id", "request_id")
    list_select_related = ("actor",)
