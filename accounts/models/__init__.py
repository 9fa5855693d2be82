"""Rows of accounts."""

from __future__ import annotations

from accounts.models.api_key import ApiKey
from accounts.models.audit_event import AuditEvent
from accounts.models.audit_link import AuditLink
from accounts.models.grant import Grant, Permission
from accounts.models.letter import Letter
from accounts.models.session import Session, SessionKind
from accounts.models.user import Role, User

__all__ = [
    "ApiKey",
    "AuditEvent",
    "AuditLink",
    "Grant",
    "Letter",
    "Permission",
    "Role",
    "Session",
    "SessionKind",
    "User",
]
