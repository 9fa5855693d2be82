"""People, roles and the audit trail in the Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from rest_framework_api_key.models import APIKey

from accounts import services
from accounts.models import ApiKey, AuditEvent, AuditLink, Grant, Letter, Role, Session, User
from accounts.models.user import plain_email
from mcp_site.core.admin import ReadOnly

# The key library's own table, which is not used.
admin.site.unregister(APIKey)


class _SmallLetters:
    """E-mails are stored in small letters, as they are looked up at sign-in."""

    cleaned_data: dict[str, Any]

    def clean_email(self) -> str:
        """Return the e-mail as it is stored."""
        return plain_email(self.cleaned_data["email"])


class UserChange(_SmallLetters, UserChangeForm):
    """A user to be changed."""

    def clean(self) -> dict[str, Any]:
        """Refuse to leave the panel without an Admin."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        user: User = self.instance
        was_admin = user.pk and User.objects.admins().present().filter(pk=user.pk).exists()
        stays = data.get("is_active") and any(group.name == Role.ADMIN for group in data.get("groups", ()))
        if was_admin and not stays and not User.objects.admins().present().exclude(pk=user.pk).exists():
            raise ValidationError("This is the last Admin. Make somebody else Admin first.", code="last_admin")
        return data

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
    """Users: the e-mail is the login, groups are roles and teams (groups have an admin page of Django's own).

    What follows from the groups (one role, the flags, the line in the audit trail) is the services' work.
    """

    form = UserChange
    add_form = UserCreation
    ordering = ("email",)
    list_display = ("email", "full_name", "role", "requested_role", "is_active", "last_login")
    list_filter = ("is_active", "groups", "requested_role")
    search_fields = ("email", "full_name")
    readonly_fields = ("uid", "created_at", "last_login", "is_staff", "is_superuser")
    fieldsets = (
        (None, {"fields": ("email", "password", "full_name", "uid")}),
        ("Rights", {"fields": ("is_active", "groups", "requested_role", "is_staff", "is_superuser")}),
        ("Times", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = (
        (
            None,
            {"classes": ("wide",), "fields": ("email", "full_name", "usable_password", "password1", "password2")},
        ),
    )
    filter_horizontal = ("groups",)

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        """Save the groups, then what follows from them."""
        user: User = form.instance
        before = sorted(user.groups.values_list("name", flat=True))
        super().save_related(request, form, formsets, change)
        services.apply_groups(by=request.user, user=user, before=before)

    def user_change_password(self, request: Any, id: str, form_url: str = "") -> Any:
        """Let Django set the password; end the person's sign-ins if it did."""
        before = User.objects.filter(pk=id).values_list("password", flat=True).first()
        response = super().user_change_password(request, id, form_url)
        user = User.objects.filter(pk=id).first()
        if user is not None and user.password != before:
            services.password_set_by_admin(by=request.user, user=user)
        return response

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Refuse: people are removed through the panel, which keeps what they did."""
        return False


admin.site.unregister(Group)


@admin.register(Group)
class RoleOrTeamAdmin(GroupAdmin):
    """Roles and teams. Roles can be neither renamed nor removed: the panel's rights hang on their names."""

    exclude = ("permissions",)
    filter_horizontal = ()

    def get_readonly_fields(self, request: Any, obj: Any = None) -> tuple[str, ...]:
        """Keep a role's name."""
        return ("name",) if obj is not None and obj.name in Role.values else ()

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Keep roles."""
        return obj is not None and obj.name not in Role.values and super().has_delete_permission(request, obj)


@admin.register(Session)
class SessionAdmin(ReadOnly):
    """Sign-ins: ended by their owners on the account page, or by switching the account off."""

    list_display = ("user", "kind", "address", "created_at", "last_seen_at", "ended_at", "end_reason")
    list_filter = ("kind", "end_reason")
    search_fields = ("user__email", "address")
    list_select_related = ("user",)
    exclude = ("cookie_key", "refresh_id")


@admin.register(Grant)
class GrantAdmin(ReadOnly):
    """Shares: made by whoever may edit the thing."""

    list_display = ("object_type", "object_id", "user", "team", "permission", "created_at")
    list_filter = ("object_type", "permission")
    list_select_related = ("user", "team")


@admin.register(Letter)
class LetterAdmin(ReadOnly):
    """Invitations and resets, and whether they went out."""

    list_display = ("user", "purpose", "created_at", "sent_at", "tries", "error")
    list_filter = ("purpose",)
    list_select_related = ("user",)


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
