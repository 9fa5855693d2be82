"""The guard of where the panel may connect to."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings

from mcp_site.core import egress
from tests.connections.servers import free_port, http_server


def _answers(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> None:
    """Let these names resolve as given: what a name server that we don't own might answer."""
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        known = names.get(host.replace(".", "_").replace("-", "_"))
        if known is None:
            return real(host, port, *args, **kwargs)
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in known
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def _own_database(monkeypatch: pytest.MonkeyPatch, host: str, port: Any) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "HOST", host)
    monkeypatch.setitem(django_settings.DATABASES["default"], "PORT", port)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fe80::1%lo",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_what_is_never_reached_is_refused_even_in_local_mode(host: str, settings: Any) -> None:
    settings.EGRESS_ALLOW = ["loopback", "private", "0.0.0.0/0", "::/0"]

    with pytest.raises(egress.EgressRefused) as caught:
        egress.check(host, 443)

    assert (caught.value.code, caught.value.status) == ("egress_refused", 422)


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd12::1", "private"),
    ],
)
def test_inner_addresses_need_their_word(host: str, word: str, settings: Any) -> None:
    settings.EGRESS_ALLOW = [{"loopback": "private", "private": "loopback"}[word]]
    with pytest.raises(egress.EgressRefused):
        egress.check(host, 9)

    settings.EGRESS_ALLOW = [word]
    assert egress.check(host, 9) == [host]


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "LOCALHOST."])
def test_other_spellings_of_loopback_are_loopback(host: str, settings: Any) -> None:
    settings.EGRESS_ALLOW = []

    with pytest.raises(egress.EgressRefused):
        egress.check(host, 9)


def test_a_network_in_the_policy_allows_just_that(settings: Any) -> None:
    settings.EGRESS_ALLOW = ["10.20.0.0/16", "nonsense"]

    assert egress.check("10.20.3.4", 5432) == ["10.20.3.4"]
    with pytest.raises(egress.EgressRefused):
        egress.check("10.21.0.1", 5432)
    assert egress.problems_of_policy() == ["nonsense"]


def test_public_addresses_are_allowed_without_a_word(settings: Any) -> None:
    settings.EGRESS_ALLOW = []

    assert egress.check("8.8.8.8", 443) == ["8.8.8.8"]
    assert egress.check("[2606:4700::1111]", 443) == ["2606:4700::1111"]


@pytest.mark.parametrize(
    "host", ["", "/var/run/postgresql", "a,b", "user@host", "a b", "a\r\nb", "http://x", "a\x00b", "a?b", "a#b"]
)
def test_what_is_not_a_host_is_refused(host: str) -> None:
    with pytest.raises(egress.EgressRefused):
        egress.check(host, 80)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_not_a_port_is_refused(port: int) -> None:
    with pytest.raises(egress.EgressRefused):
        egress.check("8.8.8.8", port)


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(egress.HostUnknown, match=r"no-such-host\.invalid"):
        egress.check("no-such-host.invalid", 80)


def test_one_bad_address_among_good_ones_refuses_the_name(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EGRESS_ALLOW = []
    _answers(monkeypatch, mixed_example=["8.8.8.8", "10.0.0.1"])

    with pytest.raises(egress.EgressRefused, match=r"10\.0\.0\.1"):
        egress.check("mixed.example", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1", "db.example"])
def test_the_panels_own_database_is_refused_by_every_name(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _own_database(monkeypatch, "127.0.0.1", "15432")
    _answers(monkeypatch, db_example=["127.0.0.1"])

    with pytest.raises(egress.EgressRefused, match="own servers"):
        egress.check(host, 15432)
    assert egress.check(host, 15433)


def test_this_machines_other_addresses_are_the_same_database(monkeypatch: pytest.MonkeyPatch) -> None:
    _own_database(monkeypatch, "localhost", 15432)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))
        except OSError:
            pytest.skip("no other address on this machine")
        address = probe.getsockname()[0]

    with pytest.raises(egress.EgressRefused):
        egress.check(address, 15432)


def test_a_remote_own_database_is_refused_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _own_database(monkeypatch, "db.panel.example", "")
    _answers(monkeypatch, db_panel_example=["203.0.113.7", "8.8.4.4"], alias_example=["8.8.4.4"])

    with pytest.raises(egress.EgressRefused, match="own servers"):
        egress.check("alias.example", 5432)


@pytest.mark.parametrize(
    ("name", "value", "port"),
    [
        ("REDIS_URL", "redis://127.0.0.1:16379/0", 16379),
        ("REDIS_URL", "redis://:secret@localhost/1", 6379),
        ("CELERY_BROKER_URL", "amqp://guest@127.0.0.1//", 5672),
        ("CELERY_BROKER_URL", "sentinel://a:26379;sentinel://127.0.0.1:26380", 26380),
        ("MCP_OWN_ADDRESS", "0.0.0.0:8123", 8123),
        ("MCP_OWN_ADDRESS", "[::1]:8124", 8124),
        ("PUBLIC_URL", "http://127.0.0.1", 80),
    ],
)
def test_broker_cache_and_web_address_are_refused(name: str, value: str, port: int, settings: Any) -> None:
    setattr(settings, name, value)

    with pytest.raises(egress.EgressRefused, match="own servers"):
        egress.check("127.0.0.1", port)


def test_a_private_socket_takes_no_port_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    _own_database(monkeypatch, "/srv/panel/postgresql", "")
    assert egress.check("127.0.0.1", 5432) == ["127.0.0.1"]

    _own_database(monkeypatch, "/var/run/postgresql", "")
    with pytest.raises(egress.EgressRefused):
        egress.check("127.0.0.1", 5432)


def test_the_http_client_keeps_the_name_and_connects_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, models_example=["127.0.0.1"])

    with http_server(lambda _: (200, {}, b"ok")) as (url, seen), egress.http_client(5) as client:
        port = url.rpartition(":")[2]
        answer = client.get(f"http://models.example:{port}/x")

    assert answer.text == "ok"
    assert seen[0][1]["Host"] == f"models.example:{port}"


def test_the_http_client_refuses_what_the_guard_refuses(settings: Any) -> None:
    settings.EGRESS_ALLOW = []

    with (
        http_server(lambda _: (200, {}, b"secret")) as (url, seen),
        egress.http_client(5) as client,
        pytest.raises(egress.EgressRefused),
    ):
        client.get(url)

    assert seen == []


def test_a_name_that_changes_its_answer_is_judged_at_each_connection(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with http_server(lambda _: (200, {"Connection": "close"}, b"ok")) as (url, _):
        target = f"http://rebind.example:{url.rpartition(':')[2]}"
        with egress.http_client(5) as client:
            assert client.get(target).text == "ok"
            with pytest.raises(egress.EgressRefused):
                client.get(target)


def test_the_http_client_follows_no_redirect_and_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")

    answer = (302, {"Location": "http://169.254.169.254/"}, b"")
    with http_server(lambda _: answer) as (url, _), egress.http_client(5) as client:
        assert client.get(url).status_code == 302
        with pytest.raises(egress.EgressRefused):
            client.get(url, follow_redirects=True)


def test_nothing_that_listens_is_a_plain_connect_error() -> None:
    with egress.http_client(5) as client, pytest.raises(httpx.ConnectError):
        client.get(f"http://127.0.0.1:{free_port()}/")
