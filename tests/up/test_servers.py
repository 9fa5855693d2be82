"""The embedded servers by themselves: where they listen, and what an earlier end left behind."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import environ
import psycopg
import pytest
import redis

from mcp_site.up import servers
from mcp_site.up.processes import StartFailed


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mcp-srv-") as made:
        yield Path(made)


def _answers(running: servers.Servers) -> bool:
    """Connect as Django and its cache would, with the addresses in the environment."""
    where = environ.Env.db_url_config(running.environment["DATABASE_URL"])
    with (
        psycopg.connect(host=where["HOST"], dbname=where["NAME"], user=where["USER"], port=5432) as connection,
        redis.Redis.from_url(running.environment["REDIS_URL"]) as client,
    ):
        return connection.execute("select 1").fetchone() == (1,) and bool(client.ping())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_they_answer_on_private_sockets_and_on_no_tcp_port(folder: Path) -> None:
    with servers.running(folder) as running:
        assert _answers(running)
        assert running.place is not None
        assert stat.S_IMODE(running.place.sockets.stat().st_mode) == 0o700
        listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
        owned = {str(link.readlink()) for pid in running.pids for link in Path(f"/proc/{pid}/fd").iterdir()}
        inodes = {line.split()[9] for line in listening if line.split()[3] == "0A"}
        assert not {f"socket:[{inode}]" for inode in inodes} & owned


def test_a_long_data_folder_has_its_sockets_elsewhere_and_leaves_nothing_there(folder: Path) -> None:
    deep = folder / ("a" * 60) / ("folder with blanks % " * 3)
    deep.mkdir(parents=True)

    with servers.running(deep) as running:
        assert running.place is not None
        sockets = running.place.sockets
        assert deep not in sockets.parents
        assert _answers(running)

    assert not sockets.exists()


def test_a_pid_file_whose_number_belongs_to_somebody_else_does_not_stop_a_start(folder: Path) -> None:
    first = servers.plan(folder)
    first.start()
    assert first.place is not None
    data = first.place.data
    shutil.copy(data / "postmaster.pid", folder / "kept")
    first.stop()
    lines = (folder / "kept").read_text().splitlines()
    # Our own number: alive, ours, and no PostgreSQL.
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    with servers.running(folder) as again:
        assert _answers(again)


def test_data_of_another_major_version_is_named_and_not_touched(folder: Path) -> None:
    with servers.running(folder, redis=False):
        pass
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")

    with pytest.raises(StartFailed, match="was written by PostgreSQL 9"):
        servers.plan(folder, redis=False).start()

    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_socket_folder_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / ("a" * 120)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    found = servers.plan(deep, redis=False).sockets
    found.rmdir()
    found.symlink_to(folder)

    with pytest.raises(StartFailed, match="belongs to somebody else"):
        servers.plan(deep, redis=False)
