"""What the panel measures of itself: each run once, and what a scraper reads of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from accounts.models import User
from mcp_site.core import clock
from monitoring import capture, rollups, scrape
from monitoring.models import Counter, MeasuredRun, Sample
from tests.workflows.conftest import QUEUES, make_script
from workflows import services
from workflows.engine.worker import Worker
from workflows.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
Start = Callable[..., Run]


def work(worker: Worker) -> None:
    """Carry out everything that is ready."""
    while sum(worker.work(queue) for queue in QUEUES):
        pass


def _samples(name: str) -> list[tuple[dict[str, str], float]]:
    found = Sample.objects.filter(series__name=name).select_related("series").order_by("at")
    return [(sample.series.tags, sample.value) for sample in found]


def test_a_finished_run_is_measured_once(start: Start, worker: Worker) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})
    capture.measure_runs()
    assert not Sample.objects.exists()
    work(worker)
    run.refresh_from_db()

    for _ in range(3):
        capture.measure_runs()

    assert run.workflow is not None
    flow = {"workflow": run.workflow.slug}
    ((tags, seconds),) = _samples("run.duration_seconds")
    assert tags == {**flow, "state": "succeeded"}
    assert seconds == pytest.approx(run.duration.total_seconds() if run.duration else -1)
    assert _samples("run.failed") == [(flow, 0.0)]
    assert [tags for tags, _ in _samples("step.duration_seconds")] == [{"definition": "echo", "version": "1"}] * 2
    assert [value for _, value in _samples("step.failed")] == [0.0, 0.0]
    assert Counter.objects.get(name="mcp_runs_total").value == 1
    assert Counter.objects.get(name="mcp_attempts_total", labels={"kind": "llm", "outcome": "succeeded"}).value == 2
    assert MeasuredRun.objects.count() == 1


def test_failures_and_cancels_are_told_apart(ben: User, start: Start, worker: Worker) -> None:
    definition = make_script(ben, "def main():\n    raise ValueError(3)\n")
    failing = start({"key": "a", "definition": definition.slug})
    cancelled = start({"key": "a"})
    services.cancel_run(run=cancelled, by=ben)
    work(worker)

    capture.measure_runs()

    assert _samples("run.failed") == [({"workflow": failing.workflow.slug if failing.workflow else ""}, 1.0)]
    assert _samples("panel.run.failed") == [({}, 1.0)]
    assert _samples("step.failed") == [({"definition": definition.slug, "version": "1"}, 1.0)]
    states = Counter.objects.filter(name="mcp_runs_total").values_list("labels__state", "value")
    assert dict(states) == {"failed": 1, "cancelled": 1}


def test_more_runs_than_one_turn_takes(start: Start, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "RUNS", 2)
    for _ in range(5):
        start({"key": "a"})
    work(worker)

    assert [capture.measure_runs() for _ in range(4)] == [0, 0, None, None]
    assert len(_samples("run.failed")) == 5


def test_a_run_that_comes_late_is_measured_too(start: Start, worker: Worker) -> None:
    for _ in range(2):
        start({"key": "a"})
    work(worker)
    first, second = Run.objects.order_by("finished_at")
    # As if the later one had been seen first.
    MeasuredRun.objects.create(run_id=second.pk, finished_at=second.finished_at)

    capture.measure_runs()

    assert set(MeasuredRun.objects.values_list("run_id", flat=True)) == {first.pk, second.pk}


def test_who_may_not_see_the_workflow_does_not_see_its_numbers(
    api: Api, ben: User, cyd: User, start: Start, worker: Worker
) -> None:
    run = start({"key": "a"})
    assert run.workflow is not None
    services.update_workflow(by=ben, workflow=run.workflow, visibility="private")
    work(worker)
    capture.measure_runs()
    rollups.catch_up()

    def seen(who: User, name: str) -> int:
        return len(api(who).get("/metrics/series", {"name": name}).json()["series"])

    assert [seen(who, "run.failed") for who in (ben, cyd)] == [1, 0]
    assert [seen(who, "panel.run.failed") for who in (ben, cyd)] == [1, 1]


def test_the_queue_is_measured_also_when_it_is_empty_again(start: Start, worker: Worker) -> None:
    start({"key": "a"}, {"key": "b"})
    capture.measure_queue()
    work(worker)
    capture.measure_queue()

    by_tags: dict[str, list[float]] = {}
    for tags, value in _samples("queue.depth"):
        by_tags.setdefault(tags.get("queue", ""), []).append(value)
    assert by_tags == {"": [2.0, 0.0], "llm": [2.0, 0.0]}
    assert [value for _, value in _samples("run.unfinished")] == [1.0, 0.0]


def _families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_exposition_keeps_the_rules_of_prometheus(api: Api, ada: User, start: Start, worker: Worker) -> None:
    for _ in range(3):
        start({"key": "a"})
    work(worker)
    capture.measure_runs()
    start({"key": "b"})

    answer = api(ada).get("/metrics")

    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = _families(answer.content.decode())
    for name, family in families.items():
        assert name.startswith("mcp_")
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples)
        if "duration" in name or "oldest" in name:
            assert name.endswith("_seconds")
        for sample in family.samples:
            assert not {"run", "id", "workflow", "user"} & sample.labels.keys(), "a label of too many values"
    runs = {tuple(s.labels.values()): s.value for s in families["mcp_runs"].samples}
    assert sum(runs.values()) == 1
    assert [(s.labels, s.value) for s in families["mcp_runs"].samples if s.value] == [({"state": "queued"}, 1.0)]
    assert families["mcp_queue_depth"].samples[0].labels == {"queue": "llm"}
    assert sum(s.value for s in families["mcp_runs"].samples) == 1


def test_histograms_are_cumulative_and_whole(start: Start, worker: Worker) -> None:
    run = start({"key": "a"})
    work(worker)
    capture.measure_runs()
    run.refresh_from_db()

    family = _families(scrape.text())["mcp_run_duration_seconds"]

    buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
    assert [sample.labels["le"] for sample in buckets][-1] == "+Inf"
    values = [sample.value for sample in buckets]
    assert values == sorted(values)
    assert values[-1] == next(s.value for s in family.samples if s.name.endswith("_count")) == 1
    total = next(s.value for s in family.samples if s.name.endswith("_sum"))
    assert run.duration is not None
    assert timedelta(seconds=total) == pytest.approx(run.duration, abs=timedelta(milliseconds=1))


def test_labels_are_escaped(db: None) -> None:
    Counter.objects.create(name="mcp_llm_tokens_total", labels={"model": 'a"b\\c\nd', "type": "input"}, value=2)

    (sample,) = _families(scrape.text())["mcp_llm_tokens"].samples

    assert (sample.labels["model"], sample.value) == ('a"b\\c\nd', 2.0)


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_who_may_scrape(api: Api, ada: User, ben: User, settings: Any, base: str) -> None:
    settings.METRICS_TOKEN = "a token for the scraper"
    path = f"{base}/metrics"
    client = api(None)

    assert [api(who).get(path).status_code for who in (None, ben, ada)] == [401, 403, 200]
    assert client.get(path, headers={"Authorization": "Bearer a token for the scraper"}).status_code == 200
    assert client.get(path, headers={"Authorization": "Bearer another"}).status_code == 401
    assert client.get("/metrics/names", headers={"Authorization": "Bearer a token for the scraper"}).status_code == 401
    settings.METRICS_ALLOW = ["10.0.0.0/8", "127.0.0.0/8"]
    assert client.get(path).status_code == 200
    assert client.get(path, REMOTE_ADDR="192.0.2.1").status_code == 401
    settings.METRICS_TOKEN, settings.METRICS_ALLOW = "", []
    assert client.get(path, headers={"Authorization": "Bearer "}).status_code == 401


def test_gauges_never_run_backwards(start: Start) -> None:
    start({"key": "a"})

    (sample,) = _families(scrape.text())["mcp_queue_oldest_seconds"].samples

    assert 0 <= sample.value < 60
    assert clock.now().tzinfo is not None
