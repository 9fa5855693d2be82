"""Gives the tests a real PostgreSQL and a real Valkey: those of the environment, else private ones for this session.

Loaded by `-p tests.servers`, before pytest-django loads the settings. The workers of pytest-xdist find the servers of
their controller in the environment.
"""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

_stack = ExitStack()


def _start() -> None:
    """Name a data folder, keys and servers in the environment, from which the settings and every child read them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        # One namespace in Redis each, as pytest-django gives one database each.
        os.environ["REDIS_PREFIX"] += f"-{worker}"
        return
    # Never the developer's own var/. A short path: sockets stand below it.
    folder = Path(tempfile.mkdtemp(prefix="mcp-test-"))
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    os.environ["MCP_DATA_DIR"] = str(folder)
    os.environ.setdefault("MCP_LOCAL", "1")
    os.environ.setdefault("MCP_TICKS", "0")
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    os.environ.setdefault("MCP_SECRET_KEYS", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    os.environ.setdefault("REDIS_PREFIX", f"test-{os.getpid()}")
    wanted = {"database": not os.environ.get("DATABASE_URL"), "redis": not os.environ.get("REDIS_URL")}
    if any(wanted.values()):
        from mcp_site.up import servers

        os.environ.update(_stack.enter_context(servers.running(folder, **wanted)).environment)


def pytest_unconfigure() -> None:
    """End the servers and remove their data."""
    _stack.close()


# A mistake in the configuration ends pytest before it calls anybody.
atexit.register(_stack.close)
_start()
