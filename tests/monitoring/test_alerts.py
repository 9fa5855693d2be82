"""Rules and alerts over HTTP and under the clock: once each, whoever races; acknowledged, resolved, previewed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import AuditEvent, User
from mcp_site.core import clock
from monitoring import alerting, rollups, series, services
from monitoring.models import Alert, AlertRule, Channel, Delivery, RuleStanding
from monitoring.series import Identity, Measured
from workflows import services as workflows
from workflows.models import Run

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]
RULE: dict[str, Any] = {
    "name": "Low",
    "metric": "x",
    "aggregate": "avg",
    "comparison": "<",
    "threshold": 10,
    "window": "5m",
}


def put(value: float, name: str = "x", back: float = 0, **tags: str) -> None:
    """Store a sample of some minutes ago, rolled up."""
    series.store([Measured(Identity(name, tags), clock.now() - timedelta(minutes=back), value)])
    rollups.roll_up(60)


def _attrs(answer: Any) -> list[str | None]:
    return [error["attr"] for error in answer.json()["errors"]]


def _rule(api: Api, who: User, **change: Any) -> AlertRule:
    answer = api(who).post("/api/v1/alert-rules", {**RULE, **change})
    assert answer.status_code == 201, answer.json()
    return AlertRule.objects.get(uid=answer.json()["id"])


def test_a_rule_has_the_defaults_of_its_contract(api: Api, ben: User) -> None:
    answer = api(ben).post("/api/v1/alert-rules", RULE)

    shown = answer.json()
    assert answer.status_code == 201
    assert answer["Location"].endswith(shown["id"])
    assert {
        name: shown[name]
        for name in ("for", "tags", "no_data", "channels", "warn_threshold", "window", "enabled", "renotify")
    } == {
        "for": "0s",
        "tags": {},
        "no_data": "keep",
        "channels": [],
        "warn_threshold": None,
        "window": "5m",
        "enabled": True,
        "renotify": None,
    }
    assert AuditEvent.objects.filter(action="alert_rule.create", object_id=shown["id"]).exists()


@pytest.mark.parametrize("field", ["name", "metric", "aggregate", "comparison", "threshold", "window"])
def test_what_a_rule_must_have(api: Api, ben: User, field: str) -> None:
    body = {name: value for name, value in RULE.items() if name != field}

    assert _attrs(api(ben).post("/api/v1/alert-rules", body)) == [field]


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"comparison": "=="}, "comparison"),
        ({"window": "soon"}, "window"),
        ({"window": "30s"}, "window"),
        ({"for": {}}, "for"),
        ({"for": None}, "for"),
        ({"window": ["5m"]}, "window"),
        ({"window": True}, "window"),
        ({"threshold": "nan"}, "threshold"),
        ({"warn_threshold": "inf"}, "warn_threshold"),
        ({"for": "2w"}, "for"),
        ({"warn_threshold": 9}, "warn_threshold"),
        ({"channels": ["nowhere"]}, "channels.0"),
        ({"tags": ["a"]}, "tags"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(api: Api, ben: User, change: dict[str, Any], attr: str) -> None:
    answer = api(ben).post("/api/v1/alert-rules", {**RULE, **change})

    assert (answer.status_code, _attrs(answer)) == (400, [attr])


def test_viewers_read_and_editors_write(api: Api, ben: User, cyd: User) -> None:
    rule = _rule(api, ben)
    put(1)
    alerting.evaluate()
    alert = Alert.objects.get()
    viewer = api(cyd)

    for path in ("alert-rules", f"alert-rules/{rule.uid}", "alerts", f"alerts/{alert.uid}"):
        assert viewer.get(f"/api/v1/{path}").status_code == 200
        assert api(None).get(f"/api/v1/{path}").status_code == 401
    assert viewer.post("/api/v1/alert-rules", RULE).status_code == 403
    assert viewer.patch(f"/api/v1/alert-rules/{rule.uid}", {"threshold": 1}).status_code == 403
    assert viewer.delete(f"/api/v1/alert-rules/{rule.uid}").status_code == 403
    assert viewer.post("/api/v1/alerts", {"title": "x", "severity": "warn"}).status_code == 403
    for verb in ("acknowledge", "resolve"):
        assert viewer.post(f"/api/v1/alerts/{alert.uid}/{verb}").status_code == 403
    _, text = accounts.issue_key(by=ben, name="alerts", scopes=["alerts:read"])
    key = {"X-API-Key": text}
    assert api(None).get("/api/v1/alerts", headers=key).status_code == 200
    assert api(None).post(f"/api/v1/alerts/{alert.uid}/resolve", headers=key).status_code == 403


def test_each_series_of_a_rule_has_its_own_alert(api: Api, ben: User) -> None:
    rule = _rule(api, ben, tags={"zone": "eu"})
    put(1, host="a", zone="eu")
    put(1, host="b", zone="eu")
    put(1, host="c", zone="us")
    put(50, host="d", zone="eu")

    for _ in range(3):
        alerting.evaluate()

    alerts = Alert.objects.order_by("title")
    assert [alert.title for alert in alerts] == ["Low: host a, zone eu", "Low: host b, zone eu"]
    assert len({alert.fingerprint for alert in alerts}) == 2
    assert {alert.rule_id for alert in alerts} == {rule.pk}


def test_it_opens_only_after_its_time_and_forgets_a_break(api: Api, ben: User) -> None:
    _rule(api, ben, **{"for": "2m", "window": "1m"})
    now = clock.now()
    put(1)
    alerting.evaluate(now)
    assert (Alert.objects.count(), RuleStanding.objects.count()) == (0, 1)

    alerting.evaluate(now + timedelta(minutes=1))
    assert not Alert.objects.exists()

    series.store([Measured(Identity("x"), now + timedelta(minutes=2), 1.0)])
    rollups.roll_up(60)
    alerting.evaluate(now + timedelta(minutes=2, seconds=1))
    assert Alert.objects.count() == 1


def test_a_series_that_falls_silent_keeps_its_alert_until_the_rule_says_otherwise(api: Api, ben: User) -> None:
    rule = _rule(api, ben)
    put(1)
    alerting.evaluate()
    later = clock.now() + timedelta(days=40)

    alerting.evaluate(later)
    assert Alert.objects.unresolved().count() == 1

    api(ben).patch(f"/api/v1/alert-rules/{rule.uid}", {"no_data": "ok"})
    alerting.evaluate(later)
    assert Alert.objects.unresolved().count() == 0


def test_no_run_in_some_hours_is_a_count_below_one(api: Api, ben: User) -> None:
    _rule(api, ben, name="Silent", aggregate="count", comparison="<", threshold=1, window="1h")
    put(5)
    alerting.evaluate()
    assert not Alert.objects.exists()

    alerting.evaluate(clock.now() + timedelta(hours=2))

    assert Alert.objects.get().value == 0


@pytest.mark.parametrize("aggregate", ["avg", "sum", "count", "max", "p95"])
def test_a_window_of_days_is_read_from_hours_and_minutes_alike(api: Api, ben: User, aggregate: str) -> None:
    end = clock.now()
    at = [end - timedelta(minutes=37 * n) for n in range(150)]
    series.store([Measured(Identity("x"), moment, float(n + 1)) for n, moment in enumerate(at)])
    rollups.catch_up()
    (key,) = series.find_or_make([Identity("x")]).values()

    for hours in (1, 3, 26, 80):
        start = (end - timedelta(hours=hours)).replace(second=0, microsecond=0)
        inside = [float(n + 1) for n, moment in enumerate(at) if moment >= start]
        found = series.totals([key], start, end + timedelta(minutes=1))[key].value(aggregate)
        true = {
            "avg": sum(inside) / len(inside),
            "sum": sum(inside),
            "count": len(inside),
            "max": max(inside),
            "p95": sorted(inside)[int(0.95 * (len(inside) - 1))],
        }[aggregate]
        assert found == pytest.approx(true, rel=0.0101)


def test_alerts_raised_by_hand_are_one_while_it_lasts(api: Api, ben: User) -> None:
    client = api(ben)
    body = {"title": "The disk is odd", "severity": "warn", "details": {"host": "a"}}
    first, again = client.post("/api/v1/alerts", body), client.post("/api/v1/alerts", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["rule"], first.json()["state"], first.json()["details"]) == (None, "open", {"host": "a"})

    client.post(f"/api/v1/alerts/{first.json()['id']}/resolve")
    other = client.post("/api/v1/alerts", body)

    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


def test_an_alert_is_acknowledged_and_resolved_once(api: Api, ben: User) -> None:
    client = api(ben)
    alert = client.post("/api/v1/alerts", {"title": "x", "severity": "alert"}).json()
    path = f"/api/v1/alerts/{alert['id']}"

    taken = [client.post(f"{path}/acknowledge").json() for _ in range(2)]
    assert [one["state"] for one in taken] == ["acknowledged"] * 2
    assert taken[0]["acknowledged_by"]["full_name"] == "Ben"
    assert taken[0]["acknowledged_at"] == taken[1]["acknowledged_at"]
    assert client.post(f"{path}/resolve").json()["state"] == "resolved"
    assert [client.post(f"{path}/{verb}").status_code for verb in ("resolve", "acknowledge")] == [409, 409]
    actions = AuditEvent.objects.filter(object_id=alert["id"]).order_by("id").values_list("action", flat=True)
    assert list(actions) == ["alert.raise", "alert.acknowledge", "alert.resolve"]


def test_lists_are_filtered(api: Api, ben: User) -> None:
    client = api(ben)
    raised = [
        {"title": "a", "severity": "warn"},
        {"title": "b", "severity": "alert"},
        {"title": "c", "severity": "warn"},
    ]
    ids = [client.post("/api/v1/alerts", body).json()["id"] for body in raised]
    client.post(f"/api/v1/alerts/{ids[0]}/resolve")
    client.post(f"/api/v1/alerts/{ids[1]}/acknowledge")

    def found(query: str) -> list[str]:
        return [alert["title"] for alert in client.get(f"/api/v1/alerts?{query}").json()["results"]]

    assert found("state=open&state=acknowledged") == ["c", "b"]
    assert found("severity=warn") == ["c", "a"]
    assert client.get("/api/v1/alerts?state=closed").status_code == 400
    assert client.get("/api/v1/alerts?colour=red").status_code == 400


def test_reminders_go_out_while_nobody_looks(api: Api, ben: User) -> None:
    services.create_channel(by=ben, slug="in", name="In", type="inbox", config={})
    _rule(api, ben, renotify="10m", channels=["in"])
    put(1)
    alerting.evaluate()
    for minutes in (5, 11, 12):
        alerting.evaluate(clock.now() + timedelta(minutes=minutes))
    assert list(Delivery.objects.order_by("pk").values_list("happening", flat=True)) == [
        "opened",
        "reminded",
        "reminded",
    ]

    services.acknowledge_alert(by=ben, alert=Alert.objects.get())
    alerting.evaluate(clock.now() + timedelta(hours=1))

    assert Delivery.objects.count() == 3


def test_a_deleted_rule_resolves_what_it_opened(api: Api, ben: User) -> None:
    rule = _rule(api, ben)
    put(1)
    alerting.evaluate()

    assert api(ben).delete(f"/api/v1/alert-rules/{rule.uid}").status_code == 204

    alert = Alert.objects.get()
    assert (alert.state, alert.rule_id) == ("resolved", None)


def test_a_rule_that_is_off_judges_nothing(api: Api, ben: User) -> None:
    _rule(api, ben, enabled=False)
    put(1)

    alerting.evaluate()

    assert not Alert.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_clocks_that_race_open_one_alert_and_send_one_message(api: Api, ben: User) -> None:
    services.create_channel(by=ben, slug="in", name="In", type="inbox", config={})
    rule = _rule(api, ben, channels=["in"])
    put(1)
    together = threading.Barrier(6)

    def judge() -> None:
        together.wait()
        alerting.evaluate()
        # Without the lock on the rule: the index alone decides.
        alerting.open_alert(
            fingerprint="0" * 64,
            title="raced",
            severity="alert",
            channels=list(Channel.objects.all()),
            rule=rule,
        )
        connection.close()

    threads = [threading.Thread(target=judge) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(Alert.objects.values_list("title", flat=True)) == ["Low", "raced"]
    for alert in Alert.objects.all():
        assert alert.deliveries.count() == 1


def test_who_may_not_see_the_workflow_does_not_see_its_alerts(
    api: Api, ben: User, cyd: User, start: Callable[..., Run]
) -> None:
    run = start({"key": "a"})
    assert run.workflow is not None
    workflows.update_workflow(by=ben, workflow=run.workflow, visibility="private")
    about = Identity("run.failed", {"workflow": run.workflow.slug}, workflow_id=run.workflow_id)
    series.store([Measured(about, clock.now(), 1.0)])
    rollups.roll_up(60)
    _rule(api, ben, metric="run.failed", comparison=">", threshold=0.5)
    alerting.evaluate()
    path = f"/api/v1/alerts/{Alert.objects.get().uid}"

    assert [len(api(who).get("/api/v1/alerts").json()["results"]) for who in (ben, cyd)] == [1, 0]
    assert [api(who).get(path).status_code for who in (ben, cyd)] == [200, 404]
    assert api(cyd).post(f"{path}/acknowledge").status_code == 404


def test_a_preview_shows_what_the_last_week_would_have_brought(api: Api, ben: User, cyd: User) -> None:
    day = clock.now().replace(second=0, microsecond=0) - timedelta(days=3)
    bad = range(60, 90)
    samples = [
        Measured(Identity("x", {"h": "a"}), day + timedelta(minutes=n), 1.0 if n in bad else 50.0) for n in range(180)
    ]
    series.store(samples)
    rollups.catch_up()
    body = {name: value for name, value in RULE.items() if name != "name"}

    answer = api(cyd).post("/api/v1/alert-rules/preview", {**body, "window": "10m", "for": "5m"})

    (one,) = answer.json()["series"]
    (crossing,) = one["alerts"]
    opened, resolved = (datetime.fromisoformat(crossing[name]) for name in ("opened_at", "resolved_at"))
    # Nine of ten minutes are bad before the average falls below ten; and then it waits for five more.
    assert timedelta(minutes=60 + 9 + 5) <= opened - day <= timedelta(minutes=60 + 9 + 5 + 10)
    assert timedelta(minutes=90) <= resolved - day <= timedelta(minutes=100)
    assert (crossing["severity"], one["tags"], answer.json()["left_out"]) == ("alert", {"h": "a"}, 0)
    assert min(value for _, value in one["points"]) == 1.0
    assert not Alert.objects.exists()


@pytest.mark.parametrize(
    ("aggregate", "value"), [("min", 1.0), ("max", 9.0), ("p50", 5.0), ("sum", 15.0), ("count", 3)]
)
def test_a_preview_slides_each_aggregate(api: Api, ben: User, aggregate: str, value: float) -> None:
    at = clock.now().replace(second=0, microsecond=0) - timedelta(hours=5)
    series.store([Measured(Identity("x"), at, number) for number in (1.0, 5.0, 9.0)])
    series.store([Measured(Identity("x"), at - timedelta(hours=2), 100.0)])
    rollups.catch_up()
    body = {"metric": "x", "comparison": ">", "threshold": 1e9, "window": "1h", "aggregate": aggregate}

    (one,) = api(ben).post("/api/v1/alert-rules/preview", body).json()["series"]

    by_time = {datetime.fromisoformat(moment): number for moment, number in one["points"]}
    inside = [
        number
        for moment, number in by_time.items()
        if at + timedelta(minutes=1) <= moment <= at + timedelta(minutes=55)
    ]
    assert inside
    assert all(number == pytest.approx(value, rel=0.0101) for number in inside)
