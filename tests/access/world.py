"""One panel with one of everything, and everybody who may knock: what the table of access is asked of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from accounts import access, services, tokens
from accounts.models import ApiKey, Role, User
from mcp_site.core import clock

PASSWORD = "a long enough password"
# Those who are let in nowhere that needs credentials.
OUTSIDERS = (
    "anonymous",
    "pending",
    "disabled",
    "revoked_key",
    "expired_key",
    "expired_token",
    "refresh_token",
)
# Those who are known: a key that reads alerts and nothing else, and people.
INSIDERS = ("narrow_key", "viewer_stranger", "viewer_shared", "editor_stranger", "editor_owner", "admin")
PRINCIPALS = OUTSIDERS + INSIDERS
PEOPLE = INSIDERS[1:]


def person(name: str, role: Role) -> User:
    """Return somebody of this role."""
    flags = {"is_staff": True, "is_superuser": True} if role == Role.ADMIN else {}
    user = User.objects.create_user(f"{name}@example.com", PASSWORD, full_name=name, **flags)
    user.groups.add(Group.objects.get(name=role))
    return user


class _OrNothing(dict[str, str]):
    """Gives an id of nothing for a parameter that no thing of the world stands for."""

    def __missing__(self, name: str) -> str:
        return "0192e7a0-0000-7000-8000-000000000000"


@dataclass
class World:
    """Who knocks (`headers` by principal, `people` by name), and what stands in the place of each path parameter."""

    people: dict[str, User] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    # By the first noun of the path, then by parameter.
    values: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, principal: str, *, is_page: bool) -> APIClient:
        """Return a client with the credentials of `principal`: people come to pages by cookie."""
        client = APIClient()
        name = "was_disabled" if principal == "disabled" else principal
        if is_page and name in self.people:
            if name not in self.cookies:
                client.force_login(self.people[name])
                self.cookies[name] = client.cookies[settings.SESSION_COOKIE_NAME].value
            client.cookies[settings.SESSION_COOKIE_NAME] = self.cookies[name]
        else:
            client.credentials(**self.headers[principal])
        return client

    def path(self, template: str) -> str:
        """Return `template` with its parameters filled in."""
        nouns = [part for part in template.removeprefix("/api/v1").split("/") if part]
        values = self.values.get("/".join(nouns[:2]), self.values.get(nouns[0] if nouns else "", {}))
        return template.format_map(_OrNothing({**self.values[""], **values}))


def bearer(token: Any) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def _expired(pair: tokens.Pair) -> str:
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    claims["exp"] = 1_000_000_000
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def _credentials(world: World) -> None:
    people = world.people
    people["viewer_stranger"] = person("viewer_stranger", Role.VIEWER)
    people["viewer_shared"] = person("viewer_shared", Role.VIEWER)
    people["editor_stranger"] = person("editor_stranger", Role.EDITOR)
    people["editor_owner"] = person("editor_owner", Role.EDITOR)
    people["admin"] = person("admin", Role.ADMIN)
    owner = people["editor_owner"]
    for name in PEOPLE:
        world.headers[name] = bearer(tokens.open_with_tokens(people[name], address=None, user_agent="").access)
    pair = tokens.open_with_tokens(owner, address=None, user_agent="")
    disabled = person("disabled", Role.EDITOR)
    people["was_disabled"] = disabled
    world.headers |= {
        "anonymous": {},
        "expired_token": bearer(_expired(pair)),
        "refresh_token": bearer(pair.refresh),
        "disabled": bearer(tokens.open_with_tokens(disabled, address=None, user_agent="").access),
        # Nobody who is pending has credentials; a forged sign-in is the nearest thing.
        "pending": bearer("pending"),
    }
    for name, scopes in (
        ("narrow_key", ["alerts:read"]),
        ("revoked_key", sorted(access.KEY_SCOPES[Role.EDITOR])),
        ("expired_key", sorted(access.KEY_SCOPES[Role.EDITOR])),
    ):
        key, text = services.issue_key(by=owner, name=name, scopes=scopes)
        world.headers[name] = {"HTTP_X_API_KEY": text}
        if name == "revoked_key":
            services.revoke_key(by=owner, key=key)
        if name == "expired_key":
            ApiKey.objects.filter(pk=key.pk).update(expiry_date=clock.now() - timedelta(seconds=1))
    User.objects.filter(pk=disabled.pk).update(is_active=False)


def _made(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.content
    found: dict[str, Any] = answer.json()
    return found


def _things(world: World) -> None:
    """Make one of everything as its owner; viewer_shared may view the definition, the workflow and the connection."""
    owner = world.client("editor_owner", is_page=False)
    admin = world.client("admin", is_page=False)
    v1 = "/api/v1"
    private = {"visibility": "private"}
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "hi"}]}
    _made(owner.post(f"{v1}/definitions", {"slug": "thing", "name": "Thing", "kind": "llm", **private}))
    _made(owner.post(f"{v1}/definitions/thing/versions", {"config": config}))
    _made(owner.put(f"{v1}/definitions/thing/aliases/live", {"version": 1}))
    graph = {"steps": [{"key": "a", "definition": "thing"}]}
    flow = _made(owner.post(f"{v1}/workflows", {"slug": "flow", "name": "Flow", "graph": graph, **private}))
    _made(owner.put(f"{v1}/workflows/flow/aliases/live", {"version": 1}))
    base = {"slug": "base", "name": "Base", "type": "secret", "config": {"value": "not so secret"}, **private}
    _made(owner.post(f"{v1}/connections", base))
    run = _made(owner.post(f"{v1}/workflows/flow/runs", {"inputs": {}}))
    schedule = _made(owner.post(f"{v1}/schedules", {"workflow": "flow", "cron": "0 3 * * *", "timezone": "UTC"}))
    trigger = _made(owner.post(f"{v1}/triggers", {"workflow": "flow"}))
    key = _made(owner.post(f"{v1}/api-keys", {"name": "k", "scopes": ["runs:read"]}))
    rule = {"name": "Slow", "metric": "x", "aggregate": "avg", "comparison": ">", "threshold": 1, "window": "5m"}
    rule = _made(owner.post(f"{v1}/alert-rules", rule))
    alert = _made(owner.post(f"{v1}/alerts", {"title": "Look", "severity": "warn"}))
    channel = {"slug": "inbox", "name": "Inbox", "type": "inbox", "config": {}}
    _made(owner.post(f"{v1}/channels", channel))
    team = _made(admin.post(f"{v1}/teams", {"name": "Data", "members": []}))
    shared = world.people["viewer_shared"]
    shares = {}
    for area, slug in (("definitions", "thing"), ("workflows", "flow"), ("connections", "base")):
        body = {"user": str(shared.uid), "permission": "view"}
        shares[area] = _made(owner.post(f"{v1}/{area}/{slug}/shares", body))["id"]
    session = tokens.open_with_tokens(world.people["editor_owner"], address=None, user_agent="").session
    uid = "0192e7a0-0000-7000-8000-000000000000"
    world.values = {
        "": {"name": "live", "number": "1", "key": "a", "index": "0", "token": "nosuchtoken", "uid": uid, "slug": "x"},
        "definitions": {"slug": "thing", "share": shares["definitions"]},
        "workflows": {"slug": "flow", "share": shares["workflows"]},
        "connections": {"slug": "base", "share": shares["connections"]},
        "runs": {"uid": run["id"], "artifact": uid, "name": "steps", "other": run["id"]},
        "schedules": {"uid": schedule["id"]},
        "triggers": {"uid": trigger["id"]},
        "api-keys": {"uid": key["id"]},
        "alert-rules": {"uid": rule["id"]},
        "alerts": {"uid": alert["id"]},
        "alerts/rules": {"uid": rule["id"]},
        "connections/new": {"type": "secret"},
        "errors": {"fingerprint": "0" * 64},
        "entities": {"type": "workflow", "id": flow["id"]},
        "channels": {"slug": "inbox"},
        "teams": {"pk": str(team["id"]), "uid": str(shared.uid)},
        "users": {"uid": str(world.people["editor_owner"].uid)},
        "auth": {"uid": str(session.uid)},
        "account": {"uid": key["id"]},
    }


def build() -> World:
    """Return the world."""
    world = World()
    _credentials(world)
    _things(world)
    return world
