"""Rows of accounts."""

from __future__ import annotations

from accounts.models.audit_event import AuditEvent
from accounts.models.user import Role, User

__all__ = ["AuditEvent", "Role", "User"]
