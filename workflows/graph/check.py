"""Everything that can be wrong with a graph, found at once, each with its path. Pure: facts come in as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_site.core.errors import Problem
from mcp_site.core.ids import Reference
from mcp_site.core.schemas import problems_of_schema, problems_of_value
from workflows.expressions import Template
from workflows.graph.document import NOTHING_TO_DO, WORK, Approval, Concurrency, Graph, Handler, Step, parse
from workflows.graph.plan import ancestors, edges, find_cycle, reads_of
from workflows.states import HANDLER_KEY

# Seconds between two reminders, at the least.
MIN_REMIND = 1.0
# What only a step that carries out a definition may say.
OF_DEFINITIONS = frozenset({"connection", "retry", "queue", "on_lost"})


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a definition that a step names: its kind and its version's input schema."""

    kind: str
    input_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What exists, as far as the author may use it: definitions by reference text, connections by slug, e-mails.

    `workflows` are by reference text too.
    """

    definitions: Mapping[str, Part] = field(default_factory=dict)
    connections: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    workflows: Mapping[str, Part] = field(default_factory=dict)


def _objects(document: Any) -> list[dict[str, Any]]:
    steps = document.get("steps") if isinstance(document, dict) else None
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def people(document: Any) -> set[str]:
    """Return the e-mails of those whom approvals of a document name, well formed or not."""
    asked = [step["approval"] for step in _objects(document) if isinstance(step.get("approval"), dict)]
    lists = [one["users"] for one in asked if isinstance(one.get("users"), list)]
    return {email.lower() for emails in lists for email in emails if isinstance(email, str)}


def workflows_called(document: Any) -> set[str]:
    """Return the references to workflows that steps of a document call, well formed or not."""
    return {step["workflow"] for step in _objects(document) if isinstance(step.get("workflow"), str)}


def references(document: Any) -> tuple[set[str], set[str]]:
    """Return the definition references and connection slugs that a document names, well formed or not."""
    found = _objects(document)
    if isinstance(document, dict) and isinstance(document.get("on_failure"), dict):
        found.append(document["on_failure"])
    definitions = {step["definition"] for step in found if isinstance(step.get("definition"), str)}
    connections = {step["connection"] for step in found if isinstance(step.get("connection"), str)}
    return definitions, connections


def check(document: Any, facts: Facts) -> tuple[Graph | None, list[Problem]]:
    """Return the graph, if its shape can be read, and all problems; no problems means it can be saved."""
    graph, problems = parse(document)
    if graph is None:
        return None, problems
    problems = [*_inputs_schema(graph), *_keys(graph)]
    keys = [step.key for step in graph.steps]
    for index, step in enumerate(graph.steps):
        problems += [problem.under(f"steps.{index}") for problem in _step(step, graph, set(keys), facts)]
    output = Template(graph.output)
    problems += [problem.under("output") for problem in _template(output, graph, set(keys), "", mapped=False)]
    if graph.on_failure is not None:
        problems += [problem.under("on_failure") for problem in _handler(graph.on_failure, graph, set(keys), facts)]
    if graph.concurrency is not None:
        problems += [problem.under("concurrency") for problem in _concurrency(graph, graph.concurrency)]
    if len(set(keys)) == len(keys):
        problems += _shape(graph)
    return graph, list(dict.fromkeys(problems))


def _inputs_schema(graph: Graph) -> Iterator[Problem]:
    if graph.inputs is None:
        return
    yield from (problem.under("inputs") for problem in problems_of_schema(graph.inputs))
    if graph.inputs.get("type", "object") != "object":
        yield Problem("inputs.type", "invalid", "a run's inputs are an object")


def _keys(graph: Graph) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, step in enumerate(graph.steps):
        if step.key in seen:
            detail = f"step {seen[step.key]} has the key `{step.key}` already"
            yield Problem(f"steps.{index}.key", "duplicate_key", detail)
        if step.key == HANDLER_KEY and graph.on_failure is not None:
            yield Problem(f"steps.{index}.key", "duplicate_key", "this is the key of the graph's own handler")
        seen.setdefault(step.key, index)


def _step(step: Step, graph: Graph, keys: set[str], facts: Facts) -> Iterator[Problem]:
    for place, needed in enumerate(step.needs):
        if needed not in keys:
            yield Problem(f"needs.{place}", "unknown_step", f"there is no step `{needed}`")
        elif needed == step.key:
            yield Problem(f"needs.{place}", "cycle", "a step can't need itself")
    yield from _does_one_thing(step)
    mapped = step.for_each is not None
    inputs = Template(step.inputs)
    yield from _inputs(step, inputs, graph, keys, mapped=mapped, own=step.key)
    yield from _template(Template(step.when), graph, keys, "when", mapped=False, own=step.key)
    yield from _template(Template(step.for_each), graph, keys, "for_each", mapped=False, own=step.key)
    if isinstance(step.for_each, str) and "${{" not in step.for_each:
        yield Problem("for_each", "invalid", "write an expression that gives a list, or a list")
    yield from _connection(step, facts)
    if step.approval is not None:
        yield from (problem.under("approval") for problem in _approval(step, step.approval, graph, keys, facts))
    yield from _definition(step, inputs, facts)


def _does_one_thing(step: Step) -> Iterator[Problem]:
    given = [name for name in sorted(WORK, reverse=True) if getattr(step, name) is not None]
    if not given:
        yield Problem("definition", "required", NOTHING_TO_DO)
    for name in given[1:]:
        yield Problem(name, "invalid", f"a step has exactly one of {' and '.join(given)}")
    if step.definition is None:
        for name in sorted((OF_DEFINITIONS | ({"inputs"} if step.approval else set())) & step.model_fields_set):
            yield Problem(name, "invalid", "goes with a definition")


def _approval(step: Step, asked: Approval, graph: Graph, keys: set[str], facts: Facts) -> Iterator[Problem]:
    mapped = step.for_each is not None
    yield from _template(Template(asked.message), graph, keys, "message", mapped=mapped, own=step.key)
    if asked.form is not None:
        yield from (problem.under("form") for problem in problems_of_schema(asked.form))
        if asked.form.get("type", "object") != "object":
            yield Problem("form.type", "invalid", "what is filled in is an object")
    for place, email in enumerate(asked.users):
        if email.lower() not in facts.people:
            yield Problem(f"users.{place}", "unknown_user", "there is no active person with this e-mail address")
    if asked.users and not asked.roles and asked.required > len({email.lower() for email in asked.users}):
        yield Problem("required", "invalid", "more people must approve than may decide")
    if asked.remind is not None and asked.remind < MIN_REMIND:
        yield Problem("remind", "invalid", f"at least {MIN_REMIND:g} seconds")


def _concurrency(graph: Graph, written: Concurrency) -> Iterator[Problem]:
    key = Template(written.key)
    if key.roots - {"inputs"}:
        yield Problem("key", "invalid_expression", "when a run starts, only its `inputs` are known")
    else:
        yield from _template(key, graph, set(), "key", mapped=False)


def _handler(handler: Handler, graph: Graph, keys: set[str], facts: Facts) -> Iterator[Problem]:
    """Say what is wrong with the handler; all steps end before it, so it may read them all, and what failed."""
    inputs = Template(handler.inputs)
    yield from _inputs(handler, inputs, graph, keys, mapped=False, handles=True)
    yield from _connection(handler, facts)
    yield from _definition(handler, inputs, facts)


def _inputs(
    step: Step | Handler,
    inputs: Template,
    graph: Graph,
    keys: set[str],
    *,
    mapped: bool,
    own: str = "",
    handles: bool = False,
) -> Iterator[Problem]:
    yield from _template(inputs, graph, keys, "inputs", mapped=mapped, own=own, handles=handles)
    if isinstance(step.inputs, str) and not inputs.is_whole and not inputs.problems:
        yield Problem("inputs", "invalid", "write an object, or one expression that gives an object")


def _connection(step: Step | Handler, facts: Facts) -> Iterator[Problem]:
    if step.connection is not None and step.connection not in facts.connections:
        detail = f"there is no connection `{step.connection}` that you may use"
        yield Problem("connection", "unknown_connection", detail)


def _definition(step: Step | Handler, inputs: Template, facts: Facts) -> Iterator[Problem]:
    if step.definition is not None:
        yield from _part("definition", step.definition, facts.definitions, step, inputs)
    if isinstance(step, Step) and step.workflow is not None:
        yield from _part("workflow", step.workflow, facts.workflows, step, inputs)


def _part(
    name: str, reference: str, known: Mapping[str, Part], step: Step | Handler, inputs: Template
) -> Iterator[Problem]:
    try:
        Reference.parse(reference)
    except ValueError as exc:
        yield Problem(name, "invalid", str(exc))
        return
    part = known.get(reference)
    if part is None:
        yield Problem(name, f"unknown_{name}", f"there is no version `{reference}` that you may run")
    elif part.input_schema is not None and isinstance(step.inputs, dict):
        yield from _fit(step.inputs, inputs, dict(part.input_schema))


def _fit(given: dict[str, Any], template: Template, schema: dict[str, Any]) -> Iterator[Problem]:
    """Say which inputs can't fit the definition's schema, as far as that is known before the values are."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    for name in schema.get("required", []):
        if name not in given:
            yield Problem(f"inputs.{name}", "required", "the definition requires this input")
    if schema.get("additionalProperties") is False:
        for name in given:
            if name not in known:
                yield Problem(f"inputs.{name}", "unknown_input", "the definition has no such input")
    if not template.is_constant:
        # Values that are text with expressions in it are known only when the step starts.
        constant = {name: value for name, value in given.items() if Template(value).is_constant}
    else:
        constant = given
    loose = {key: value for key, value in schema.items() if key not in ("required", "minProperties")}
    for problem in problems_of_value(loose, constant):
        if problem.path:
            yield problem.under("inputs")


