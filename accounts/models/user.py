"""People: the e-mail is the login, the role a Django group."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property

from mcp_site.core.models import PublicId


class Role(models.TextChoices):
    """The ceiling of what a person may do. Stored as a Django group of the same name."""

    VIEWER = "Viewer", "Viewer"
    EDITOR = "Editor", "Editor"
    ADMIN = "Admin", "Admin"


def plain_email(text: str) -> str:
    """Return an e-mail as it is stored and compared: look-alike forms made one (NFKC), in small letters."""
    return unicodedata.normalize("NFKC", text).strip().lower()


_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})


def is_one_line(text: str) -> bool:
    """Tell whether `text` is free of line breaks and control characters: names go into mails, logs and headers."""
    return not any(unicodedata.category(char) in _UNSEEN for char in text)


class UserQuerySet(models.QuerySet["User"]):
    """People as querysets."""

    def present(self) -> UserQuerySet:
        """Those who can sign in: not switched off, and not merely invited."""
        return self.filter(is_active=True).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)

    def admins(self) -> UserQuerySet:
        """Active people of the role Admin."""
        return self.filter(Q(is_superuser=True) | Q(groups__name=Role.ADMIN), is_active=True).distinct()

    def of_role(self, role: str) -> UserQuerySet:
        """Those whose highest role is `role`."""
        admins = Q(is_superuser=True) | Q(groups__name=Role.ADMIN)
        if role == Role.ADMIN:
            return self.filter(admins).distinct()
        rest = self.exclude(pk__in=User.objects.filter(admins).values("pk"))
        editors = User.objects.filter(groups__name=Role.EDITOR).values("pk")
        return rest.filter(pk__in=editors) if role == Role.EDITOR else rest.exclude(pk__in=editors)


class UserManager(BaseUserManager["User"]):
    """Makes users; the e-mail is compared without regard to case."""

    def get_queryset(self) -> UserQuerySet:
        """Return everybody."""
        return UserQuerySet(self.model, using=self._db)

    def present(self) -> UserQuerySet:
        """Return those who can sign in."""
        return self.get_queryset().present()

    def admins(self) -> UserQuerySet:
        """Return the active Admins."""
        return self.get_queryset().admins()

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user. A missing password means that nobody can log in with one."""
        user = self.model(email=plain_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user who may do everything, the Django admin included."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """Find by e-mail as it is stored: in small letters."""
        return self.get(email=plain_email(username or ""))


class User(PublicId, AbstractBaseUser, PermissionsMixin):
    """One person."""

    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may use the Django admin", default=False)
    # The role that the person asked for and no Admin has decided on yet.
    requested_role = models.CharField(max_length=16, blank=True, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "accounts_users"
        ordering = ("email",)

    def __str__(self) -> str:
        return self.full_name or self.email

    @property
    def is_pending(self) -> bool:
        """Tell whether the person was invited and has not chosen a password yet."""
        return not self.has_usable_password()

    @cached_property
    def role(self) -> Role:
        """Return the highest role held. Reads the groups once; a user without any is a Viewer."""
        if self.is_superuser:
            return Role.ADMIN
        names = {group.name for group in self.groups.all()}
        return next((role for role in (Role.ADMIN, Role.EDITOR) if role in names), Role.VIEWER)
