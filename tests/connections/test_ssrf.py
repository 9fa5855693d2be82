"""T-SSRF-1..12 and T-DB-3: what makes a server fetch for others, tried through the connections themselves."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from rest_framework.test import APIClient

from accounts.models import User
from connections import connectors
from connections.connectors import ConnectorFailed, Query
from mcp_site.core.errors import Rejected
from tests.connections.servers import Relay, http_server
from tests.connections.test_egress import _answers

POSTGRES, MYSQL, REDIS = (connectors.get(name) for name in ("postgresql", "mysql", "redis"))
OPENAI = connectors.get("openai")
#: (connector, settings) of every type that opens a socket by host and port.
BY_HOST: list[tuple[Any, dict[str, Any]]] = [
    (POSTGRES, {"database": "d", "user": "u"}),
    (MYSQL, {"database": "d", "user": "u"}),
    (REDIS, {}),
]


def _refused(connector: Any, values: dict[str, Any]) -> str:
    """Return the code with which every way to use a connection is refused; fail where one is not."""
    config = connectors.read_config(connector, values)
    phases = connector.test(config).phases
    assert [(phase.name, phase.ok) for phase in phases] == [("resolve", False)], phases
    codes = set()
    for use in (lambda: connector.scan(config), lambda: connector.query(config, Query(sql=_sql(connector)))):
        with pytest.raises(ConnectorFailed) as caught:
            use()
        codes.add(caught.value.code)
    (code,) = codes
    return str(code)


def _sql(connector: Any) -> str:
    return "GET x" if connector is REDIS else "select 1"


@pytest.mark.parametrize(
    "host",
    [
        # 1: other ways to write 127.0.0.1; 2: IPv4 in IPv6; 8: dots and digits of other scripts.
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "::a9fe:a9fe",
        "fec0::1",
        "64:ff9b:1::7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "127。0。0。1",
        "１２７.0.0.1",
        "localhost.",
        "LOCALHOST",
        # Metadata services, under whichever spelling.
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
    ],
)
@pytest.mark.parametrize(("connector", "values"), BY_HOST)
def test_no_spelling_of_an_inner_address_gets_through(
    connector: Any, values: dict[str, Any], host: str, settings: Any
) -> None:
    settings.EGRESS_ALLOW = []

    assert _refused(connector, {**values, "host": host, "port": 9}) in ("egress_refused", "connection_failed")


@pytest.mark.parametrize(("connector", "values"), BY_HOST)
def test_names_that_resolve_inwards_are_refused(
    connector: Any, values: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3: what `localtest.me` does. One inner address among public ones is enough."""
    settings.EGRESS_ALLOW = []
    _answers(
        monkeypatch,
        localtest_example=["127.0.0.1"],
        six_example=["::1"],
        mixed_example=["8.8.8.8", "10.0.0.1"],
        metadata_example=["169.254.169.254"],
        mapped_example=["::ffff:10.0.0.1"],
    )

    for host in ("localtest.example", "six.example", "mixed.example", "metadata.example", "mapped.example"):
        assert _refused(connector, {**values, "host": host, "port": 9}) == "egress_refused"