def _template(
    template: Template, graph: Graph, keys: set[str], at: str, *, mapped: bool, own: str = "", handles: bool = False
) -> Iterator[Problem]:
    for path, detail in template.problems:
        yield Problem(".".join(part for part in (at, path) if part), "invalid_expression", detail)
    for key in sorted(template.steps - keys):
        yield Problem(at, "unknown_step", f"there is no step `{key}`")
    if own in template.steps:
        yield Problem(at, "cycle", "a step can't read its own output")
    if not mapped and template.roots & {"item", "index"}:
        detail = "`item` and `index` are known only to the inputs of a step with for_each"
        yield Problem(at, "invalid_expression", detail)
    if not handles and "failures" in template.roots:
        yield Problem(at, "invalid_expression", "`failures` is known only to `on_failure`")
    if graph.inputs is not None and graph.inputs.get("additionalProperties") is False:
        declared = graph.inputs.get("properties")
        for name in sorted(template.inputs - set(declared if isinstance(declared, dict) else ())):
            yield Problem(at, "unknown_input", f"the workflow declares no input `{name}`")


def _shape(graph: Graph) -> Iterator[Problem]:
    parents = edges(graph)
    cycle = find_cycle(parents)
    if cycle:
        yield Problem("steps", "cycle", f"the steps wait for each other: {' → '.join(cycle)}")
        return
    reach = ancestors(parents)
    for index, step in enumerate(graph.steps):
        for key in sorted(reads_of(step)):
            if key in parents and key != step.key and key not in reach[step.key]:
                yield Problem(f"steps.{index}", "not_upstream", f"`{key}` does not run before this step")
