"""People: the e-mail is the login, the role a Django group."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils.functional import cached_property

from mcp_site.core.models import PublicId


class Role(models.TextChoices):
    """The ceiling of what a person may do. Stored as a Django group of the same name."""

    VIEWER = "Viewer", "Viewer"
    EDITOR = "Editor", "Editor"
    ADMIN = "Admin", "Admin"


class UserManager(BaseUserManager["User"]):
    """Makes users; the e-mail is compared without regard to case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user. A missing password means that nobody can log in with one."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user who may do everything, the Django admin included."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """Find by e-mail as it is stored: in small letters."""
        return self.get(email=(username or "").lower())


class User(PublicId, AbstractBaseUser, PermissionsMixin):
    """One person."""

    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may use the Django admin", default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "accounts_users"
        ordering = ("email",)

    def __str__(self) -> str:
        return self.full_name or self.email

    @cached_property
    def role(self) -> Role:
        """Return the highest role held. Reads the groups once; a user without any is a Viewer."""
        if self.is_superuser:
            return Role.ADMIN
        names = set(self.groups.values_list("name", flat=True))
        return next((role for role in (Role.ADMIN, Role.EDITOR) if role in names), Role.VIEWER)
