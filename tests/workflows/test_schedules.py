"""Runs that start by the clock: once for each due time, as the owner, and never against the rules."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import close_old_connections, connection
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import AuditEvent, Role, User
from definitions.models import Definition
from mcp_site.core import ticks
from mcp_site.core.errors import Conflict, Forbidden, Rejected
from workflows import services
from workflows.engine.worker import Worker
from workflows.models import Firing, Run, Schedule, Workflow
from workflows.schedules import cron, firing, policy
from workflows.services import schedules

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
GRAPH = {"steps": [{"key": "a", "definition": "echo"}]}
NOON = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


@pytest.fixture
def make(ben: User, flow: Workflow) -> Callable[..., Schedule]:
    """Return a function that makes a schedule at noon, every ten minutes unless it says otherwise."""

    def begin(by: User = ben, **given: Any) -> Schedule:
        with time_machine.travel(NOON, tick=False):
            return schedules.create_schedule(by=by, workflow=flow, **{"cron": "*/10 * * * *", **given})

    return begin


def tick(minutes: float) -> None:
    """Let the clock come by so many minutes after noon."""
    with time_machine.travel(NOON + timedelta(minutes=minutes), tick=False):
        firing.fire_due()


def outcomes(schedule: Schedule) -> list[tuple[str, str]]:
    """Return each due time with what became of it, oldest first."""
    rows = schedule.firings.order_by("due_at")
    return [(f"{row.due_at:%H:%M}", row.outcome) for row in rows]


def test_a_due_time_starts_one_run_as_the_owner(make: Callable[..., Schedule], ben: User, worker: Worker) -> None:
    schedule = make()

    tick(5)
    assert not Run.objects.exists()
    tick(9.6)
    tick(9.7)
    worker.work("llm")

    run = Run.objects.get()
    assert (run.trigger_kind, run.trigger_id, run.started_by, run.state) == (
        "schedule",
        str(schedule.uid),
        ben,
        "succeeded",
    )
    schedule.refresh_from_db()
    assert (schedule.last_run, schedule.next_at) == (run, datetime(2026, 6, 1, 12, 20, tzinfo=UTC))
    assert outcomes(schedule) == [("12:10", "started")]
    event = AuditEvent.objects.get(action="run.start")
    assert (event.actor, event.changes["schedule"]) == (ben, [None, str(schedule.uid)])


def test_the_tick_is_registered_and_does_it(make: Callable[..., Schedule]) -> None:
    schedule = make()

    with time_machine.travel(NOON + timedelta(minutes=10), tick=False):
        ticks.run_once("workflows.schedules")

    assert outcomes(schedule) == [("12:10", "started")]
    assert {"workflows.schedules", "workflows.firings", "workflows.kept_answers"} <= set(ticks.names())


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("none", [("12:50", "missed")]),
        ("last", [("12:40", "missed"), ("12:50", "started")]),
        ("all", [("12:10", "started"), ("12:20", "started"), ("12:30", "started"), ("12:40", "started")]),
    ],
)
def test_what_passed_meanwhile_is_made_up_for_as_it_says(
    make: Callable[..., Schedule], catch_up: str, expected: list[tuple[str, str]]
) -> None:
    schedule = make(catch_up=catch_up)

    tick(55)

    assert outcomes(schedule)[: len(expected)] == expected
    assert Run.objects.count() == {"none": 0, "last": 1, "all": 5}[catch_up]
    schedule.refresh_from_db()
    assert schedule.next_at == datetime(2026, 6, 1, 13, 0, tzinfo=UTC)


def test_a_time_that_is_met_within_a_minute_is_met(make: Callable[..., Schedule]) -> None:
    schedule = make(catch_up="none")

    tick(10.4)

    assert outcomes(schedule) == [("12:10", "started")]


@pytest.mark.parametrize(("catch_up", "count"), [("none", 0), ("last", 1), ("all", policy.MAX_CAUGHT_UP)])
def test_a_year_away_is_bounded(catch_up: str, count: int) -> None:
    minutely = cron.parse("* * * * *", "UTC")

    turn = policy.turn(minutely, NOON - timedelta(days=365), NOON + timedelta(seconds=31), catch_up)

    # The minute that has just begun is on time.
    assert len(turn.start) == max(count, 1)
    assert turn.start[-1] == datetime(2026, 6, 1, 12, 1, tzinfo=UTC)
    assert turn.missed is not None
    assert turn.missed < turn.start[0]


def test_overlap_skip_leaves_out_and_queue_waits_for_the_end(make: Callable[..., Schedule], worker: Worker) -> None:
    skipping, queueing, beside = (make(overlap=overlap) for overlap in ("skip", "queue", "allow"))

    tick(10)
    tick(20)

    assert [outcome for _, outcome in outcomes(skipping)] == ["started", "skipped"]
    assert [outcome for _, outcome in outcomes(queueing)] == ["started", "queued"]
    assert [outcome for _, outcome in outcomes(beside)] == ["started", "started"]
    tick(21)
    assert Run.objects.filter(trigger_id=str(queueing.uid)).count() == 1
    worker.work("llm")
    tick(22)
    assert [outcome for _, outcome in outcomes(queueing)] == ["started", "started"]
    assert Run.objects.filter(trigger_id=str(queueing.uid)).count() == 2


def test_pausing_gives_up_what_waits(make: Callable[..., Schedule], ben: User, worker: Worker) -> None:
    schedule = make(overlap="queue")
    tick(10)
    tick(20)

    schedules.update_schedule(by=ben, schedule=schedule, enabled=False)
    worker.work("llm")
    tick(25)

    assert [outcome for _, outcome in outcomes(schedule)] == ["started", "skipped"]


def test_ten_tickers_at_once_start_each_due_time_once(make: Callable[..., Schedule]) -> None:
    made = [make(catch_up="all") for _ in range(5)]
    errors: list[BaseException] = []
    barrier = threading.Barrier(10)

    def run() -> None:
        close_old_connections()
        try:
            barrier.wait(20)
            for _ in range(3):
                firing.fire_due()
        except BaseException as exc:  # noqa: BLE001  the test tells of it
            errors.append(exc)
        finally:
            connection.close()

    # One clock for all of them, since it is held still for the whole process.
    with time_machine.travel(NOON + timedelta(minutes=45), tick=False):
        threads = [threading.Thread(target=run) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert errors == []
    for schedule in made:
        assert outcomes(schedule) == [(f"12:{ten}0", "started") for ten in (1, 2, 3, 4)]
        assert Run.objects.filter(trigger_id=str(schedule.uid)).count() == 4


def test_the_slot_alone_keeps_a_due_time_from_starting_twice(make: Callable[..., Schedule]) -> None:
    schedule = make()
    tick(10)

    # As if another process had read the row before this one moved it on.
    Schedule.objects.filter(pk=schedule.pk).update(next_at=NOON + timedelta(minutes=9, seconds=30))
    tick(10)

    assert outcomes(schedule) == [("12:10", "started")]
    assert Run.objects.count() == 1


def _switched_off(owner: User) -> None:
    owner.is_active = False
    owner.save()


def _only_views(owner: User) -> None:
    accounts.set_role(user=owner, role=Role.VIEWER, by=None)


@pytest.mark.parametrize(("lose", "word"), [(_switched_off, "switched off"), (_only_views, "may not run")])
def test_it_pauses_with_a_notice_when_its_owner_may_not_run_any_more(
    make: Callable[..., Schedule], dov: User, ada: User, lose: Callable[[User], None], word: str
) -> None:
    schedule = make(by=dov)
    lose(dov)

    tick(10)
    tick(20)

    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_at) == (False, None)
    assert word in schedule.notice
    assert outcomes(schedule) == [("12:10", "refused")]
    assert not Run.objects.exists()
    assert AuditEvent.objects.get(action="schedule.pause").actor is None
    with pytest.raises(Conflict, match="may not run"):
        schedules.update_schedule(by=ada, schedule=schedule, enabled=True)


def test_it_pauses_before_it_is_due(make: Callable[..., Schedule], ada: User, ben: User, dov: User) -> None:
    schedule, kept = make(by=dov), make(by=ben)
    _only_views(dov)

    firing.pause_orphans()
    firing.pause_orphans()

    schedule.refresh_from_db()
    kept.refresh_from_db()
    assert (schedule.enabled, schedule.next_at, kept.enabled) == (False, None, True)
    assert "may not run" in schedule.notice
    assert AuditEvent.objects.filter(action="schedule.pause").count() == 1


def test_it_pauses_when_the_workflow_went_out_of_its_owners_sight(
    make: Callable[..., Schedule], dov: User, ben: User, flow: Workflow
) -> None:
    schedule = make(by=dov)
    services.update_workflow(by=ben, workflow=flow, visibility="private")

    tick(10)

    schedule.refresh_from_db()
    assert not schedule.enabled
    assert not Run.objects.exists()


def test_what_can_not_start_is_said_and_tried_again_at_the_next_time(
    make: Callable[..., Schedule], ben: User, flow: Workflow
) -> None:
    schedule = make(inputs={})
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    services.save_version(by=ben, workflow=flow, graph={"inputs": schema, **GRAPH})

    tick(10)
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.notice) == (True, "inputs.n: is required")
    schedules.update_schedule(by=ben, schedule=schedule, inputs={"n": 1})
    schedule.refresh_from_db()
    assert schedule.notice == ""
    Schedule.objects.filter(pk=schedule.pk).update(next_at=NOON + timedelta(minutes=19.5))
    tick(20)

    assert outcomes(schedule) == [("12:10", "refused"), ("12:20", "started")]


def test_an_alias_is_looked_up_at_each_start(make: Callable[..., Schedule], ben: User, flow: Workflow) -> None:
    services.save_version(by=ben, workflow=flow, graph={"steps": [{"key": "b", "definition": "echo"}]})
    services.move_alias(by=ben, workflow=flow, name="production", number=1)
    make(version="production")
    newest, pinned = make(), make(version="1")

    tick(10)
    services.move_alias(by=ben, workflow=flow, name="production", number=2)
    tick(20)

    numbers = list(
        Run.objects.exclude(trigger_id__in=[newest.uid, pinned.uid]).values_list("version__number", flat=True)
    )
    assert sorted(numbers) == [1, 2]
    assert set(Run.objects.filter(trigger_id=newest.uid).values_list("version__number", flat=True)) == {2}
    assert set(Run.objects.filter(trigger_id=pinned.uid).values_list("version__number", flat=True)) == {1}


def test_old_due_times_are_pruned(make: Callable[..., Schedule]) -> None:
    schedule = make()
    tick(10)
    Firing.objects.update(at=NOON - timedelta(days=200))

    firing.prune()

    assert outcomes(schedule) == []
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "attr", "code"),
    [
        ({"cron": "every day"}, "cron", "invalid_cron"),
        ({"timezone": "Mars/Olympus"}, "timezone", "unknown_timezone"),
        ({"version": "9"}, "version", "unknown_version"),
        ({"version": "nope"}, "version", "unknown_version"),
        ({"version": "No Good"}, "version", "unknown_version"),
    ],
)
def test_what_could_never_start_is_not_saved(
    make: Callable[..., Schedule], given: dict[str, Any], attr: str, code: str
) -> None:
    with pytest.raises(Rejected) as caught:
        make(**given)

    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(attr, code)]
    assert not Schedule.objects.exists()


def test_only_its_owner_and_admins_say_what_it_does(
    make: Callable[..., Schedule], ada: User, ben: User, dov: User
) -> None:
    schedule = make(by=dov)

    # Ben owns the workflow: he may stop what starts it, but not have it act in Dov's name.
    with pytest.raises(Forbidden):
        schedules.update_schedule(by=ben, schedule=schedule, inputs={"n": 1})
    assert not schedules.update_schedule(by=ben, schedule=schedule, enabled=False).enabled
    with pytest.raises(Forbidden):
        schedules.update_schedule(by=ben, schedule=schedule, enabled=True)
    assert schedules.update_schedule(by=ada, schedule=schedule, enabled=True).enabled
    schedules.delete_schedule(by=ben, schedule=schedule)

    actions = AuditEvent.objects.filter(object_type="schedule").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["schedule.create", "schedule.update", "schedule.update", "schedule.delete"]


def test_a_workflow_that_is_scheduled_is_in_use(make: Callable[..., Schedule], ben: User, flow: Workflow) -> None:
    schedule = make()

    with pytest.raises(Conflict, match="schedule"):
        services.archive_workflow(by=ben, workflow=flow)
    schedules.update_schedule(by=ben, schedule=schedule, enabled=False)
    services.archive_workflow(by=ben, workflow=flow)

    with pytest.raises(Conflict):
        schedules.create_schedule(by=ben, workflow=flow, cron="@daily")


# The API ------------------------------------------------------------


def test_the_whole_life_over_http(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    body = {
        "workflow": "flow",
        "cron": "0 9 * * mon-fri",
        "timezone": "Europe/Berlin",
        "inputs": {"n": 1},
        "version": 1,
    }

    made = client.post("/api/v1/schedules", body)
    path = made["Location"]
    changed = client.patch(path, {"enabled": False})

    assert made.status_code == 201
    first = made.json()
    assert (first["workflow"], first["version"], first["catch_up"], first["overlap"]) == ("flow", 1, "last", "allow")
    assert (first["enabled"], first["last_run"], first["owner"]["full_name"]) == (True, None, "Ben")
    assert first["next_at"] == first["upcoming"][0]
    assert len(first["upcoming"]) == 5
    assert (changed.json()["enabled"], changed.json()["next_at"], changed.json()["upcoming"]) == (False, None, [])
    assert client.patch(path, {"version": None, "enabled": True}).json()["version"] is None
    assert [one["id"] for one in client.get("/api/v1/schedules?workflow=flow&enabled=true").json()["results"]] == [
        first["id"]
    ]
    assert client.get("/api/v1/schedules?enabled=false").json()["results"] == []
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_due_times_are_listed(api: Api, ben: User, make: Callable[..., Schedule]) -> None:
    schedule = make()
    tick(10)

    listed = api(ben).get(f"/api/v1/schedules/{schedule.uid}/firings").json()["results"]

    run = Run.objects.get()
    assert [(one["due_at"], one["outcome"], one["run"]) for one in listed] == [
        ("2026-06-01T12:10:00Z", "started", str(run.uid))
    ]
    assert api(ben).get(f"/api/v1/runs/{run.uid}").json()["trigger"] == {"kind": "schedule", "id": str(schedule.uid)}


def test_a_preview_says_when(api: Api, ben: User) -> None:
    with time_machine.travel(NOON, tick=False):
        seen = api(ben).post("/api/v1/schedules/preview", {"cron": "0 9 * * *", "timezone": "Europe/Berlin"})

    assert seen.json()["upcoming"][:2] == ["2026-06-02T07:00:00Z", "2026-06-03T07:00:00Z"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("workflow", "required"), ("cron", "required")}),
        ({"workflow": "nope", "cron": "@daily"}, {("workflow", "unknown_workflow")}),
        ({"workflow": "flow", "cron": "@daily", "catch_up": "some"}, {("catch_up", "invalid_choice")}),
        ({"workflow": "flow", "cron": "@daily", "next_at": "now"}, {("next_at", "unknown_field")}),
        ({"workflow": "flow", "cron": "* * *"}, {("cron", "invalid_cron")}),
        ({"workflow": "flow", "cron": "@daily", "inputs": []}, {("inputs", "not_object")}),
    ],
)
def test_a_wrong_body_is_refused_with_the_path(
    api: Api, ben: User, flow: Workflow, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    refused = api(ben).post("/api/v1/schedules", body)

    assert refused.status_code == 400
    assert {(error["attr"], error["code"]) for error in refused.json()["errors"]} == expected


def test_who_sees_and_who_may(
    api: Api, ben: User, cyd: User, dov: User, flow: Workflow, make: Callable[..., Any]
) -> None:
    path = f"/api/v1/schedules/{make().uid}"

    assert api(cyd).get(path).status_code == 200
    assert api(cyd).patch(path, {"enabled": False}).status_code == 403
    assert api(cyd).post("/api/v1/schedules", {"workflow": "flow", "cron": "@daily"}).status_code == 403
    assert api(dov).patch(path, {"enabled": False}).status_code == 403
    assert api(dov).delete(path).status_code == 403
    assert api(None).get(path).status_code == 401
    services.update_workflow(by=ben, workflow=flow, visibility="private")
    for stranger in (cyd, dov):
        assert api(stranger).get(path).status_code == 404
        assert api(stranger).get("/api/v1/schedules").json()["results"] == []
    refused = api(dov).post("/api/v1/schedules", {"workflow": "flow", "cron": "@daily"})
    assert refused.json()["errors"][0]["code"] == "unknown_workflow"
