"""From a graph to what the engine needs: positions, edges, joins, sinks, compiled expressions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workflows.expressions import Template
from workflows.graph.document import Approval, Concurrency, Graph, Handler, Retry, Step, Timeout
from workflows.states import APPROVAL_KIND, CHILD_KIND, CONTROL_KEY, CONTROL_KIND, HANDLER_KEY, JoinRule

_NO_CLOCKS = Timeout()


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step, ready to be written as a row and carried out. Positions are indexes into the plan's steps."""

    n: int
    key: str
    definition: str | None
    deps: tuple[int, ...]
    succ: tuple[int, ...]
    reads: tuple[int, ...]
    sink: bool
    join_rule: str
    inputs: Template
    when: Template | None = None
    for_each: Template | None = None
    max_parallel: int | None = None
    fail_fast: bool = False
    allow_failed: str | None = None
    retry: Retry | None = None
    timeout: Timeout = _NO_CLOCKS
    queue: str | None = None
    connection: str | None = None
    on_lost: str | None = None
    workflow: str | None = None
    approval: Approval | None = None
    message: Template | None = None

    @property
    def own_kind(self) -> str:
        """Return the kind of a step that no definition's kind carries out, but the engine itself."""
        if self.workflow is not None:
            return CHILD_KIND
        return APPROVAL_KIND if self.approval is not None else CONTROL_KIND


@dataclass(frozen=True, slots=True)
class PlannedLimit:
    """How many runs may go on at once for one value of the key, and what becomes of one too many."""

    size: int
    key: Template
    policy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a run in their order, where its output comes from (None: it has none), its clock and its limit."""

    steps: tuple[PlannedStep, ...]
    output_n: int | None
    timeout: float | None = None
    limit: PlannedLimit | None = None

    def position(self, key: str) -> int:
        """Return the position of the step called `key`."""
        return next(step.n for step in self.steps if step.key == key)


def reads_of(step: Step) -> frozenset[str]:
    """Return the keys of the steps that a step's expressions read."""
    message = step.approval.message if step.approval is not None else ""
    return Template([step.inputs, step.when, step.for_each, message]).steps - {step.key}


