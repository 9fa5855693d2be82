"""Samples in, series out, over HTTP: who may, what is refused and where, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import User
from definitions import services as definitions
from mcp_site.core import clock
from monitoring import rollups, series
from monitoring.models import Sample, Series
from monitoring.series import Identity, Measured

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]


def _attrs(answer: Any) -> list[str | None]:
    return [error["attr"] for error in answer.json()["errors"]]


def _hour(back: int = 2) -> datetime:
    return clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_the_performance_of_a_model_becomes_two_series(api: Api, ada: User, base: str) -> None:
    body = {"model_name": "penguins", "latency_ms": 120.5, "accuracy": 0.93, "extra": {"batch": 7, "note": "a\tb\\\n"}}

    answer = api(ada).post(f"{base}/metrics/performance", body)

    assert (answer.status_code, answer.json()) == (201, {"stored": 2})
    found = {sample.series.name: sample for sample in Sample.objects.select_related("series")}
    assert {name: sample.value for name, sample in found.items()} == {"model.latency_ms": 120.5, "model.accuracy": 0.93}
    assert found["model.accuracy"].series.tags == {"model": "penguins"}
    assert found["model.accuracy"].extra == {"batch": 7, "note": "a\tb\\\n"}


def test_an_accuracy_that_is_not_given_makes_no_sample(api: Api, ada: User) -> None:
    assert api(ada).post("/metrics/performance", {"model_name": "m", "latency_ms": 1}).json() == {"stored": 1}
    assert list(Series.objects.values_list("name", flat=True)) == ["model.latency_ms"]


def test_custom_samples_of_equal_tags_are_one_series(api: Api, ada: User) -> None:
    client = api(ada)
    for tags in ({"a": "1", "b": {"c": [2]}}, {"b": {"c": [2]}, "a": "1"}, {}):
        assert client.post("/metrics/custom", {"name": "queue", "value": 3, "tags": tags}).status_code == 201

    assert sorted(map(str, Series.objects.all())) == ["queue", 'queue{a=1, b={"c":[2]}}']


@pytest.mark.parametrize(
    ("body", "attrs"),
    [
        ({}, ["name", "value"]),
        ({"name": "x", "value": "1"}, ["value"]),
        ({"name": "x", "value": True}, ["value"]),
        ({"name": "x", "value": 10**400}, ["value"]),
        ({"name": " ", "value": 1}, ["name"]),
        ({"name": "x" * 201, "value": 1}, ["name"]),
        ({"name": "x", "value": 1, "tags": ["a"]}, ["tags"]),
        ({"name": "x", "value": 1, "at": "yesterday"}, ["at"]),
        ({"name": "x", "value": 1, "at": "2026-11-24T10:00:00"}, ["at"]),
        ({"name": "x", "value": 1, "at": "2001-01-01T10:00:00Z"}, ["at"]),
        ({"name": "x", "value": 1, "at": "9999-01-01T10:00:00Z"}, ["at"]),
        ({"name": "x", "value": 1, "unit": "s"}, ["unit"]),
    ],
)
def test_a_sample_that_is_not_one_is_refused_with_the_place(api: Api, ada: User, body: Any, attrs: list[str]) -> None:
    answer = api(ada).post("/metrics/custom", body)

    assert (answer.status_code, _attrs(answer)) == (400, attrs)
    assert not Sample.objects.exists()


def test_a_batch_is_stored_as_a_whole_or_not_at_all(api: Api, ada: User) -> None:
    client = api(ada)
    good = [{"name": "x", "value": n, "tags": {"n": n % 3}} for n in range(5000)]

    bad = client.post("/metrics/batch", {"samples": [*good[:3], {"name": "x"}, {"name": "x", "value": 1, "at": "no"}]})
    stored = client.post("/metrics/batch", {"samples": good})

    assert (bad.status_code, _attrs(bad)) == (400, ["samples.3.value", "samples.4.at"])
    assert (stored.status_code, stored.json()) == (201, {"stored": 5000})
    assert (Sample.objects.count(), Series.objects.count()) == (5000, 3)


@pytest.mark.parametrize("samples", [None, "x", [], [{"name": "x", "value": 1}] * 5001])
def test_a_batch_holds_from_one_to_5000_samples(api: Api, ada: User, samples: Any) -> None:
    answer = api(ada).post("/metrics/batch", {} if samples is None else {"samples": samples})

    assert (answer.status_code, _attrs(answer)) == (400, ["samples"])


def test_only_admins_and_keys_with_the_scope_write(api: Api, ada: User, ben: User, cyd: User) -> None:
    body = {"name": "x", "value": 1}
    _, text = accounts.issue_key(by=ada, name="collector", scopes=["metrics:write"])
    _, reads = accounts.issue_key(by=ada, name="reader", scopes=["metrics:read"])
    client = api(None)

    assert [api(who).post("/metrics/custom", body).status_code for who in (None, cyd, ben, ada)] == [401, 403, 403, 201]
    assert client.post("/metrics/custom", body, headers={"X-API-Key": text}).status_code == 201
    assert client.post("/metrics/custom", body, headers={"X-API-Key": reads}).status_code == 403
    assert client.get("/metrics/names", headers={"X-API-Key": reads}).status_code == 200


def test_series_are_refused_beyond_their_number(api: Api, ada: User, settings: Any) -> None:
    settings.METRICS_MAX_SERIES = 2
    client = api(ada)
    answers = [client.post("/metrics/custom", {"name": "x", "value": 1, "tags": {"n": n}}) for n in (1, 2, 3, 1)]

    assert [answer.status_code for answer in answers] == [201, 201, 409, 201]
    assert answers[2].json()["errors"][0]["code"] == "too_many_series"


def _fill(api: Api, ada: User) -> datetime:
    """Store 1 to 60, one a minute, under two tags; return the hour they are in."""
    hour = _hour()
    samples = [
        {"name": "x", "value": n + 1 + bias, "tags": {"host": host}, "at": (hour + timedelta(minutes=n)).isoformat()}
        for host, bias in (("a", 0), ("b", 1000))
        for n in range(60)
    ]
    assert api(ada).post("/metrics/batch", {"samples": samples}).status_code == 201
    rollups.catch_up()
    return hour


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [("avg", 30.5), ("min", 1), ("max", 60), ("sum", 1830), ("count", 60), ("p50", 30), ("p95", 57), ("p99", 59)],
)
@pytest.mark.parametrize("bucket", ["1h", "2h", "1d", "hour"])
def test_each_aggregate_over_buckets_of_any_width(
    api: Api, ada: User, cyd: User, aggregate: str, value: float, bucket: str
) -> None:
    hour = _fill(api, ada)
    query = {"name": "x", "tag.host": "a", "aggregate": aggregate, "bucket": bucket, "from": hour.isoformat()}

    answer = api(cyd).get("/metrics/series", query).json()

    (line,) = answer["series"]
    assert line["tags"] == {"host": "a"}
    (point,) = line["points"]
    assert point[1] == pytest.approx(value, rel=0.011)
    assert (answer["name"], answer["aggregate"], answer["left_out"]) == ("x", aggregate, 0)


def test_buckets_stand_at_their_start_and_empty_ones_are_absent(api: Api, ada: User) -> None:
    hour = _fill(api, ada)
    query = {"name": "x", "aggregate": "sum", "bucket": "15m", "from": (hour - timedelta(hours=5)).isoformat()}

    lines = api(ada).get("/metrics/series", query).json()["series"]

    by_host = {line["tags"]["host"]: line["points"] for line in lines}
    starts = [datetime.fromisoformat(at) for at, _ in by_host["a"]]
    assert starts == [hour + timedelta(minutes=15 * n) for n in range(4)]
    assert [value for _, value in by_host["a"]] == [120, 345, 570, 795]
    assert set(by_host) == {"a", "b"}


def test_a_question_that_can_not_be_answered_names_its_parameter(api: Api, cyd: User) -> None:
    client = api(cyd)
    for query, attrs in [
        ({}, ["name"]),
        ({"name": "x", "aggregate": "median"}, ["aggregate"]),
        ({"name": "x", "bucket": "7s"}, ["bucket"]),
        ({"name": "x", "bucket": "1m", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, ["bucket"]),
        ({"name": "x", "from": "later"}, ["from"]),
        ({"name": "x", "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, ["from"]),
        ({"name": "x", "tags": "a"}, ["tags"]),
        ({"name": "x\x00"}, ["name"]),
        ({"name": "x", "tag.a": "\x00"}, ["name"]),
    ]:
        answer = client.get("/metrics/series", query)
        assert (answer.status_code, _attrs(answer)) == (400, attrs), query


def test_names_are_listed_with_their_tags(api: Api, ada: User, cyd: User) -> None:
    _fill(api, ada)
    api(ada).post("/metrics/custom", {"name": "y", "value": 1})

    first = api(cyd).get("/metrics/names", {"page_size": 1}).json()
    second = api(cyd).get(first["next"]).json()

    (x,) = first["results"]
    assert (x["name"], x["series"], x["tags"]) == ("x", 2, {"host": ["a", "b"]})
    assert [row["name"] for row in second["results"]] == ["y"]
    assert [row["name"] for row in api(cyd).get("/metrics/names", {"search": "Y"}).json()["results"]] == ["y"]


def test_a_series_about_something_private_is_there_for_those_who_may_see_it(api: Api, ben: User, cyd: User) -> None:
    mine = definitions.create_definition(by=ben, slug="mine", name="Mine", kind="script", visibility="private")
    identity = Identity("step.duration", {"definition": "mine"}, definition_id=mine.pk)
    series.store([Measured(identity, _hour(), 1.0)])
    rollups.catch_up()

    def seen(who: User) -> tuple[int, int]:
        names = api(who).get("/metrics/names").json()["results"]
        return len(names), len(api(who).get("/metrics/series", {"name": "step.duration"}).json()["series"])

    assert (seen(ben), seen(cyd)) == ((1, 1), (0, 0))


def test_samples_of_different_offsets_are_the_same_moment(api: Api, ada: User) -> None:
    moment = _hour()
    for zone in ("+00:00", "+02:00", "-05:30"):
        shifted = moment.astimezone(datetime.fromisoformat(f"2026-01-01T00:00:00{zone}").tzinfo)
        api(ada).post("/metrics/custom", {"name": "x", "value": 1, "at": shifted.isoformat()})

    assert {sample.at for sample in Sample.objects.all()} == {moment.astimezone(UTC)}
