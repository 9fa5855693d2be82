"""The pages of alerts, rules, channels, series and notifications: what they show and to whom, and their buttons."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from mcp_site.core import clock
from monitoring import alerting, faults, rollups, series, services
from monitoring.models import Alert, AlertRule, Fault, Notification
from monitoring.series import Identity, Measured
from tests.monitoring.receiver import receiving

pytestmark = pytest.mark.django_db
Browser = Callable[[User | None], Client]
FIELDS = {
    "name": "Low",
    "metric": "x",
    "tags": "model=a",
    "aggregate": "avg",
    "window": "5m",
    "comparison": "<",
    "threshold": "10",
    "hold": "0s",
    "no_data": "keep",
    "enabled": "on",
}


def put(value: float, **tags: str) -> None:
    """Store a sample of now, rolled up."""
    series.store([Measured(Identity("x", tags), clock.now() - timedelta(seconds=1), value)])
    rollups.roll_up(60)


def _lines(html: str) -> Any:
    return json.loads(unescape(html.split('data-lines="')[1].split('"')[0]))


def test_a_rule_is_written_previewed_changed_and_deleted(browser: Browser, ben: User) -> None:
    services.create_channel(by=ben, slug="in", name="In", type="inbox", config={})
    client = browser(ben)
    put(1, model="a")
    assert 'name="metric" value="x"' in client.get("/alerts/rules/new/?metric=x").content.decode()

    preview = client.post("/alerts/rules/preview/", {**FIELDS, "name": ""}).content.decode()
    assert "Would have opened" in preview
    assert 'data-threshold="10.0"' in preview
    assert _lines(preview)[0]["points"][-1][1] == 1.0
    assert not AlertRule.objects.exists()

    assert client.post("/alerts/rules/new/", {**FIELDS, "channels": ["in"]}).status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.tags, rule.window, [channel.slug for channel in rule.channels.all()]) == ({"model": "a"}, 300, ["in"])

    page = client.get(rule.get_absolute_url()).content.decode()
    assert 'value="model=a"' in page
    assert 'value="5m"' in page
    client.post(rule.get_absolute_url(), {**FIELDS, "threshold": "0.5"})
    rule.refresh_from_db()
    assert (rule.threshold, rule.channels.count()) == (0.5, 0)

    client.post(rule.get_absolute_url(), {"delete": "1"})
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"window": "soon"}, "write a span of time"),
        ({"window": "30s"}, "From 1m to 7d."),
        ({"hold": "9d"}, "From 0s to 1d."),
        ({"tags": "model"}, "write tags as"),
        ({"warn_threshold": "5"}, "a warning comes first"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_a_rule_that_makes_no_sense_stays_in_the_form(
    browser: Browser, ben: User, change: dict[str, str], sentence: str
) -> None:
    answer = browser(ben).post("/alerts/rules/new/", {**FIELDS, **change})

    assert answer.status_code == 422
    assert sentence in unescape(answer.content.decode())
    assert not AlertRule.objects.exists()


def test_a_preview_that_can_not_be_made_says_why(browser: Browser, cyd: User) -> None:
    client = browser(cyd)

    for change, sentence in [
        ({"window": "x"}, "Over the last: write"),
        ({"window": "9d"}, "window: from 1m to 7d"),
        ({"metric": "y"}, "No such series"),
    ]:
        assert sentence in client.post("/alerts/rules/preview/", {**FIELDS, **change}).content.decode()


def test_an_alert_shows_its_chart_and_takes_its_buttons(browser: Browser, ben: User, cyd: User) -> None:
    services.create_channel(by=ben, slug="in", name="In", type="inbox", config={})
    browser(ben).post("/alerts/rules/new/", {**FIELDS, "channels": ["in"], "name": "<b>Low</b>"})
    put(1, model="a")
    alerting.evaluate()
    alerting.deliver()
    alert = Alert.objects.get()
    client = browser(ben)

    page = client.get(alert.get_absolute_url()).content.decode()
    assert "&lt;b&gt;Low&lt;/b&gt;: model a" in page
    assert "<b>Low" not in page
    assert _lines(page)[0]["points"][-1][1] == 1.0
    assert "The minutes that opened it" in page
    assert "Messages" in page
    viewer = browser(cyd).get(alert.get_absolute_url()).content.decode()
    assert "Acknowledge</button>" not in viewer
    assert "Messages" not in viewer
    assert "model a" in client.get("/alerts/").content.decode()
    assert 'data-state="failed">1<span class="u-hide"> open' in client.get("/alerts/").content.decode()

    client.post(alert.get_absolute_url(), {"acknowledge": "1"})
    assert Alert.objects.get().state == "acknowledged"
    client.post(alert.get_absolute_url(), {"resolve": "1"})
    assert Alert.objects.get().state == "resolved"
    assert "was not possible" not in client.get(alert.get_absolute_url()).content.decode()
    assert "All is well" in client.get("/alerts/").content.decode()
    assert "model a" in client.get("/alerts/?state=all").content.decode()


def test_a_viewer_changes_nothing(browser: Browser, ben: User, cyd: User) -> None:
    browser(ben).post("/alerts/rules/new/", FIELDS)
    rule = AlertRule.objects.get()
    alert, _ = services.raise_alert(by=ben, title="Odd", severity="warn")
    client = browser(cyd)

    client.post("/alerts/rules/new/", {**FIELDS, "name": "Mine"})
    client.post(rule.get_absolute_url(), {"delete": "1"})
    client.post(alert.get_absolute_url(), {"resolve": "1"})

    assert client.get("/alerts/channels/").status_code == 403
    assert list(AlertRule.objects.values_list("name", flat=True)) == ["Low"]
    assert Alert.objects.get().state == "open"


def test_channels_are_listed_and_tried(browser: Browser, ben: User) -> None:
    client = browser(ben)
    assert "No channels yet" in client.get("/alerts/channels/").content.decode()
    with receiving() as receiver:
        config = {"url": receiver.url, "secret": "hunter2-is-the-secret"}
        services.create_channel(by=ben, slug="hook", name="Hook", type="webhook", config=config)
        receiver.answers = [500]
        failed = client.post("/alerts/channels/", {"test": "hook"}, follow=True).content.decode()
        sent = client.post("/alerts/channels/", {"test": "hook"}, follow=True).content.decode()

    assert "Hook: The receiver answered 500." in failed
    assert "Hook took the test message." in sent
    assert "hunter2" not in sent
    assert client.post("/alerts/channels/", {"test": "none"}).status_code == 404


def test_the_explorer_draws_what_the_person_may_see(browser: Browser, cyd: User) -> None:
    client = browser(cyd)
    assert "Nothing measured yet" in client.get("/monitoring/").content.decode()
    put(1, model="a")
    put(3, model="b")

    assert "?name=x" in client.get("/monitoring/").content.decode()
    page = client.get("/monitoring/", {"name": "x", "aggregate": "max", "range": "1h"}).content.decode()
    assert sorted(line["label"] for line in _lines(page)) == ["model a", "model b"]
    only = client.get("/monitoring/", {"name": "x", "tags": "model=b"}, headers={"HX-Request": "true"}).content.decode()
    assert [line["label"] for line in _lines(only)] == ["model b"]
    assert "<html" not in only
    assert "bucket: must be whole minutes" in client.get("/monitoring/", {"name": "x", "bucket": "7s"}).content.decode()
    assert "Nothing in this time" in client.get("/monitoring/", {"name": "y"}).content.decode()


def test_the_inbox_counts_what_is_unread(browser: Browser, ben: User, cyd: User) -> None:
    for person in (ben, cyd):
        Notification.objects.create(person=person, happening="opened", severity="alert", title=f"For {person}")
    client = browser(ben)

    page = client.get("/notifications/").content.decode()
    assert "For Ben" in page
    assert "For Cyd" not in page
    assert '1<span class="u-hide"> unread' in page
    client.post("/notifications/")
    assert 'u-hide"> unread' not in client.get("/notifications/").content.decode()
    assert Notification.objects.filter(read_at=None).count() == 1


@pytest.mark.parametrize("path", ["/alerts/?state=all", "/alerts/rules/", "/alerts/channels/", "/notifications/"])
def test_lists_ask_as_much_for_one_row_as_for_ten(browser: Browser, ben: User, path: str) -> None:
    client = browser(ben)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    def add(n: int) -> None:
        channel, _ = services.create_channel(by=ben, slug=f"in-{n}", name="In", type="inbox", config={})
        services.create_rule(
            by=ben,
            name=f"r{n}",
            metric="x",
            aggregate="avg",
            comparison="<",
            threshold=1,
            window=60,
            channels=[channel.slug],
        )
        services.raise_alert(by=ben, title=f"a{n}", severity="warn", channels=[channel.slug])
        alerting.deliver()

    add(0)
    queries()
    one = queries()
    for n in range(1, 10):
        add(n)
    assert queries() == one


@pytest.mark.parametrize("path", ["/alerts/", "/alerts/rules/", "/alerts/channels/", "/monitoring/", "/notifications/"])
def test_strangers_are_sent_to_the_sign_in(browser: Browser, path: str) -> None:
    assert browser(None).get(path).status_code == 302


def test_errors_are_listed_with_their_place(browser: Browser, cyd: User) -> None:
    client = browser(cyd)
    assert "No errors" in client.get("/errors/").content.decode()
    at = clock.now()
    faults.write(
        [
            faults.Seen("panel", "ValueError", "tick <b>x</b> failed", ("a",), at, ("monitoring/x.py:3 main",))
            for _ in "12"
        ]
    )

    page = client.get("/errors/").content.decode()
    one = client.get(Fault.objects.get().get_absolute_url()).content.decode()

    assert "tick &lt;b&gt;x&lt;/b&gt; failed" in page
    assert "monitoring/x.py:3 main" in one
    assert "Nothing matches" in client.get("/errors/?source=run").content.decode()
    assert client.get("/errors/none/").status_code == 404


def test_health_is_for_admins(browser: Browser, ada: User, ben: User) -> None:
    page = browser(ada).get("/health/").content.decode()

    assert "no worker takes messages" in page
    assert "Degraded" in page
    assert "<html" not in browser(ada).get("/health/", headers={"HX-Request": "true"}).content.decode()
    refused = browser(ben).get("/health/")
    assert (refused.status_code, "<html" in refused.content.decode()) == (403, True)
