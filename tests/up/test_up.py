"""One command starts everything and leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.up.conftest import Start
from tests.up.panel import ROOT, Panel, below, environment, free_port, left_of, processes


def _wait_until_gone(panel: Panel, known: set[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := left_of(panel, known):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_it_starts_from_nothing_and_a_worker_that_dies_is_replaced(start: Start, data_dir: Path) -> None:
    panel = start("--no-example").ready()

    assert "first administrator: admin@example.com" in panel.lines
    assert sum(line.startswith("password") for line in panel.lines) == 1
    assert panel.status("/health/live") == 200
    note = json.loads((data_dir / "run.json").read_text())
    assert note["url"] == f"http://127.0.0.1:{panel.port}"
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.glob("*.json")} == {
        "run.json": 0o600,
        "keys.json": 0o600,
    }
    for server in ("postgres -D", "--unixsocket"):
        assert panel.child(server) in below(panel)

    os.kill(panel.child("celery -A mcp_site worker"), signal.SIGKILL)
    panel.wait_for("worker was killed by SIGKILL; starting it again in 0.5 s", 5)
    deadline = time.monotonic() + 5
    while not [pid for pid in below(panel) if "celery -A mcp_site worker" in _line_of(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    known = below(panel)
    assert panel.end() == 0
    assert left_of(panel, known) == []
    assert not (data_dir / "run.json").exists()


def _line_of(pid: int) -> str:
    told = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def test_a_second_one_on_the_same_data_says_where_the_first_is(start: Start) -> None:
    first = start("--no-example").ready()

    second = start("--no-example")

    assert second.ended(10) == 1
    assert second.lines == [f"already running at http://127.0.0.1:{first.port} (pid {first.process.pid})"]
    assert first.status("/health/live") == 200


def test_nothing_outlives_a_killed_one_and_the_next_starts_on_its_data(start: Start) -> None:
    panel = start("--no-example").ready()
    known = below(panel)

    panel.process.kill()
    panel.process.wait()
    _wait_until_gone(panel, known, 5)
    again = start("--no-example").ready()
    os.killpg(again.process.pid, signal.SIGKILL)
    once_more = start("--no-example").ready()

    assert once_more.status("/health/live") == 200


def test_ctrl_c_in_a_terminal_ends_everything_in_order(data_dir: Path) -> None:
    pid, terminal = pty.fork()
    port = free_port()
    if pid == 0:  # pragma: no cover  the child
        os.chdir(ROOT)
        command = ["manage.py", "up", "--no-example", "--data-dir", str(data_dir), "--port", str(port)]
        os.execve(sys.executable, [sys.executable, *command], environment())
    said = b""
    while b"ready http" not in said:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            pytest.fail(f"it ended:\n{said.decode()}")

    os.write(terminal, b"\x03")

    deadline = time.monotonic() + 10
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert [line for _, _, line in processes() if str(data_dir) in line] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "0.0.0.0"], 1, "PUBLIC_URL=https://"),
        (["--port", "eighty"], 2, "a port is a number from 1 to 65535"),
        (["--no-example", "--exit-after-example"], 2, "exclude each other"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(start: Start, arguments: list[str], code: int, words: str) -> None:
    panel = start(*arguments)

    assert panel.ended(10) == code
    assert words in panel.output


def test_a_taken_port_is_named_with_the_way_out(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        panel = start(port=str(port))

        assert panel.ended(10) == 1
        assert f"port {port}: Address already in use" in panel.output
        assert f"make run PORT={port + 1}" in panel.output


def test_a_database_that_does_not_answer_is_said_and_nothing_is_left(start: Start) -> None:
    panel = start("--no-example", DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/nothing")

    assert panel.ended(20) == 1
    assert "The database does not answer" in panel.output
    assert "Traceback" not in panel.output
    assert left_of(panel, set()) == []


def test_a_data_folder_that_cannot_be_made_is_said(start: Start, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    panel = start("--no-example", data_dir=str(blocked / "var"))

    assert panel.ended(10) == 1
    assert "cannot be used" in panel.output


@pytest.mark.parametrize("command", [["showmigrations"], ["verify_audit"]])
def test_other_commands_say_that_nothing_runs(tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment(MCP_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "start it with `manage.py up`" in done.stderr
    assert "Traceback" not in done.stderr
