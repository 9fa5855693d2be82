"""Where the panel listens, and so how careful it must be; decided once, told to the children as variables."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_site.up.processes import StartFailed

_TRUE = {"1", "true", "yes", "on", "y", "ok"}


@dataclass(frozen=True, slots=True)
class Mode:
    """An address and whether it is this machine's alone."""

    host: str
    port: int
    local: bool
    public_url: str

    @property
    def url(self) -> str:
        """Return the address to open on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return what the children are told beyond what was `given`."""
        told = {"MCP_LOCAL": "1" if self.local else "0", "DEBUG": "0", "MCP_OWN_ADDRESS": f"{self.host}:{self.port}"}
        if not self.local and not self.public_url and not given.get("ALLOWED_HOSTS"):
            told["ALLOWED_HOSTS"] = f"localhost,127.0.0.1,[::1],{self.host},{socket.gethostname()}"
        return told


def decide(host: str, port: int, given: Mapping[str, str]) -> Mode:
    """Return the mode. Raises StartFailed for an address on the network without TLS, unless that is asked for."""
    public_url = given.get("PUBLIC_URL", "")
    local = _is_loopback(host)
    if not local and not public_url and given.get("MCP_INSECURE_HTTP", "").lower() not in _TRUE:
        raise StartFailed(
            f"{host} can be reached from the network, and passwords would cross it unencrypted. Put a proxy with TLS "
            f"before the panel and set PUBLIC_URL=https://…, or set MCP_INSECURE_HTTP=1 if you mean it."
        )
    return Mode(host, port, local and not public_url, public_url)


def check_port_is_free(mode: Mode) -> None:
    """Raise StartFailed if something else listens there, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in mode.host else socket.AF_INET
    with socket.socket(family) as trial:
        # As uvicorn does: a port that waits for the last packets of an ended panel is free.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((mode.host, mode.port))
            trial.listen(1)
        except OSError as error:
            raise StartFailed(
                f"Cannot listen on {mode.host} port {mode.port}: {os.strerror(error.errno or 0)}. Choose another port: "
                f"`make run PORT={mode.port + 1}` or `manage.py up --port {mode.port + 1}`."
            ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
