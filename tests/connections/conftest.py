"""An outside database and SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings

from accounts.models import User
from connections import connectors, services
from connections.apps import own_database
from connections.models import Connection
from tests.connections.servers import Relay

OUTSIDE = "connections_outside"
SEED = """
create schema shop;
comment on schema shop is 'things for sale';
create type shop.mood as enum ('glad', 'sad');
create table shop.customer (
  id bigint generated always as identity primary key,
  email text not null unique, feeling shop.mood, joined date default current_date
);
comment on table shop.customer is 'who buys';
comment on column shop.customer.email is 'where to write';
create table shop.sale (
  customer_id bigint not null references shop.customer, line int not null, price numeric(12, 2) default 0,
  primary key (customer_id, line)
);
create index sale_price on shop.sale (price desc, (price * 2));
create view shop.dear as select * from shop.sale where price > 100;
create materialized view shop.total as select sum(price) as total from shop.sale;
create table public.note (id int primary key, body text);
insert into public.note select n, 'note ' || n from generate_series(1, 50) n;
insert into shop.customer (email, feeling) values ('a@example.org', 'glad'), ('b@example.org', null);
analyze;
"""


@pytest.fixture(scope="session", autouse=True)
def _identity_known(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let the connectors learn once which database is the panel's own; most of these tests may not ask it."""
    with django_db_blocker.unblock():
        assert own_database() is not None


@pytest.fixture(autouse=True)
def allow_loopback(settings: Any) -> None:
    settings.EGRESS_ALLOW = ["loopback", "private"]
    settings.PUBLIC_URL = ""
    settings.MCP_OWN_ADDRESS = ""


@pytest.fixture(scope="session")
def outside(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """A database that is not the panel's, at an address that is not the panel's: the config of its owner's login."""
    own = django_settings.DATABASES["default"]
    host, port = own.get("HOST") or "/var/run/postgresql", int(own.get("PORT") or 5432)
    relay = Relay(host, port)
    login = {"host": "127.0.0.1", "port": relay.port, "user": own["USER"], "password": own.get("PASSWORD") or ""}
    name = f"{OUTSIDE}_{own['NAME']}"[:63]
    # Roles belong to the whole server, which other workers of this session use too.
    role = f"reader_{own['NAME']}"[:63]
    with psycopg.connect(**login, dbname="postgres", autocommit=True) as conn:
        conn.execute(f'drop database if exists "{name}" with (force)')
        conn.execute(f'drop role if exists "{role}"')
        conn.execute(f'create database "{name}"')
        conn.execute(f"create role \"{role}\" login password 'reader-secret-password'")
    with psycopg.connect(**login, dbname=name, autocommit=True) as conn:
        conn.execute(SEED)
        conn.execute(f'grant usage on schema shop to "{role}"')
        conn.execute(f'grant select on all tables in schema shop, public to "{role}"')
        conn.execute("revoke create on schema public from public")
        conn.execute(f'revoke temporary on database "{name}" from public')
    yield {**login, "database": name, "tls": {"mode": "prefer"}}
    with psycopg.connect(**login, dbname="postgres", autocommit=True) as conn:
        conn.execute(f'drop database if exists "{name}" with (force)')
        conn.execute(f'drop role if exists "{role}"')
    relay.close()


@pytest.fixture
def reader(outside: dict[str, Any]) -> dict[str, Any]:
    """The config of a login that may only read."""
    return {
        **outside,
        "user": f"reader_{django_settings.DATABASES['default']['NAME']}"[:63],
        "password": "reader-secret-password",
    }


@pytest.fixture
def files(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A folder in which SQLite files may be opened."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    connectors.allow_files_under([folder])
    yield folder
    connectors.allow_files_under([settings.MCP_DATA_DIR, *map(Path, settings.SQLITE_ROOTS)])


@pytest.fixture
def shop(files: Path) -> Path:
    """A small SQLite file."""
    path = files / "shop.db"
    conn = sqlite3.connect(path)
    conn.executescript(
        """
        create table customer (id integer primary key, email text not null unique, joined text default 'today');
        create table sale (customer_id integer not null references customer, line int, price real, blob_ blob,
                           primary key (customer_id, line));
        create index sale_price on sale (price);
        create view dear as select * from sale where price > 100;
        insert into customer (email) values ('a@example.org'), ('b@example.org');
        insert into sale values (1, 1, 9.5, x'00ff'), (1, 2, null, null), (2, 1, 120, null);
        analyze;
        """
    )
    conn.close()
    return path


@pytest.fixture
def shop_connection(ben: User, shop: Path) -> Connection:
    return services.create_connection(
        by=ben, slug="shop", name="Shop", type="sqlite", config={"path": str(shop)}, visibility="organisation"
    )
