"""People, roles and the audit trail in the Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from rest_framework_api_key.models import APIKey
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import ApiKey, AuditEvent, AuditLink, User
from mcp_site.core.admin import ReadOnly

# Whole refresh tokens, which nobody should read, and the key library's own table, which is not used.
admin.site.unregister([OutstandingToken, BlacklistedToken, APIKey])


class _SmallLetters:
    """E-mails are stored in small letters, as they are looked up at sign-in."""

    cleaned_data: dict[str, Any]

    def clean_email(self) -> str:
        """Return the e-mail as it is stored."""
        return str(self.cleaned_data["email"]).lower()


class UserChange(_SmallLetters, UserChangeForm):
    """A user to be changed."""

    class Meta:
        model = User
        fields = "__all__"


class UserCreation(_SmallLetters, AdminUserCreationForm):
    """A user to be made."""

    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Users: the e-mail is the login, groups are roles and teams (groups have an admin page of Django's own)."""

    form = UserChange
    add_form = UserCreation
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
    add_fieldsets = (
        (
            None,
            {"classes": ("wide",), "fields": ("email", "full_name", "usable_password", "password1", "password2")},
        ),
    )
    filter_horizontal = ("groups",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    """Who did what: to read, never to change."""

    list_display = ("id", "at", "actor", "action", "object_type", "object_name", "address")
    list_filter = ("action", "object_type")
    search_fields = ("object_name", "object_id", "request_id")
    list_select_related = ("actor",)


@admin.register(AuditLink)
class AuditLinkAdmin(ReadOnly):
    """The chain over the audit events: to read, never to change."""

    list_display = ("number", "event", "hash")
    list_select_related = ("event",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """API keys: made and revoked by their owners through the panel, which records it."""

    list_display = ("name", "prefix", "owner", "scopes", "revoked", "expiry_date", "last_used_at")
    list_filter = ("revoked",)
    search_fields = ("name", "prefix", "owner__email")
    list_select_related = ("owner",)
    exclude = ("id", "hashed_key")
