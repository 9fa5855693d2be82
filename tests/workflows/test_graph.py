"""The graph document: what can be wrong with it, and the plan that comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.graph import Facts, Graph, Part, check, compile_plan
from workflows.graph.document import seconds

TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FACTS = Facts({"echo": Part("llm"), "echo@1": Part("llm"), "typed": Part("script", TYPED)}, frozenset({"warehouse"}))


def step(key: str = "a", **fields: Any) -> dict[str, Any]:
    return {"key": key, "definition": "echo", **fields}


def problems_of(*steps: dict[str, Any], **root: Any) -> list[tuple[str, str]]:
    return [(p.path, p.code) for p in check({"steps": list(steps), **root}, FACTS)[1]]


def test_a_sound_graph_has_no_problems() -> None:
    graph = {
        "inputs": {"type": "object", "properties": {"region": {"type": "string"}}, "required": ["region"]},
        "steps": [
            step("extract", connection="warehouse", inputs={"region": "${{ inputs.region }}"}),
            step(
                "score",
                for_each="${{ steps.extract.output.rows }}",
                max_parallel=8,
                inputs={"row": "${{ item }}"},
                retry={"max_attempts": 4, "delay": "2s"},
                timeout={"attempt": "5m"},
            ),
            step("report", when="${{ size(steps.score.output) > 1 }}"),
            {"key": "check", "definition": "typed", "inputs": {"n": "${{ size(steps.score.output) }}"}},
        ],
        "output": "${{ steps.report.output }}",
    }

    assert check(graph, FACTS)[1] == []


@pytest.mark.parametrize(
    ("steps", "root", "expected"),
    [
        ([], {}, [("steps", "invalid")]),
        ([step("A")], {}, [("steps.0.key", "invalid")]),
        ([step(keys="x")], {}, [("steps.0.keys", "unknown_field")]),
        ([{"key": "a"}], {}, [("steps.0.definition", "required")]),
        ([step(needs="b")], {}, [("steps.0.needs", "invalid")]),
        ([step(needs=["b"])], {}, [("steps.0.needs.0", "unknown_step")]),
        ([step(needs=["a"])], {}, [("steps.0.needs.0", "cycle")]),
        ([step("a"), step("a")], {}, [("steps.1.key", "duplicate_key")]),
        ([step("a", needs=["b"]), step("b", needs=["c"]), step("c", needs=["a"])], {}, [("steps", "cycle")]),
        ([step(inputs={"x": "${{ steps.zz.output }}"})], {}, [("steps.0.inputs", "unknown_step")]),
        ([step(inputs={"x": "${{ steps.a.output }}"})], {}, [("steps.0.inputs", "cycle")]),
        ([step(inputs={"x": "${{ 1 + }}"})], {}, [("steps.0.inputs.x", "invalid_expression")]),
        ([step(inputs={"x": "${{ item }}"})], {}, [("steps.0.inputs", "invalid_expression")]),
        ([step(inputs="text")], {}, [("steps.0.inputs", "invalid")]),
        ([step(definition="nope")], {}, [("steps.0.definition", "unknown_definition")]),
        ([step(definition="no pe")], {}, [("steps.0.definition", "invalid")]),
        ([step(connection="nope")], {}, [("steps.0.connection", "unknown_connection")]),
        ([step(retry={"delay": "soon"})], {}, [("steps.0.retry.delay", "invalid")]),
        ([step(retry={"max_attempts": "3"})], {}, [("steps.0.retry.max_attempts", "invalid")]),
        ([step(max_parallel=2)], {}, [("steps.0", "invalid")]),
        ([step(for_each="three")], {}, [("steps.0.for_each", "invalid")]),
        ([step(timeout={"total": "soon"})], {}, [("steps.0.timeout.total", "invalid")]),
        ([step(timeout={"whole": "1h"})], {}, [("steps.0.timeout.whole", "unknown_field")]),
        ([step(fail_fast=True)], {}, [("steps.0", "invalid")]),
        ([step(for_each=[1], allow_failed=-1)], {}, [("steps.0.allow_failed", "invalid")]),
        ([step(for_each=[1], allow_failed="110%")], {}, [("steps.0.allow_failed", "invalid")]),
        ([step(inputs={"x": "${{ failures }}"})], {}, [("steps.0.inputs", "invalid_expression")]),
        ([step("on_failure")], {"on_failure": {"definition": "echo"}}, [("steps.0.key", "duplicate_key")]),
        ([step()], {"on_failure": {"definition": "gone"}}, [("on_failure.definition", "unknown_definition")]),
        ([step()], {"on_failure": {"definition": "echo", "when": True}}, [("on_failure.when", "unknown_field")]),
        (
            [step()],
            {"on_failure": {"definition": "echo", "inputs": {"x": "${{ steps.z.output }}"}}},
            [("on_failure.inputs", "unknown_step")],
        ),
        (
            [step()],
            {"on_failure": {"definition": "echo", "connection": "no"}},
            [("on_failure.connection", "unknown_connection")],
        ),
        ([step()], {"concurrency": {"limit": 0}}, [("concurrency.limit", "invalid")]),
        ([step()], {"concurrency": {"key": "${{ run.id }}"}}, [("concurrency.key", "invalid_expression")]),
        ([step()], {"concurrency": {"policy": "hope"}}, [("concurrency.policy", "invalid")]),
        ([step()], {"timeout": 5}, [("timeout", "invalid")]),
        ([step(approval={})], {}, [("steps.0.approval", "invalid")]),
        ([{"key": "a", "approval": {}, "inputs": {}}], {}, [("steps.0.inputs", "invalid")]),
        ([{"key": "a", "approval": {"required": 0}}], {}, [("steps.0.approval.required", "invalid")]),
        ([{"key": "a", "approval": {"users": ["x@example.com"]}}], {}, [("steps.0.approval.users.0", "unknown_user")]),
        ([{"key": "a", "approval": {"form": {"type": "array"}}}], {}, [("steps.0.approval.form.type", "invalid")]),
        (
            [{"key": "a", "approval": {"message": "${{ steps.z.output }}"}}],
            {},
            [("steps.0.approval.message", "unknown_step")],
        ),
        ([{"key": "a", "approval": {"roles": ["Boss"]}}], {}, [("steps.0.approval.roles.0", "invalid")]),
        ([step(workflow="x")], {}, [("steps.0.workflow", "unknown_workflow")]),
        ([{"key": "a", "workflow": "x y"}], {}, [("steps.0.workflow", "invalid")]),
        ([{"key": "a", "workflow": "x", "retry": {}}], {}, [("steps.0.retry", "invalid")]),
        ([step()], {"on_failure": {}}, [("on_failure.definition", "required")]),
        ([step()], {"inputs": {"type": "nonsense"}}, [("inputs.type", "invalid_schema")]),
        ([step()], {"inputs": {"type": "array"}}, [("inputs.type", "invalid")]),
        ([step()], {"inputs": {"$ref": "https://example.com/x"}}, [("inputs", "remote_reference")]),
        ([step()], {"output": "${{ steps.b.output }}"}, [("output", "unknown_step")]),
        ([{"key": "a", "definition": "typed"}], {}, [("steps.0.inputs.n", "required")]),
        ([{"key": "a", "definition": "typed", "inputs": {"n": "x"}}], {}, [("steps.0.inputs.n", "invalid")]),
        (
            [{"key": "a", "definition": "typed", "inputs": {"n": 1, "m": 2}}],
            {},
            [("steps.0.inputs.m", "unknown_input")],
        ),
    ],
)
def test_each_fault_is_named_with_its_path(
    steps: list[dict[str, Any]], root: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert expected[0] in problems_of(*steps, **root)


def test_all_faults_are_reported_at_once() -> None:
    found = problems_of(step("a", definition="nope"), step("b", connection="nope", needs=["zz"]), output="${{ 1 + }}")

    assert {path for path, _ in found} == {"steps.0.definition", "steps.1.connection", "steps.1.needs.0", "output"}


@pytest.mark.parametrize("document", [None, 1, "text", [], {"steps": {}}, {"steps": [1]}, {"steps": None}])
def test_what_is_not_a_graph_is_refused_without_a_crash(document: Any) -> None:
    assert check(document, FACTS)[1]


def test_a_problem_never_repeats_the_value_that_was_given() -> None:
    found = check({"steps": [step(retry={"delay": "hunter2-secret"})]}, FACTS)[1]

    assert "hunter2" not in str(found)


def test_a_cycle_names_the_steps_along_it() -> None:
    graph = {"steps": [step("a", needs=["c"]), step("b", needs=["a"]), step("c", needs=["b"])]}

    assert "a → b → c → a" in check(graph, FACTS)[1][0].detail or "→" in check(graph, FACTS)[1][0].detail


def plan_of(*steps: dict[str, Any], **root: Any) -> Any:
    return compile_plan(Graph.model_validate({"steps": list(steps), **root}))


def test_a_reference_is_an_edge_unless_the_step_runs_before_anyway() -> None:
    plan = plan_of(
        step("a"),
        step("b", inputs={"x": "${{ steps.a.output }}"}),
        step("c", needs=["b"], inputs={"x": "${{ steps.a.output }}"}),
    )

    assert [one.deps for one in plan.steps] == [(), (0,), (1,)]
    assert [one.reads for one in plan.steps] == [(), (0,), (0,)]
    assert [one.succ for one in plan.steps] == [(1,), (2,), ()]


def test_a_step_followed_only_by_clean_up_is_a_sink() -> None:
    plan = plan_of(step("work"), step("clean", needs=["work"], join="all_done"), step("handler", needs=["clean"]))

    assert [one.sink for one in plan.steps] == [True, False, True]


def test_one_reference_as_output_is_that_steps_output() -> None:
    plan = plan_of(step("a"), step("b", needs=["a"]), output="${{ steps.a.output }}")

    assert (plan.output_n, len(plan.steps)) == (0, 2)


def test_anything_more_as_output_is_a_last_step_of_its_own() -> None:
    plan = plan_of(
        step("a"), step("b", needs=["a"]), output={"both": ["${{ steps.a.output }}", "${{ steps.b.output }}"]}
    )

    assert plan.output_n == 2
    assert (plan.steps[2].key, plan.steps[2].deps, plan.steps[2].join_rule) == ("_output", (0, 1), "all_done")
    assert 2 in plan.steps[0].succ


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5s", "5y", "m", 5, None, "99999999999s", "1h30m"])
def test_other_durations_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)
