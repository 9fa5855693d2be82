"""The cast, signed-in clients, and a reset of the database that knows its own triggers and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client, TransactionTestCase
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import Role, User

PASSWORD = "a long enough password"

# A copy of every row that the migrations made, and a function that brings the tables back to it. Django's own flush
# truncates, which the append-only triggers refuse, loses the seeds, and takes half a second with its post_migrate.
SEED = """
create schema seed;
do $$
declare name text; has_rows boolean;
begin
  for name in select tablename from pg_tables where schemaname = 'public' and tablename <> 'django_migrations' loop
    execute format('select exists (select from public.%I)', name) into has_rows;
    if has_rows then
      execute format('create table seed.%I as table public.%I', name, name);
    end if;
  end loop;
end $$;
create function seed.reset() returns void language plpgsql set session_replication_role = replica as $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' and tablename <> 'django_migrations' loop
    execute format('delete from public.%I', name);
  end loop;
  for name in select tablename from pg_tables where schemaname = 'seed' loop
    execute format('insert into public.%I overriding system value select * from seed.%I', name, name);
  end loop;
end $$;
"""


def pytest_configure() -> None:
    """Make passwords and clients cheap, and the reset ours."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Every test client builds the middleware anew, and listing all static files takes 60 ms each time.
    settings.WHITENOISE_AUTOREFRESH = True
    TransactionTestCase._fixture_teardown = _reset


def _reset(self: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select seed.reset()")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Copy what the migrations seeded, once the test database is there; at the end, let it be dropped."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("select to_regnamespace('seed')")
        # With --reuse-db it is there already.
        if cursor.fetchone()[0] is None:
            cursor.execute(SEED)
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        # The thread of `sync_to_async` outlives the tests, and so does its connection.
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Give a test that uses the database no rate limits or cached answers of the one before."""
    uses = {"db", "transactional_db"} & set(request.fixturenames)
    if uses or request.node.get_closest_marker("django_db"):
        cache.delete_pattern("*")


def _person(name: str, role: Role) -> User:
    flags = {"is_staff": True, "is_superuser": True} if role == Role.ADMIN else {}
    user = User.objects.create_user(f"{name.lower()}@example.com", PASSWORD, full_name=name, **flags)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def ada(db: None) -> User:
    """Ada administers."""
    return _person("Ada", Role.ADMIN)


@pytest.fixture
def ben(db: None) -> User:
    """Ben edits."""
    return _person("Ben", Role.EDITOR)


@pytest.fixture
def cyd(db: None) -> User:
    """Cyd views."""
    return _person("Cyd", Role.VIEWER)


@pytest.fixture
def dov(db: None) -> User:
    """Dov edits too, and has nothing to do with what the others own."""
    return _person("Dov", Role.EDITOR)


def bearer(user: User) -> str:
    """Return the `Authorization` header of a fresh sign-in of `user`."""
    return f"Bearer {tokens.open_with_tokens(user, address=None, user_agent='tests').access}"


@pytest.fixture
def api() -> Callable[[User | None], APIClient]:
    """Return a client of the REST API with a real access token of the given user, or without any."""

    def client(user: User | None = None) -> APIClient:
        made = APIClient()
        if user is not None:
            made.credentials(HTTP_AUTHORIZATION=bearer(user))
        return made

    return client


@pytest.fixture
def browser() -> Callable[[User | None], Client]:
    """Return a browser-like client of the pages, signed in as the given user, or not at all."""

    def client(user: User | None = None) -> Client:
        made = Client()
        if user is not None:
            made.force_login(user)
        return made

    return client
