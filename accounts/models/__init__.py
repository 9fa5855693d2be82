"""Rows of accounts."""

from __future__ import annotations

from accounts.models.api_key import ApiKey
from accounts.models.audit_event import AuditEvent
from accounts.models.audit_link import AuditLink
from accounts.models.user import Role, User

__all__ = ["ApiKey", "AuditEvent", "AuditLink", "Role", "User"]
