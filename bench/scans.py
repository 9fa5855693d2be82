"""Measure reading a schema of many tables: our bulk catalog queries beside reflection table by table, in turns.

`python -m bench.scans` starts a private PostgreSQL. With `--mysql HOST:PORT` the same on a MariaDB or MySQL whose root
has no password: a database `mcp_bench_scans` is made there and dropped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import environ
import psycopg
import sqlalchemy

DATABASE = "mcp_bench_scans"
_COLUMNS = (
    "id int primary key, parent int references {parent} (id), email varchar(200) not null, note text,"
    " amount decimal(12, 2) default 0, made timestamp default current_timestamp"
)


def statements(count: int) -> Iterator[str]:
    """Yield what makes `count` tables of six columns, a key to the table before, and two indexes."""
    for number in range(count):
        parent = f"t_{max(0, number - 1)}"
        yield f"create table t_{number} ({_COLUMNS.format(parent=parent)})"
        yield f"create index by_email_{number} on t_{number} (email)"


def reflect_one_by_one(engine: sqlalchemy.Engine) -> int:
    """Read columns, keys and indexes of every table by itself, as a straightforward program does."""
    inspector = sqlalchemy.inspect(engine)
    names = inspector.get_table_names()
    for name in names:
        inspector.get_columns(name)
        inspector.get_pk_constraint(name)
        inspector.get_foreign_keys(name)
        inspector.get_indexes(name)
    return len(names)


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Return how many seconds it took, and how many tables it found."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def compare(label: str, bulk: Callable[[], int], single: Callable[[], int], runs: int) -> None:
    """Print medians of both, run in turns so that both meet the same noise."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(runs):
        seconds, found = timed(bulk)
        ours.append(seconds)
        seconds, same = timed(single)
        theirs.append(seconds)
        if found != same:
            raise SystemExit(f"found {found} tables, and {same} one by one")
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"| {label} | {mine:.2f} s | {min(ours):.2f} | {max(ours):.2f} | {other:.2f} s | {mine / other:.3f} |")


@contextmanager
def postgresql(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a private PostgreSQL; give how to connect."""
    from mcp_site.up import servers

    with servers.running(folder, database=True, redis=False) as running:
        found = environ.Env.db_url_config(running.environment["DATABASE_URL"])
        yield {"host": found["HOST"], "port": found.get("PORT") or 5432, "user": found["USER"] or "postgres"}


def measure_postgresql(counts: list[int], runs: int) -> None:
    """Measure on a private PostgreSQL."""
    from connections.connectors.postgresql_catalog import scan
    from connections.scanning import fingerprint_of

    with tempfile.TemporaryDirectory(prefix="mcp-bench-") as name, postgresql(Path(name)) as login:
        for count in counts:
            with psycopg.connect(**login, dbname="postgres", autocommit=True) as admin:
                admin.execute(f"drop database if exists {DATABASE}")
                admin.execute(f"create database {DATABASE}")
            with psycopg.connect(**login, dbname=DATABASE, autocommit=True) as conn:
                for sql in statements(count):
                    conn.execute(sql)
                conn.execute("analyze")
            engine = sqlalchemy.create_engine(
                "postgresql+psycopg://", creator=lambda: psycopg.connect(**login, dbname=DATABASE)
            )

            def bulk() -> int:
                with psycopg.connect(**login, dbname=DATABASE) as conn:
                    tables = scan(conn)
                # As a snapshot is made of them.
                fingerprint_of([asdict(table) for table in tables])
                return len(tables)

            compare(f"PostgreSQL, {count:,} tables", bulk, partial(reflect_one_by_one, engine), runs)
            engine.dispose()


def measure_mysql(address: str, counts: list[int], runs: int) -> None:
    """Measure on a MariaDB or MySQL that stands ready."""
    from connections.connectors.mysql_catalog import scan
    from connections.connectors.mysql_session import open_session
    from connections.connectors.phases import open_socket
    from connections.scanning import fingerprint_of

    host, _, port = address.partition(":")
    config = SimpleNamespace(
        host=host,
        port=int(port or 3306),
        user="root",
        password="",
        database="mysql",
        connect_timeout=10,
        tls=SimpleNamespace(mode="disable"),
    )

    def session(database: str) -> Any:
        values = SimpleNamespace(**{**vars(config), "database": database})
        return open_session(values, open_socket([host], config.port, 10))

    for count in counts:
        admin = session("mysql")
        with admin.cursor() as cursor:
            cursor.execute(f"drop database if exists {DATABASE}")
            cursor.execute(f"create database {DATABASE}")
            cursor.execute(f"use {DATABASE}")
            for sql in statements(count):
                cursor.execute(sql)
        engine = sqlalchemy.create_engine(f"mysql+pymysql://root@{host}:{config.port}/{DATABASE}")

        def bulk() -> int:
            conn = session(DATABASE)
            tables = scan(conn, DATABASE)
            conn.abandon()
            fingerprint_of([asdict(table) for table in tables])
            return len(tables)

        compare(f"MariaDB, {count:,} tables", bulk, partial(reflect_one_by_one, engine), runs)
        engine.dispose()
        with admin.cursor() as cursor:
            cursor.execute(f"drop database {DATABASE}")
        admin.abandon()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--mysql", metavar="HOST:PORT", help="also measure there")
    options = parser.parse_args()
    os.environ |= {"DJANGO_SETTINGS_MODULE": "mcp_site.settings", "MCP_LOCAL": "1", "MCP_DATA_DIR": "/nonexistent"}
    import django

    django.setup()
    print("| what | bulk, median | min | max | one by one, median | ratio |\n|---|---|---|---|---|---|")
    measure_postgresql(options.tables, options.runs)
    if options.mysql:
        measure_mysql(options.mysql, options.tables, options.runs)


if __name__ == "__main__":
    main()
