"""The audit chain: every committed event is linked once, and whatever was tampered with is found and placed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import IntegrityError

from accounts import audit, chain
from accounts.chain import Verdict
from accounts.models import AuditEvent, AuditLink, User
from mcp_site.core import ticks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_floor", chain._Floor())
    monkeypatch.setattr(chain, "_head_logged_at", -1000.0)
    monkeypatch.setattr(chain, "BATCH", 3)


def tamper(sql: str, *args: object) -> None:
    """Do what only the database's owner can."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(sql, args)
        assert cursor.rowcount >= 1


def log_many(count: int, by: User | None = None) -> list[AuditEvent]:
    return [
        audit.log(by, "thing.make", type="thing", id=str(n), name=f"thing {n}", changes={"n": [None, n], "ü": 1.5})
        for n in range(count)
    ]


def linked() -> list[tuple[int, int]]:
    return list(AuditLink.objects.order_by("number").values_list("number", "event_id"))


def test_an_empty_trail_is_whole() -> None:
    assert chain.seal() == 0
    assert chain.verify() == Verdict(True, 0, None, chain.START)


def test_every_event_is_linked_once_in_order_across_batches(ada: User) -> None:
    events = log_many(7, ada)

    assert [chain.seal(), chain.seal()] == [7, 0]
    events += log_many(2)
    assert chain.seal() == 2

    assert linked() == [(n, event.pk) for n, event in enumerate(events, 1)]
    verdict = chain.verify()
    assert verdict == Verdict(True, 9, None, AuditLink.objects.get(number=9).hash)


def test_the_hash_covers_the_one_before() -> None:
    first, second = log_many(2)
    chain.seal()
    one, two = (AuditLink.objects.get(number=n).hash for n in (1, 2))

    assert one == chain.digest(chain.START, AuditEvent.objects.get(pk=first.pk))
    assert two == chain.digest(one, AuditEvent.objects.get(pk=second.pk))
    assert two != chain.digest(chain.START, AuditEvent.objects.get(pk=second.pk))


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor_id = 4711",
        "actor_kind = 'system2'",
        "action = 'thing.other'",
        "object_type = 'other'",
        "object_id = 'other'",
        "object_name = 'other'",
        """changes = '{"n": [null, 99]}'""",
        "request_id = 'other'",
        "address = '203.0.113.9'",
        "id = id + 1000000",
    ],
)
def test_a_change_of_any_field_is_found_at_its_link(change: str) -> None:
    events = log_many(8)
    chain.seal()

    tamper(f"update accounts_audit_events set {change} where id = %s", events[4].pk)

    verdict = chain.verify()
    assert (verdict.valid, verdict.checked, verdict.first_broken) == (False, 4, 5)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_an_event_that_vanished_is_found_also_at_the_ends(n: int) -> None:
    events = log_many(7)
    chain.seal()

    tamper("delete from accounts_audit_events where id = %s", events[n - 1].pk)

    verdict = chain.verify()
    assert (verdict.valid, verdict.checked, verdict.first_broken) == (False, n - 1, n)


@pytest.mark.parametrize("n", [1, 4])
def test_a_removed_link_is_found_though_its_event_is_sealed_again(n: int) -> None:
    log_many(7)
    chain.seal()

    tamper("delete from accounts_audit_links where number = %s", n)

    for _ in range(2):
        verdict = chain.verify()
        assert (verdict.valid, verdict.checked, verdict.first_broken) == (False, n - 1, n)
    assert AuditLink.objects.count() == 7


def test_an_event_that_vanished_with_its_link_is_a_gap() -> None:
    events = log_many(7)
    chain.seal()

    tamper("delete from accounts_audit_links where number = 3")
    tamper("delete from accounts_audit_events where id = %s", events[2].pk)

    assert chain.verify().first_broken == 3


def test_numbers_closed_up_over_a_removed_pair_do_not_hide_it() -> None:
    events = log_many(5)
    chain.seal()

    tamper("delete from accounts_audit_links where number = 3")
    tamper("delete from accounts_audit_events where id = %s", events[2].pk)
    for number in (4, 5):
        tamper("update accounts_audit_links set number = number - 1 where number = %s", number)

    assert chain.verify().first_broken == 3


def test_a_wrong_hash_is_found() -> None:
    log_many(5)
    chain.seal()

    tamper("update accounts_audit_links set hash = %s where number = 2", "f" * 64)

    assert chain.verify().first_broken == 2


