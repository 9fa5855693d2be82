"""What people do with accounts: an actor, a permission, rows, and a line in the audit trail."""

from __future__ import annotations

from accounts.services.keys import issue_key, revoke_key, rotate_key
from accounts.services.people import (
    apply_groups,
    change_person,
    create_admin,
    decide_role,
    invite,
    register,
    remove_person,
    set_role,
)
from accounts.services.shares import change_share, share, unshare
from accounts.services.sign_in import (
    ask_reset,
    change_password,
    end_other_sessions,
    end_session,
    note_failed,
    password_set_by_admin,
    renew_tokens,
    reset_password,
    sign_in_page,
    sign_in_tokens,
    sign_out,
)
from accounts.services.teams import create_team, remove_team, rename_team, set_members
from accounts.services.trail import export_audit

__all__ = [
    "apply_groups",
    "ask_reset",
    "change_password",
    "change_person",
    "change_share",
    "create_admin",
    "create_team",
    "decide_role",
    "end_other_sessions",
    "end_session",
    "export_audit",
    "invite",
    "issue_key",
    "note_failed",
    "password_set_by_admin",
    "register",
    "remove_person",
    "remove_team",
    "rename_team",
    "renew_tokens",
    "reset_password",
    "revoke_key",
    "rotate_key",
    "set_members",
    "set_role",
    "share",
    "sign_in_page",
    "sign_in_tokens",
    "sign_out",
    "unshare",
]
