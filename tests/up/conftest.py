"""Starts panels and sees to it that none outlives its test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.up.panel import Panel

Start = Callable[..., Panel]


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """One folder for the tests of a module: only the first start makes a database."""
    # Not pytest's own: its path is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="mcp-up-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "var"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    """Return a function that starts a panel on the module's folder."""
    started: list[Panel] = []

    def begin(*arguments: str, **more: str) -> Panel:
        folder = Path(more.pop("data_dir", data_dir))
        port = int(more.pop("port", 0)) or None
        started.append(Panel(folder, *arguments, port=port, **more))
        return started[-1]

    yield begin
    for panel in started:
        panel.kill_for_good()
