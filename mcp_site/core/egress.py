"""The one guard of where the panel may connect to: databases, providers, webhooks.

A name is resolved once, every address is judged, and the caller connects to the judged address, so that a name
that changes its answer in between (DNS rebinding) gains nothing. Checked when a connection is made, never when it
is saved. Public addresses are allowed; loopback and private ones by `EGRESS_ALLOW`; link-local, metadata,
multicast and the panel's own servers never.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from time import monotonic
from urllib.parse import urlsplit

import httpcore
import httpx
from django.conf import settings

from mcp_site.core.errors import AppError, OtherSideFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")
)
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "169.254.0.0/16", "240.0.0.0/4", "fe80::/10", "fec0::/10", "64:ff9b:1::/48")
)
# Addresses that once stood for IPv4 ones (all but ::1 among them), which Python takes for public.
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What a host may not hold: a list of hosts, a socket's path, a user, a header's end.
_BAD_HOST = re.compile(r"[\s\x00-\x20\x7f,/@\\?#%]")
_PORTS = {
    "http": 80,
    "https": 443,
    "redis": 6379,
    "rediss": 6379,
    "valkey": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "pyamqp": 5672,
}
# A server that the panel reaches by a socket in one of these also listens on loopback, as distributions set it up.
# A socket elsewhere belongs to a private server without any port.
_PUBLIC_SOCKET_FOLDERS = ("", "/tmp", "/var/run/postgresql", "/run/postgresql")  # noqa: S108


class EgressRefused(AppError):
    """The panel may not connect to this address."""

    code = "egress_refused"
    status = 422


class HostUnknown(OtherSideFailed):
    """The name of the host can't be resolved."""


def problems_of_policy() -> list[str]:
    """Return the entries of `EGRESS_ALLOW` that mean nothing (they allow nothing)."""
    return [entry for entry in settings.EGRESS_ALLOW if entry not in ("loopback", "private") and not _network(entry)]


def check(host: str, port: int) -> list[str]:
    """Resolve `host` once and return its addresses, all of which may be connected to at `port`.

    Raises EgressRefused if any of them may not, HostUnknown if there is none.
    """
    name = host.strip("[]").rstrip(".").lower()
    if not name or _BAD_HOST.search(name):
        raise EgressRefused("The host is not a plain name or address.")
    if not 1 <= port <= 65535:
        raise EgressRefused("The port is not a number from 1 to 65535.")
    addresses = _resolve(name, port)
    if not addresses:
        raise HostUnknown(f"The name {name} can't be resolved; check the spelling and the panel's DNS.")
    for address in addresses:
        _require_allowed(address)
    _require_not_own(name, port, addresses)
    return [str(address) for address in addresses]


def http_client(timeout: float | httpx.Timeout = 30.0, *, total: float | None = None) -> httpx.Client:
    """Return an HTTP client that connects to checked addresses only, follows no redirect and ignores proxy settings.

    `timeout` is for each wait; `total` is how many seconds a connection may last in all, however slowly the other side
    feeds it. What it raises beside httpx's own errors: EgressRefused, HostUnknown.
    """
    return httpx.Client(
        transport=_GuardedTransport(trust_env=False, total=total),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    )


class _GuardedBackend(httpcore.NetworkBackend):
    """Opens sockets to checked addresses. Host header and TLS name stay those of the URL."""

    def __init__(self, total: float | None) -> None:
        self._inner, self._total = httpcore.SyncBackend(), total

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        last: Exception | None = None
        for address in check(host, port):
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return stream if self._total is None else _Limited(stream, monotonic() + self._total)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                last = exc
        raise last or httpcore.ConnectError("no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.NetworkStream:
        raise EgressRefused


class _Limited(httpcore.NetworkStream):
    """A connection that ends at a moment, whatever the other side still drips into it."""

    def __init__(self, inner: httpcore.NetworkStream, end: float) -> None:
        self._inner, self._end = inner, end

    def _left(self, timeout: float | None) -> float:
        left = self._end - monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the other side took too long")
        return left if timeout is None else min(timeout, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Limited(self._inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self._end)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _GuardedTransport(httpx.HTTPTransport):
    """httpx's transport over a pool whose sockets are opened by the guard."""

    def __init__(self, *, trust_env: bool, total: float | None) -> None:
        super().__init__(trust_env=trust_env)
        # httpx has no argument for the network backend; the pool that it made has not been used yet.
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=trust_env),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_GuardedBackend(total),
        )


def _resolve(name: str, port: int) -> list[Address]:
    """Return the addresses of `name` in the resolver's order; none if it has none."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def _forms(address: Address) -> Iterator[Address]:
    """Yield the address and the IPv4 address that it stands for (6to4, Teredo, NAT64)."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_never_allowed(address: Address) -> bool:
    return (
        address in _METADATA
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None)
        or (address in _COMPATIBLE and not address.is_loopback)
        or any(address in network for network in _NEVER)
    )


def _is_allowed_by_policy(address: Address) -> bool:
    if address.is_global or address in _NAT64:
        return True
    allow = settings.EGRESS_ALLOW
    if ("loopback" if address.is_loopback else "private") in allow:
        return True
    return any((network := _network(entry)) is not None and address in network for entry in allow)


def _require_allowed(address: Address) -> None:
    for form in _forms(address):
        if _is_never_allowed(form):
            raise EgressRefused(f"The address {address} is never reached from the panel.")
        if not _is_allowed_by_policy(form):
            raise EgressRefused(
                f"The address {address} is not on the public internet; an operator can allow it with EGRESS_ALLOW."
            )


def _own_endpoints() -> Iterator[tuple[str, int]]:
    """Yield host and port of the panel's database, broker, cache and web address, as the settings name them."""
    for database in settings.DATABASES.values():
        host, port = str(database.get("HOST") or ""), int(database.get("PORT") or 5432)
        if not host.startswith("/") and host:
            yield host, port
        elif host in _PUBLIC_SOCKET_FOLDERS:
            yield "127.0.0.1", port
    caches = [str(cache.get("LOCATION") or "") for cache in settings.CACHES.values()]
    urls = [settings.REDIS_URL, settings.CELERY_BROKER_URL, settings.PUBLIC_URL, *caches]
    if settings.MCP_OWN_ADDRESS:
        urls.append(f"http://{settings.MCP_OWN_ADDRESS}")
    for text in urls:
        for url in text.split(";"):
            yield from _endpoint(url)


def _endpoint(url: str) -> Iterator[tuple[str, int]]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return
    if parts.hostname and port:
        yield parts.hostname, port


def _is_this_machine(address: Address) -> bool:
    """Tell whether an address is one of this machine's own: only those can be bound."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _require_not_own(name: str, port: int, addresses: list[Address]) -> None:
    """Refuse the panel's own servers, also under another name or another address of the same machine."""
    for own_host, own_port in dict.fromkeys(_own_endpoints()):
        if own_port != port:
            continue
        own = _resolve(own_host, own_port)
        same = name == own_host.lower() or not set(own).isdisjoint(addresses)
        here = any(map(_is_this_machine, own)) and any(map(_is_this_machine, addresses))
        if same or here:
            raise EgressRefused("That is one of the panel's own servers; connections can't lead there.")