@pytest.mark.parametrize(("connector", "values"), BY_HOST)
def test_a_name_is_resolved_once_and_the_judged_address_is_where_the_socket_goes(
    connector: Any, values: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4: rebinding. A name server that says something harmless first and an inner address ever after gains nothing."""
    settings.EGRESS_ALLOW = ["203.0.113.0/24"]
    asked: list[str] = []
    went: list[Any] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.9" if len(asked) == 1 else "127.0.0.1", port))]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        went.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    connector.test(connectors.read_config(connector, {**values, "host": "rebind.example", "port": 9}))

    assert (asked, went) == (["rebind.example"], [("203.0.113.9", 9)])


@pytest.mark.parametrize(("connector", "values"), BY_HOST)
@pytest.mark.parametrize(
    "host",
    [
        "user@db",
        "db/x",
        "http://db",
        "a,b",
        "db\r\nQUIT",
        "db\x00x",
        "db:5432",
        "/run/x.sock",
        "@abstract",
        "db?x=1",
        "db#x",
    ],
)
def test_what_is_more_than_a_host_is_refused(connector: Any, values: dict[str, Any], host: str) -> None:
    """6, 7: a user, a line break, a path or a port in the host."""
    with pytest.raises((Rejected, ConnectorFailed)):
        connector.query(
            connectors.read_config(connector, {**values, "host": host, "port": 9}), Query(sql=_sql(connector))
        )


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pw@example.org",
        "http://example.org\r\nX: y",
        "ftp://example.org",
        "file:///etc/passwd",
        "http://",
        "//x",
    ],
)
def test_what_is_more_than_an_address_is_no_base_url(url: str) -> None:
    with pytest.raises(Rejected):
        connectors.read_config(OPENAI, {"api_key": "k" * 20, "base_url": url})


def _openai(url: str) -> Any:
    return OPENAI.test(connectors.read_config(OPENAI, {"api_key": "k" * 20, "base_url": url}))


def test_redirects_are_not_followed_however_many(settings: Any) -> None:
    """5, 10: to a private address, and a chain."""
    hops: list[str] = []

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        hops.append(request.path)
        return 302, {"Location": f"/{len(hops)}"}, b""

    with http_server(answer) as (url, _):
        chained = _openai(url)
    with http_server(lambda _: (307, {"Location": "http://169.254.169.254/latest/meta-data"}, b"")) as (url, seen):
        inward = _openai(url)

    assert (len(hops), len(seen)) == (1, 1)
    assert not chained.ok
    assert not inward.ok


def test_an_answer_that_never_ends_or_unpacks_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """12: a large answer, and a small one that would be large."""
    bomb = gzip.compress(b"\x00" * 200_000_000)
    with http_server(lambda _: (200, {"Content-Encoding": "gzip"}, bomb)) as (url, _):
        packed = _openai(url)
    with http_server(lambda _: (200, {}, b"x" * 8_000_000)) as (url, _):
        large = _openai(url)

    assert not packed.ok
    assert "too large" in large.phases[-1].detail


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_is_left_in_time(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """11: a byte now and then, so that no single wait is too long."""
    monkeypatch.setattr("connections.connectors.openai._TOTAL_SECONDS", 1.5)
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        raw, _ = listener.accept()
        with raw:
            try:
                raw.recv(4096)
                if part == "body":
                    raw.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                else:
                    raw.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                for _ in range(100):
                    raw.sendall(b"x")
                    time.sleep(0.2)
            except OSError:
                pass

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    start = time.monotonic()
    result = _openai(f"http://127.0.0.1:{listener.getsockname()[1]}")
    listener.close()

    assert not result.ok
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("connector", "values"), BY_HOST)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9", "2130706433", "alias.example"])
def test_the_panels_own_servers_are_refused_by_any_name(
    connector: Any, values: dict[str, Any], host: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9: database, broker, cache and web address, though loopback is allowed."""
    settings.EGRESS_ALLOW = ["loopback", "private"]
    _answers(monkeypatch, alias_example=["127.0.0.1"])
    monkeypatch.setitem(django_settings.DATABASES["default"], "HOST", "localhost")
    monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", "15432")
    settings.REDIS_URL = "redis://127.0.0.1:16379/0"
    settings.CELERY_BROKER_URL = "amqp://guest@localhost:15672//"
    settings.MCP_OWN_ADDRESS = "0.0.0.0:18000"

    for port in (15432, 16379, 15672, 18000):
        assert _refused(connector, {**values, "host": host, "port": port}) == "egress_refused"


@pytest.mark.django_db
def test_the_panels_own_database_is_known_behind_a_forwarded_port(outside: dict[str, Any]) -> None:
    """T-DB-3: a relay at another port leads to the same server; only its identity tells."""
    own = django_settings.DATABASES["default"]
    host, port = own.get("HOST") or "/var/run/postgresql", int(own.get("PORT") or 5432)
    relay = Relay(host, port)
    config = connectors.read_config(POSTGRES, {**outside, "port": relay.port, "database": str(own["NAME"])})
    try:
        tested = POSTGRES.test(config)
        with pytest.raises(ConnectorFailed) as caught:
            POSTGRES.query(config, Query(sql="select count(*) from accounts_users"))
    finally:
        relay.close()

    assert (tested.phases[-1].name, tested.phases[-1].ok) == ("authenticate", False)
    assert caught.value.code == "egress_refused"
    assert POSTGRES.test(connectors.read_config(POSTGRES, outside)).ok


@pytest.mark.django_db
def test_the_api_says_that_it_was_refused_and_nothing_of_what_is_there(
    ben: User, api: Callable[[User | None], APIClient], settings: Any
) -> None:
    settings.EGRESS_ALLOW = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = {"host": "127.0.0.1", "port": listener.getsockname()[1], "database": "d", "user": "u"}
        body = {"slug": "inner", "name": "I", "type": "postgresql", "config": config}
        assert api(ben).post("/api/v1/connections", body, format="json").status_code == 201
        tested = api(ben).post("/api/v1/connections/inner/test").json()
        scanned = api(ben).post("/api/v1/connections/inner/scan")

    assert [(phase["name"], phase["ok"]) for phase in tested["phases"]] == [("resolve", False)]
    assert (scanned.status_code, scanned.json()["errors"][0]["code"]) == (422, "egress_refused")
