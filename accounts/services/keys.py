"""API keys: made, rotated, revoked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import cast

from django.db import transaction

from accounts import access, audit
from accounts.models import ApiKey, User
from accounts.models.api_key import MARK, SCOPES
from mcp_site.core import clock
from mcp_site.core.errors import Conflict, Forbidden, Problem, reject_if


def _scope_problems(owner: User, scopes: Sequence[str]) -> Iterator[Problem]:
    allowed = access.KEY_SCOPES[owner.role]
    for place, scope in enumerate(scopes):
        if scope not in SCOPES:
            yield Problem(f"scopes.{place}", "unknown_scope", f"known are {', '.join(sorted(SCOPES))}")
        elif scope not in allowed:
            yield Problem(f"scopes.{place}", "scope_above_role", f"a key of the role {owner.role} can't have `{scope}`")


def _network_problems(networks: Sequence[str]) -> Iterator[Problem]:
    for place, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            yield Problem(f"allowed_networks.{place}", "invalid", "write a network such as 10.0.0.0/8 or 2001:db8::/32")


@transaction.atomic
def issue_key(
    *,
    by: User,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    allowed_networks: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make an API key of `by`. Returns the key and its text, which nobody can see again.

    Raises Rejected (unknown scope, one above the role, a network that is none, an end that has passed).
    """
    problems = [*_scope_problems(by, scopes), *_network_problems(allowed_networks)]
    if not scopes:
        problems.append(Problem("scopes", "required", "a key without a scope can do nothing"))
    if expires_at is not None and expires_at <= clock.now():
        problems.append(Problem("expires_at", "invalid", "lies in the past"))
    reject_if(problems)
    made, secret = ApiKey.objects.create_key(
        owner=by,
        name=name,
        scopes=sorted(set(scopes)),
        expiry_date=expires_at,
        allowed_networks=list(allowed_networks),
    )
    key = cast(ApiKey, made)
    audit.log(
        by, "api_key.create", key, name=name, changes={"scopes": [None, key.scopes], "prefix": [None, key.prefix]}
    )
    return key, f"{MARK}{secret}"


@transaction.atomic
def rotate_key(*, by: User, key: ApiKey, overlap: timedelta) -> tuple[ApiKey, str]:
    """Make a key with the same rights; the old one goes on for `overlap`. Raises Conflict for one that is dead.

    For its owner alone: it acts as that person, so not even an Admin may hold it. Raises Forbidden.
    """
    if key.owner_id != by.pk:
        raise Forbidden("Only its owner may rotate a key. You may revoke it.")
    if not key.is_usable:
        raise Conflict("This key is revoked or expired; make a new one.", code="key_ended")
    new, text = issue_key(
        by=key.owner,
        name=key.name,
        scopes=[scope for scope in key.scopes if scope in access.KEY_SCOPES[key.owner.role]],
        expires_at=key.expiry_date,
        allowed_networks=key.allowed_networks,
    )
    new.rotated_from = key
    new.save(update_fields=["rotated_from"])
    end = clock.now() + overlap
    key.expiry_date = min(end, key.expiry_date) if key.expiry_date else end
    key.save(update_fields=["expiry_date"])
    audit.log(by, "api_key.rotate", key, name=key.name, changes={"expires_at": [None, key.expiry_date.isoformat()]})
    return new, text


@transaction.atomic
def revoke_key(*, by: User, key: ApiKey) -> None:
    """End a key at once and for ever."""
    _require_own(by, key)
    if not key.revoked:
        key.revoked = True
        key.save(update_fields=["revoked"])
        audit.log(by, "api_key.revoke", key, name=key.name)


def _require_own(by: User, key: ApiKey) -> None:
    if key.owner_id != by.pk:
        access.require(by, "user.manage")
