"""What was taken away is gone: each way of taking, against each way of coming in, open streams included.

`ended` names the doors that must be closed after an act, within five seconds; the others must still be open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import ApiKey, Role, Session, User
from mcp_site.asgi import application
from tests.conftest import PASSWORD
from workflows import services
from workflows.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]
BOUND = 5.0
NEW = "an entirely new password"
DOORS = (
    "cookie",
    "access",
    "refresh",
    "key",
    "sse_cookie",
    "sse_access",
    "sse_key",
    "ws_cookie",
    "ws_access",
    "ws_key",
    "ws_all",
)
BY_TOKEN = {"access", "refresh", "sse_access", "ws_access", "ws_all"}
BY_COOKIE = {"cookie", "sse_cookie", "ws_cookie"}
BY_KEY = {"key", "sse_key", "ws_key"}
STREAMS = {door for door in DOORS if door.startswith(("sse", "ws"))}


@dataclass
class Way:
    """How rights are taken, and which doors that must close."""

    take: Callable[[House], Any]
    ended: set[str] = field(default_factory=set)


class House:
    """One person with every way of coming in, each in use."""

    def __init__(self, user: User, run: Run, by: User) -> None:
        self.user, self.run, self.by = user, run, by
        self.page = Client()
        self.page.post("/login/", {"username": user.email, "password": PASSWORD})
        signed = APIClient().post("/auth/login", {"email": user.email, "password": PASSWORD}).json()
        self.access, self.refresh = signed["access_token"], signed["refresh_token"]
        self.key, self.text = accounts.issue_key(by=user, name="k", scopes=["runs:read"])
        self.url = f"/api/v1/runs/{run.uid}"
        self.closed: dict[str, asyncio.Task[Any]] = {}

    @property
    def token(self) -> APIClient:
        """Return a client with the access token."""
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.access}")
        return client

    def is_open(self, door: str) -> bool:
        """Try a door that is no stream."""
        if door == "cookie":
            return self.page.get(self.url).status_code == 200
        if door == "access":
            return self.token.get(self.url).status_code == 200
        if door == "refresh":
            answer = APIClient().post("/auth/refresh", {"refresh_token": self.refresh})
            if answer.status_code == 200:
                self.access, self.refresh = answer.json()["access_token"], answer.json()["refresh_token"]
            return answer.status_code == 200
        client = APIClient()
        client.credentials(HTTP_X_API_KEY=self.text)
        return client.get(self.url).status_code == 200

    def credentials(self, door: str) -> dict[str, str]:
        """Return the headers of a stream's door."""
        if door.endswith("key"):
            return {"X-API-Key": self.text}
        if door.endswith("cookie"):
            name = django_settings.SESSION_COOKIE_NAME
            return {"Cookie": f"{name}={self.page.cookies[name].value}", "Origin": "http://localhost"}
        return {"Authorization": f"Bearer {self.access}"}

    async def follow_all(self) -> None:
        """Open every stream, and make sure that each is fed."""
        for door in sorted(STREAMS):
            headers = self.credentials(door)
            follow = self._sse if door.startswith("sse") else self._socket
            self.closed[door] = await follow(headers, "/ws/runs" if door == "ws_all" else f"/ws/runs/{self.run.uid}")

    async def _sse(self, headers: dict[str, str], _: str) -> asyncio.Task[Any]:
        headers = {**headers, "Accept": "text/event-stream"}
        client = AsyncClient()
        # The client writes this header itself.
        if cookie := headers.pop("Cookie", ""):
            client.cookies.load(cookie)
        response: Any = await client.get(f"{self.url}/events", headers=headers)
        assert response.status_code == 200
        parts = aiter(response.streaming_content)
        await anext(parts)

        async def drain() -> None:
            async for _ in parts:
                pass

        return asyncio.create_task(drain())

    async def _socket(self, headers: dict[str, str], path: str) -> asyncio.Task[Any]:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        socket = WebsocketCommunicator(application, path, headers=[*raw, (b"host", b"localhost")])
        connected, _ = await socket.connect(timeout=5)
        assert connected

        async def drain() -> int:
            while True:
                message = await socket.receive_output(timeout=60)
                if message["type"] == "websocket.close":
                    return int(message["code"])

        return asyncio.create_task(drain())


WAYS = {
    "nothing": Way(lambda house: None),
    "logout by token": Way(lambda house: house.token.post("/auth/logout"), BY_TOKEN),
    "logout by page": Way(lambda house: house.page.post("/logout/"), BY_COOKIE),
    "logout by cookie over the API": Way(lambda house: house.page.post("/auth/logout"), BY_COOKIE),
    "password change by token": Way(
        lambda house: house.token.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW}),
        BY_COOKIE,
    ),
    "password reset by letter": Way(
        lambda house: APIClient().post("/auth/password/reset", {"token": letter(house.user), "password": NEW}),
        BY_TOKEN | BY_COOKIE,
    ),
    "password set in the Django admin": Way(
        lambda house: admin_of(house).post(
            f"/admin/accounts/user/{house.user.pk}/password/",
            {"password1": NEW, "password2": NEW, "usable_password": "true"},
        ),
        BY_TOKEN | BY_COOKIE,
    ),
    "one sign-in ended": Way(
        lambda house: house.page.delete(f"/auth/sessions/{session(house, 'token').uid}"), BY_TOKEN
    ),
    "refresh token used twice": Way(
        lambda house: [
            APIClient().post("/auth/refresh", {"refresh_token": house.refresh}),
            APIClient().post("/auth/refresh", {"refresh_token": house.refresh}),
        ],
        BY_TOKEN,
    ),
    "switched off": Way(
        lambda house: accounts.change_person(by=house.by, user=house.user, is_active=False), set(DOORS)
    ),
    "removed": Way(lambda house: accounts.remove_person(by=house.by, user=house.user), set(DOORS)),
    "key revoked": Way(lambda house: accounts.revoke_key(by=house.user, key=house.key), BY_KEY),
    # The sign-in stays good, the run is out of sight.
    "role taken": Way(
        lambda house: accounts.set_role(user=house.user, role=Role.EDITOR, by=house.by),
        set(DOORS) - {"refresh", "ws_all"},
    ),
}