@pytest.mark.parametrize(
    "sql",
    [
        "update accounts_audit_links set hash = repeat('0', 64)",
        "delete from accounts_audit_links",
        "truncate accounts_audit_links",
        "update accounts_audit_events set action = 'x'",
        "delete from accounts_audit_events",
        "truncate accounts_audit_events",
    ],
)
def test_the_database_refuses_to_change_events_and_links(sql: str) -> None:
    log_many(2)
    chain.seal()

    with pytest.raises(IntegrityError, match="never changed"), connection.cursor() as cursor:
        cursor.execute(sql)

    assert chain.verify().checked == 2


def test_what_was_rolled_back_leaves_no_link_and_no_gap() -> None:
    log_many(1)
    with pytest.raises(RuntimeError), transaction.atomic():
        log_many(2)
        raise RuntimeError
    log_many(1)

    chain.seal()

    assert [number for number, _ in linked()] == [1, 2]
    assert chain.verify().valid


@pytest.fixture
def late() -> Iterator[tuple[threading.Event, threading.Thread]]:
    """Have a transaction open that logged one event; it commits when told to."""
    logged, commit = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                audit.log(None, "late.one")
                logged.set()
                commit.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert logged.wait(20)
    yield commit, thread
    commit.set()
    thread.join()


def test_an_event_that_commits_late_is_linked_late_however_often_was_sealed_meanwhile(
    late: tuple[threading.Event, threading.Thread],
) -> None:
    commit, thread = late
    for _ in range(4):
        log_many(2)
        assert chain.seal() == 2
    commit.set()
    thread.join()

    assert chain.seal() == 1

    event = AuditEvent.objects.get(action="late.one")
    assert linked()[-1] == (9, event.pk)
    assert event.pk < linked()[0][1]
    assert chain.verify() == Verdict(True, 9, None, AuditLink.objects.get(number=9).hash)


def test_once_nobody_writes_the_settled_part_of_the_trail_is_not_read_again(
    late: tuple[threading.Event, threading.Thread],
) -> None:
    events = log_many(3)
    chain.seal()
    assert chain._floor.at == 0
    late[0].set()
    late[1].join()

    chain.seal()

    assert chain._floor.at == events[-1].pk


def test_the_floor_rises_also_where_somebody_always_writes() -> None:
    floor = chain._Floor(at=1, next=5, writers=frozenset({"gone/1"}))
    log_many(1)
    with transaction.atomic():
        log_many(1)  # makes this transaction a writer
        found = floor.look()
        assert found.at == 5
        assert found.writers
        assert found.look() == found


def write_many() -> None:
    try:
        for n in range(40):
            with transaction.atomic():
                audit.log(None, "storm.one", id=str(n))
                if n % 4 == 0:
                    audit.log(None, "storm.two", id=str(n))
                if n % 10 == 9:
                    transaction.set_rollback(True)
    finally:
        connection.close()


def seal_until(done: threading.Event) -> int:
    try:
        sealed = 0
        while not done.is_set():
            sealed += chain.seal()
        return sealed
    finally:
        connection.close()


def test_four_writers_and_two_sealers_at_once_leave_a_whole_chain() -> None:
    done = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        sealers = [pool.submit(seal_until, done) for _ in range(2)]
        writers = [pool.submit(write_many) for _ in range(4)]
        wait(writers)
        done.set()
    # Raises what a thread raised.
    assert [writer.result() for writer in writers] == [None] * 4
    sealed = sum(sealer.result() for sealer in sealers) + chain.seal()

    total = AuditEvent.objects.count()
    assert sealed == total == 4 * (36 + 10)
    assert [number for number, _ in linked()] == list(range(1, total + 1))
    assert chain.verify().checked == total


def test_the_clock_seals_and_writes_the_head_to_the_log_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    assert "accounts.seal" in ticks.names()
    log_many(2)

    with caplog.at_level(logging.INFO, logger="accounts.chain"):
        assert ticks.run_once("accounts.seal") is None
        log_many(1)
        ticks.run_once("accounts.seal")

    assert len(linked()) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"audit chain: link 2 has the hash {AuditLink.objects.get(number=2).hash}"
    ]


def test_the_command_says_whether_the_chain_is_whole() -> None:
    events = log_many(4)
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "whole: 4 links" in out.getvalue()
    assert AuditLink.objects.get(number=4).hash in out.getvalue()

    tamper("update accounts_audit_events set action = 'x' where id = %s", events[2].pk)

    with pytest.raises(CommandError, match="broken at link 3") as caught:
        call_command("verify_audit")
    assert caught.value.returncode == 1