def ancestors(parents: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return for each step all that run before it. `parents` must have no cycle."""
    found: dict[str, frozenset[str]] = {}
    for start in parents:
        stack = [start]
        while stack:
            key = stack[-1]
            missing = [parent for parent in parents[key] if parent not in found]
            if missing:
                stack += missing
                continue
            found[key] = frozenset(parents[key]).union(*(found[parent] for parent in parents[key]))
            stack.pop()
    return found


def find_cycle(parents: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the keys along one cycle, the first again at the end; nothing if there is none."""
    done: set[str] = set()
    for start in parents:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            key, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(key)
                done.add(key)
            elif key in on_path:
                return [*path[path.index(key) :], key][::-1]
            elif key not in done:
                path.append(key)
                on_path.add(key)
                stack.append((key, True))
                stack += [(parent, False) for parent in sorted(parents[key])]
    return []


def edges(graph: Graph) -> dict[str, frozenset[str]]:
    """Return the direct parents of each step.

    `needs` are edges. A reference implies one, unless the step that is read runs before one of the `needs` anyway:
    then another edge would change what the join counts.
    """
    keys = {step.key for step in graph.steps}
    needs = {step.key: frozenset(step.needs) & keys for step in graph.steps}
    full = {step.key: (needs[step.key] | reads_of(step)) & keys - {step.key} for step in graph.steps}
    if find_cycle(full):
        return full
    before = ancestors(full)
    return {
        key: needs[key] | {read for read in full[key] - needs[key] if not any(read in before[n] for n in needs[key])}
        for key in full
    }


def _output(graph: Graph, positions: Mapping[str, int], sinks: list[int]) -> tuple[int | None, Template | None]:
    """Return the position of the step whose output is the run's, or the template of a step of its own."""
    if graph.output is None:
        return (sinks[0] if len(sinks) == 1 else None), None
    template = Template(graph.output)
    path = template.expressions[0].path if template.is_whole else ()
    if len(path) == 3 and (path[0], path[2]) == ("steps", "output"):
        return positions[str(path[1])], None
    return len(positions), template


def compile_plan(graph: Graph) -> Plan:
    """Return the plan of a graph without problems."""
    positions = {step.key: n for n, step in enumerate(graph.steps)}
    parents = edges(graph)
    children: dict[str, list[str]] = {key: [] for key in positions}
    for key in positions:
        for parent in sorted(parents[key], key=positions.__getitem__):
            children[parent].append(key)
    by_key = {step.key: step for step in graph.steps}
    is_sink = {key: all(by_key[child].join == "all_done" for child in children[key]) for key in positions}
    last = [positions[key] for key in positions if not children[key]]
    output_n, output = _output(graph, positions, last)
    planned = [
        _planned(step, parents[step.key], [positions[child] for child in children[step.key]], positions)
        for step in graph.steps
    ]
    planned = [replace(step, sink=is_sink[step.key]) for step in planned]
    if output is not None:
        planned = _with(planned, _output_step(output, positions))
    if graph.on_failure is not None:
        planned = _with(planned, _handler_step(graph.on_failure, planned, positions))
    return Plan(tuple(planned), output_n, graph.timeout, _limit(graph.concurrency))


def _limit(written: Concurrency | None) -> PlannedLimit | None:
    return PlannedLimit(written.limit, Template(written.key), written.policy) if written is not None else None


def _planned(step: Step, parents: frozenset[str], children: list[int], positions: Mapping[str, int]) -> PlannedStep:
    return PlannedStep(
        n=positions[step.key],
        key=step.key,
        definition=step.definition,
        deps=tuple(sorted(positions[parent] for parent in parents)),
        succ=tuple(children),
        reads=tuple(sorted(positions[key] for key in reads_of(step))),
        sink=False,
        join_rule=step.join,
        inputs=Template(step.inputs),
        when=Template(step.when) if step.when is not None else None,
        for_each=Template(step.for_each) if step.for_each is not None else None,
        max_parallel=step.max_parallel,
        fail_fast=bool(step.fail_fast),
        allow_failed=step.allow_failed,
        retry=step.retry,
        timeout=step.timeout,
        queue=step.queue,
        connection=step.connection,
        on_lost=step.on_lost,
        workflow=step.workflow,
        approval=step.approval,
        message=Template(step.approval.message) if step.approval is not None else None,
    )


def _with(planned: list[PlannedStep], step: PlannedStep) -> list[PlannedStep]:
    """Return the steps with one more at the end, as a successor of those that it depends on."""
    before = [replace(one, succ=(*one.succ, step.n)) if one.n in step.deps else one for one in planned]
    return [*before, step]


def _output_step(output: Template, positions: Mapping[str, int]) -> PlannedStep:
    reads = tuple(sorted(positions[key] for key in output.steps))
    return PlannedStep(
        n=len(positions),
        key=CONTROL_KEY,
        definition=None,
        deps=reads,
        succ=(),
        reads=reads,
        sink=True,
        join_rule="all_done",
        inputs=output,
    )


def _handler_step(handler: Handler, planned: list[PlannedStep], positions: Mapping[str, int]) -> PlannedStep:
    """Return the step that waits for all sinks. It is none itself: it changes nothing of how the run ends."""
    inputs = Template(handler.inputs)
    return PlannedStep(
        n=len(planned),
        key=HANDLER_KEY,
        definition=handler.definition,
        deps=tuple(step.n for step in planned if step.sink),
        succ=(),
        reads=tuple(sorted(positions[key] for key in inputs.steps)),
        sink=False,
        join_rule=JoinRule.HANDLER.value,
        inputs=inputs,
        retry=handler.retry,
        timeout=handler.timeout,
        queue=handler.queue,
        connection=handler.connection,
    )


def one_step(definition: str) -> dict[str, Any]:
    """Return the graph of a run of one definition, named by a reference, that is given the run's inputs."""
    return {"steps": [{"key": "run", "definition": definition, "inputs": "${{ inputs }}"}]}
