"""Channels: secrets that never come back, messages that arrive once and in order, and every way in which they don't."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from mcp_site.core import clock
from monitoring import alerting, channels, services
from monitoring.models import Alert, Channel, Delivery, Notification
from tests.monitoring.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]
SECRET = "hunter2-is-the-secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def _hook(by: User, url: str, slug: str = "hook", type: str = "webhook") -> Channel:
    config = {"url": url} if type == "slack" else {"url": url, "secret": SECRET}
    return services.create_channel(by=by, slug=slug, name="Hook", type=type, config=config)[0]


def _raise(by: User, *slugs: str, title: str = "Odd") -> Alert:
    return services.raise_alert(by=by, title=title, severity="warn", channels=slugs)[0]


def test_types_say_what_they_need(api: Api, ben: User) -> None:
    types = {kind["name"]: kind for kind in api(ben).get("/api/v1/channel-types").json()}

    assert list(types) == ["email", "webhook", "slack", "inbox"]
    assert types["webhook"]["config_schema"]["required"] == ["url"]
    for name in types:
        assert channels.get(name).name == name


def test_secrets_are_sealed_and_never_come_back(api: Api, ben: User) -> None:
    client = api(ben)
    body = {
        "slug": "hook",
        "name": "Hook",
        "type": "webhook",
        "config": {"url": "https://example.com", "secret": SECRET},
    }

    answers = [
        client.post("/api/v1/channels", body),
        client.get("/api/v1/channels/hook"),
        client.get("/api/v1/channels"),
        client.patch("/api/v1/channels/hook", {"name": "Other", "config": {"secret": {"set": True}}}),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    assert all(SECRET not in answer.content.decode() for answer in answers)
    assert answers[3].json()["config"] == {"url": "https://example.com", "secret": {"set": True}}
    row = Channel.objects.get()
    assert SECRET not in json.dumps([row.config, row.secrets])
    assert SECRET not in json.dumps(list(AuditEvent.objects.values_list("changes", flat=True)))
    assert alerting.delivery.opened(row)["secret"] == SECRET


def test_a_secret_that_nobody_gives_is_made_and_shown_once(api: Api, ben: User) -> None:
    client = api(ben)
    body = {"slug": "hook", "name": "Hook", "type": "webhook", "config": {"url": "https://example.com"}}

    made = client.post("/api/v1/channels", body).json()["generated"]["secret"]

    assert len(made) >= 32
    assert made not in client.get("/api/v1/channels/hook").content.decode()


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"type": "pigeon"}, "type"),
        ({"slug": "Big"}, "slug"),
        ({"config": {}}, "config.url"),
        ({"config": {"url": "ftp://x"}}, "config.url"),
        ({"config": {"url": "https://x", "secret": "short"}}, "config.secret"),
        ({"config": {"url": "https://x", "method": "GET"}}, "config.method"),
        ({"type": "email", "config": {"to": ["nobody"]}}, "config.to.0"),
        ({"type": "email", "config": {"to": []}}, "config.to"),
        ({"type": "inbox", "config": {"roles": ["King"]}}, "config.roles.0"),
    ],
)
def test_a_channel_that_can_not_work_is_refused(api: Api, ben: User, body: dict[str, Any], attr: str) -> None:
    plain = {"slug": "hook", "name": "Hook", "type": "webhook", "config": {"url": "https://x", "secret": SECRET}}

    answer = api(ben).post("/api/v1/channels", {**plain, **body})

    assert (answer.status_code, [error["attr"] for error in answer.json()["errors"]]) == (400, [attr])
    assert "short" not in answer.content.decode()


def test_channels_are_for_editors(api: Api, ben: User, cyd: User) -> None:
    _hook(ben, "https://example.com")

    for path in ("channel-types", "channels", "channels/hook", "channels/hook/deliveries"):
        assert [api(who).get(f"/api/v1/{path}").status_code for who in (None, cyd, ben)] == [401, 403, 200]
    assert api(cyd).post("/api/v1/channels/hook/test").status_code == 403


def test_a_message_is_sent_once_and_the_next_waits_for_it(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    alert = _raise(ben, "hook")
    receiver.answers = [503]
    assert alerting.deliver() == 1
    alerting.resolve_alert(alert)

    # The first is not due yet, and the second is not sent before it.
    assert alerting.deliver() == 0
    alerting.deliver(clock.now() + timedelta(seconds=3))
    alerting.deliver(clock.now() + timedelta(seconds=3))

    assert [message["happening"] for message in receiver.accepted] == ["opened", "resolved"]
    assert alerting.deliver(clock.now() + timedelta(days=1)) == 0


def test_pauses_grow_and_end(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook")
    receiver.answers = [500] * 20
    pauses = []
    for _ in range(20):
        delivery = Delivery.objects.get()
        if delivery.next_at is None:
            break
        pauses.append(round((delivery.next_at - clock.now()).total_seconds()))
        alerting.deliver(delivery.next_at)

    assert pauses == [0, *alerting.delivery.PAUSES]
    assert (delivery.state, delivery.attempts) == ("failed", 9)
    assert delivery.error == "The receiver answered 500."


def test_a_receiver_that_asks_for_patience_gets_it(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook")
    receiver.answers, receiver.headers = [429], {"Retry-After": "120"}
    alerting.deliver()

    next_at = Delivery.objects.get().next_at
    assert next_at is not None
    assert 110 < (next_at - clock.now()).total_seconds() <= 120


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_a_refusal_is_final_and_no_redirect_is_followed(ben: User, receiver: Receiver, status: int) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook")
    receiver.answers, receiver.headers = [status], {"Location": receiver.url}
    alerting.deliver()

    assert len(receiver.requests) == 1
    assert Delivery.objects.get().state == "failed"


def test_the_guard_of_egress_stands_before_every_webhook(ben: User, receiver: Receiver, settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    for slug, type in (("hook", "webhook"), ("team", "slack")):
        _hook(ben, receiver.url, slug, type)
    _raise(ben, "hook", "team")
    alerting.deliver()

    assert receiver.requests == []
    assert {one.state for one in Delivery.objects.all()} == {"failed"}
    assert "EGRESS_ALLOW" in Delivery.objects.all()[0].error


def test_a_process_that_dies_while_sending_leaves_the_message_to_another(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook")
    now = clock.now()
    assert len(alerting.delivery._claim(now)) == 1

    assert alerting.deliver(now + timedelta(seconds=59)) == 0
    assert alerting.deliver(now + timedelta(seconds=61)) == 1
    assert len(receiver.accepted) == 1


def test_slack_gets_its_shape_and_no_mentions(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url, "team", "slack")
    _raise(ben, "team", title="<!channel> & <script>")
    alerting.deliver()

    body = json.loads(receiver.requests[0][1])
    assert body["text"] == "[warn opened] &lt;!channel&gt; &amp; &lt;script&gt;"
    assert body["blocks"][1]["elements"][0]["text"].startswith("<http")


def test_mail_goes_to_all_in_one_letter(ben: User) -> None:
    config = {"to": ["a@example.com", "b@example.com"]}
    services.create_channel(by=ben, slug="mail", name="Mail", type="email", config=config)
    _raise(ben, "mail", title="Odd\r\nBcc: c@example.com")
    alerting.deliver()

    (letter,) = mail.outbox
    assert letter.to == config["to"]
    assert letter.subject == "[warn] Odd Bcc: c@example.com: opened"
    assert "/alerts/" in letter.body


def test_mail_that_is_not_taken_is_tried_again(ben: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    services.create_channel(by=ben, slug="mail", name="Mail", type="email", config={"to": ["a@example.com"]})
    _raise(ben, "mail")
    alerting.deliver()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.error) == ("pending", "The mail server did not take it: ConnectionRefusedError.")


def test_the_inbox_of_those_in_its_roles(api: Api, ada: User, ben: User, cyd: User) -> None:
    services.create_channel(by=ben, slug="in", name="In", type="inbox", config={})
    alert = _raise(ben, "in")
    alerting.deliver()

    def lines(who: User, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api(who).get(f"/api/v1/notifications{query}").json()["results"]
        return found

    assert [len(lines(who)) for who in (ada, ben, cyd)] == [1, 1, 0]
    (line,) = lines(ben)
    assert (line["title"], line["alert"], line["happening"], line["read_at"]) == ("Odd", str(alert.uid), "opened", None)
    assert api(ben).post("/api/v1/notifications/read", {"ids": [line["id"]]}).json() == {"read": 1}
    assert api(ben).post("/api/v1/notifications/read", {}).json() == {"read": 0}
    assert [len(lines(who, "?unread=true")) for who in (ada, ben)] == [1, 0]
    # Nobody marks the lines of others.
    assert api(ben).post("/api/v1/notifications/read", {"ids": [lines(ada)[0]["id"]]}).json() == {"read": 0}
    assert Notification.objects.filter(read_at=None).count() == 1


def test_a_test_is_sent_at_once_and_says_what_came_of_it(api: Api, ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    receiver.answers = [500, 204]
    client = api(ben)

    failed, sent = (client.post("/api/v1/channels/hook/test").json() for _ in range(2))

    assert (failed["state"], failed["error"]) == ("failed", "The receiver answered 500.")
    assert (sent["state"], sent["error"], sent["happening"]) == ("sent", "", "test")
    log = client.get("/api/v1/channels/hook/deliveries", {"page_size": 1}).json()
    assert [one["id"] for one in log["results"]] == [sent["id"]]
    assert client.get(log["next"]).json()["results"][0]["id"] == failed["id"]


def test_what_is_switched_off_hears_nothing(api: Api, ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook", title="before")
    api(ben).patch("/api/v1/channels/hook", {"enabled": False})
    _raise(ben, "hook", title="after")
    alerting.deliver()

    assert receiver.requests == []
    assert [(one.state, one.error) for one in Delivery.objects.all()] == [("failed", "The channel is switched off.")]


def test_a_deleted_channel_takes_its_log_along(api: Api, ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    _raise(ben, "hook")

    assert api(ben).delete("/api/v1/channels/hook").status_code == 204
    assert (Channel.objects.count(), Delivery.objects.count(), Alert.objects.count()) == (0, 0, 1)


@pytest.mark.django_db(transaction=True)
def test_the_senders_in_the_background_leave_nothing_open(ben: User, receiver: Receiver) -> None:
    _hook(ben, receiver.url)
    for n in range(5):
        _raise(ben, "hook", title=f"Odd {n}")

    alerting.deliver_in_background()
    alerting.delivery._senders.submit(int).result(timeout=10)
    for _ in range(200):
        if not Delivery.objects.filter(state="pending").exists():
            break
        clock_tick = alerting.delivery._senders.submit(int)
        clock_tick.result(timeout=10)

    assert len(receiver.accepted) == 5
