"""Recording a connection test phase by phase: how long each took, where it stopped, and what to do about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Self

from connections.connectors.base import ConnectorFailed, Phase, TestResult
from mcp_site.core import egress
from mcp_site.core.errors import OtherSideFailed
from mcp_site.core.masking import Masker

CONNECT_SECONDS = 10.0


class Stopped(Exception):
    """A phase failed, so the later ones make no sense; the trial holds why."""


@dataclass
class Note:
    """What a phase that succeeded wants to say."""

    detail: str = ""


@dataclass
class Trial:
    """One connection test in the making: `with Trial(masker) as trial:` ends at the first phase that fails."""

    masker: Masker
    phases: list[Phase] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    server_version: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is Stopped

    @contextmanager
    def phase(self, name: str) -> Iterator[Note]:
        """Time one phase. ConnectorFailed inside it ends the trial."""
        note, start = Note(), perf_counter()
        try:
            yield note
        except ConnectorFailed as exc:
            self.add(name, False, perf_counter() - start, exc.detail)
            raise Stopped from exc
        self.add(name, True, perf_counter() - start, note.detail)

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the checked addresses of a host: the phase of that name."""
        with self.phase("resolve") as note:
            addresses = resolve(host, port)
            note.detail = ", ".join(addresses)
        return addresses

    def add(self, name: str, ok: bool, seconds: float, detail: str = "") -> None:
        """Note a phase that took `seconds`."""
        ms = round(seconds * 1000, 1)
        self.phases.append(Phase(name=name, ok=ok, ms=ms, detail=self.masker.text(detail)))

    def result(self) -> TestResult:
        """Return what the phases come to."""
        return TestResult(
            ok=bool(self.phases) and all(phase.ok for phase in self.phases),
            phases=tuple(self.phases),
            server_version=self.server_version,
            warnings=tuple(self.warnings),
        )


def resolve(host: str, port: int) -> list[str]:
    """Return the checked addresses of a host. Raises ConnectorFailed, with the guard's code where it refused."""
    try:
        return egress.check(host, port)
    except (egress.EgressRefused, OtherSideFailed) as exc:
        raise ConnectorFailed(exc.detail, code=exc.code) from exc


def open_socket(addresses: list[str], port: int, timeout: float = CONNECT_SECONDS) -> socket.socket:
    """Return a socket to the first address that answers. Raises ConnectorFailed with plain advice."""
    last: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=timeout)
        except OSError as exc:
            last = exc
    raise ConnectorFailed(_advice(last, port, timeout)) from last


def _advice(error: OSError | None, port: int, timeout: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on port {port} there; check host and port, and that the server accepts remote clients."
    if isinstance(error, TimeoutError):
        return f"No answer on port {port} within {timeout:.0f} s; a firewall may be in between."
    return f"The host can't be reached on port {port}; check the network between the panel and the server."
