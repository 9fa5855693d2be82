"""Two runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from tests.workflows.conftest import make_script
from tests.workflows.test_engine import finish
from workflows import services
from workflows.diff import Change, changes
from workflows.engine.worker import Worker
from workflows.models import Run, Workflow

Start = Callable[..., Run]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        (1, True, [Change("", "changed", 1, True)]),
        ({"a": 1, "b": None}, {"b": None, "c": 2}, [Change("a", "removed", 1, None), Change("c", "added", None, 2)]),
        ([1, 2, 3], [1, 5], [Change("1", "changed", 2, 5), Change("2", "removed", 3, None)]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, [Change("a.b.0.c", "changed", 1, 2)]),
        (None, {}, [Change("", "changed", None, {})]),
    ],
)
def test_values_are_compared_by_path(before: Any, after: Any, expected: list[Change]) -> None:
    assert changes(before, after) == expected


def test_no_more_changes_than_the_limit() -> None:
    assert len(changes(list(range(1000)), [-1] * 1000, limit=7)) == 7


@pytest.mark.django_db(transaction=True)
class TestRuns:
    """Runs on a real database."""

    @pytest.fixture
    def pair(self, ben: User, start: Start, worker: Worker) -> tuple[Run, Run]:
        """A run that failed, and one that went on from there."""
        code = "def main(x='', y=None):\n    if x == 'bad':\n        raise ValueError('bad')\n    return {'x': x}\n"
        slug = make_script(ben, code).slug
        run = start(
            {"key": "a", "definition": slug, "inputs": {"x": "one"}},
            {"key": "b", "definition": slug, "inputs": {"x": "${{ inputs.x }}"}, "needs": ["a"]},
            {"key": "m", "definition": slug, "for_each": [1, 2], "inputs": {"x": "${{ inputs.x + string(item) }}"}},
            inputs={"x": "bad"},
            output="${{ steps.m.output }}",
        )
        finish(worker, run)
        again = services.rerun_run(run=run, by=ben, start="failed", inputs={"x": "good"})
        return run, finish(worker, again)

    def test_it_says_what_differs(self, pair: tuple[Run, Run]) -> None:
        found = services.compare_runs(*pair)

        assert found.inputs == [Change("x", "changed", "bad", "good")]
        steps = {
            one.key: (*[side.state if side else None for side in one.sides], one.same_output) for one in found.steps
        }
        assert steps == {
            "a": ("succeeded", "succeeded", True),
            "b": ("failed", "succeeded", None),
            "m": ("succeeded", "succeeded", False),
        }
        assert found.output == [
            Change("0.x", "changed", "bad1", "good1"),
            Change("1.x", "changed", "bad2", "good2"),
        ]

    def test_over_http_and_on_the_page(
        self, pair: tuple[Run, Run], ben: User, dov: User, api: Any, browser: Any, start: Start
    ) -> None:
        first, second = pair
        url = f"/api/v1/runs/{first.uid}/compare/{second.uid}"
        body = api(ben).get(url).json()
        assert [run["number"] for run in body["runs"]] == [first.pk, second.pk]
        assert body["steps"][1]["sides"][0]["state"] == "failed"
        assert body["inputs"] == [{"path": "x", "what": "changed", "before": "bad", "after": "good"}]
        assert api(ben).get(f"{url}?deep=1").status_code == 400
        page = browser(ben).get(f"/runs/{first.uid}/compare/{second.uid}/").content.decode()
        assert "good1" in page
        assert "compare" in browser(ben).get(f"/runs/{second.uid}/").content.decode()
        hidden = start({"key": "a"})
        Workflow.objects.filter(pk=hidden.workflow_id).update(visibility="private")
        assert api(dov).get(f"/api/v1/runs/{first.uid}/compare/{hidden.uid}").status_code == 404