def letter(user: User) -> str:
    from accounts import tokens

    return tokens.letter(User.objects.get(pk=user.pk), tokens.RESET)


def session(house: House, kind: str) -> Session:
    return Session.objects.get(user=house.user, kind=kind)


def admin_of(house: House) -> Client:
    client = Client()
    client.force_login(house.by)
    return client


@pytest.mark.parametrize("name", WAYS)
async def test_what_was_taken_away_is_gone_within_five_seconds(start: Start, ada: User, ben: User, name: str) -> None:
    other = await sync_to_async(accounts.create_admin)(email="eve@example.com", password=PASSWORD)
    run = await sync_to_async(start)({"key": "a"})
    # In sight of Admins and Ben only, so that a lost role shows.
    await sync_to_async(services.update_workflow)(by=ben, workflow=run.workflow, visibility="private")
    house = await sync_to_async(House)(ada, run, other)
    for door in sorted(set(DOORS) - STREAMS - {"refresh"}):
        assert await sync_to_async(house.is_open)(door), door
    await house.follow_all()
    way = WAYS[name]

    answer = await sync_to_async(way.take)(house)
    if hasattr(answer, "status_code"):
        assert answer.status_code in (200, 204, 302), answer.content
    # At once, not after a bound: what is no stream.
    for door in sorted(set(DOORS) - STREAMS):
        assert await sync_to_async(house.is_open)(door) == (door not in way.ended), door
    wanted = [house.closed[door] for door in way.ended & STREAMS]
    if wanted:
        _, late = await asyncio.wait(wanted, timeout=BOUND)
        assert not late
    else:
        await asyncio.sleep(2.5)
    still = {door for door, task in house.closed.items() if not task.done()}
    for task in house.closed.values():
        task.cancel()
    assert still == STREAMS - way.ended
    for door in way.ended & {"ws_access", "ws_cookie", "ws_key"}:
        assert house.closed[door].result() == 4401


async def test_an_expired_key_ends_its_streams(start: Start, ada: User) -> None:
    run = await sync_to_async(start)({"key": "a"})
    house = await sync_to_async(House)(ada, run, ada)
    await house.follow_all()

    await sync_to_async(ApiKey.objects.filter(pk=house.key.pk).update)(expiry_date="2001-01-01T00:00:00Z")

    _, late = await asyncio.wait([house.closed["sse_key"], house.closed["ws_key"]], timeout=BOUND)
    assert not late
    assert not house.closed["sse_access"].done()
    for task in house.closed.values():
        task.cancel()


async def test_a_ticket_opens_one_stream_once(start: Start, ada: User, ben: User) -> None:
    run = await sync_to_async(start)({"key": "a"})
    house = await sync_to_async(House)(ben, run, ada)

    def ticket() -> str:
        answer = house.token.post("/auth/ws-ticket")
        assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
        return str(answer.json()["ticket"])

    first, second = await sync_to_async(ticket)(), await sync_to_async(ticket)()
    url = f"/api/v1/runs/{run.uid}/events?ticket="
    accept = {"Accept": "text/event-stream"}
    opened: Any = await AsyncClient().get(url + first, headers=accept)
    again = await AsyncClient().get(url + first, headers=accept)
    forged = await AsyncClient().get(url + "x" * 32, headers=accept)
    socket = WebsocketCommunicator(
        application, f"/ws/runs/{run.uid}?ticket={second}", headers=[(b"host", b"localhost")]
    )
    connected, _ = await socket.connect(timeout=5)
    used = WebsocketCommunicator(application, f"/ws/runs/{run.uid}?ticket={second}", headers=[(b"host", b"localhost")])
    await used.connect(timeout=5)

    assert opened.status_code == 200
    assert (again.status_code, forged.status_code) == (401, 401)
    assert connected
    assert (await used.receive_output(timeout=5))["code"] == 4401
    assert (await socket.receive_json_from(timeout=5))["number"] == 1
    # A ticket is nothing anywhere else, and ends with the sign-in that asked for it.
    elsewhere = await sync_to_async(APIClient().get)(f"/api/v1/runs/{run.uid}?ticket={await sync_to_async(ticket)()}")
    assert elsewhere.status_code in (400, 401)
    third = await sync_to_async(ticket)()
    await sync_to_async(house.token.post)("/auth/logout")
    assert (await AsyncClient().get(url + third, headers=accept)).status_code == 401
    assert (await socket.receive_output(timeout=BOUND + 5))["type"] in ("websocket.send", "websocket.close")


async def test_tokens_and_keys_in_a_url_are_nothing(start: Start, ada: User) -> None:
    run = await sync_to_async(start)({"key": "a"})
    house = await sync_to_async(House)(ada, run, ada)

    for query in (
        f"token={house.access}",
        f"access_token={house.access}",
        f"api_key={house.text}",
        f"jwt={house.access}",
    ):
        refused = await sync_to_async(APIClient().get)(f"{house.url}?{query}")
        assert refused.status_code in (400, 401)
        socket = WebsocketCommunicator(
            application,
            f"/ws/runs/{run.uid}?{query}",
            headers=[(b"host", b"localhost"), (b"origin", b"http://localhost")],
        )
        await socket.connect(timeout=5)
        assert (await socket.receive_output(timeout=5))["code"] == 4401
