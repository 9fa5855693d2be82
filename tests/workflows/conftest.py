"""A worker in the test's own thread, and builders of definitions, workflows and runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from workflows import executors, services
from workflows.engine import plans
from workflows.engine.worker import Worker
from workflows.models import Event, Run, StepRun

QUEUES = ["llm", "script", "notebook", "sql", "control"]
_numbers = itertools.count(1)


class Bells(executors.Executor):
    """An executor of our own that notes who was rung for: the tests ring the worker by hand."""

    name = "celery"

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, queues: Any) -> None:
        """Note the queues."""
        self.rung += queues


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> Bells:
    """Put bells of our own in the table of executors."""
    made = Bells()
    monkeypatch.setitem(executors.EXECUTORS._loaded, "celery", made)
    return made


@pytest.fixture(autouse=True)
def _forget_plans() -> Iterator[None]:
    """A rolled back test's numbers come again, so what a worker knows of them must go."""
    yield
    for cached in (plans.prepare, plans.plan_of_version, plans.load):
        cached.cache_clear()


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that does what it is told, in this thread."""
    made = Worker(list(QUEUES), lease=30.0)
    yield made
    made.stop()


@pytest.fixture
def echo(ben: User) -> Definition:
    """A prompt that is rendered and sent nowhere."""
    return definitions.create_definition(
        by=ben,
        slug="echo",
        name="Echo",
        kind="llm",
    )


@pytest.fixture
def prompt(ben: User, echo: Definition) -> Definition:
    """The same with a version to run; any inputs go in."""
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "Say hello"}]}
    definitions.save_version(by=ben, definition=echo, config=config, input_schema={"type": "object"})
    echo.refresh_from_db()
    return echo


def make_script(by: User, code: str, **config: Any) -> Definition:
    """Return a script with one version."""
    definition = definitions.create_definition(by=by, slug=f"script-{next(_numbers)}", name="Script", kind="script")
    definitions.save_version(by=by, definition=definition, config={"language": "python", "code": code, **config})
    definition.refresh_from_db()
    return definition


@pytest.fixture
def start(ben: User, prompt: Definition) -> Callable[..., Run]:
    """Return a function that starts a run of a graph whose steps are `echo` unless they say otherwise."""

    def begin(*steps: dict[str, Any], inputs: dict[str, Any] | None = None, **root: Any) -> Run:
        others = ("approval", "workflow")
        written = [step if any(name in step for name in others) else {"definition": "echo", **step} for step in steps]
        graph = {"steps": written, **root}
        workflow = services.create_workflow(by=ben, slug=f"flow-{next(_numbers)}", name="Flow", graph=graph)
        return services.start_run(workflow=workflow, inputs=inputs or {}, by=ben)

    return begin


def states(run: Run) -> dict[str, str]:
    """Return the state of each step and item by its name."""
    return {str(step): step.state for step in StepRun.objects.filter(run=run).order_by("n")}


def kinds_of_events(run: Run) -> list[str]:
    """Return what happened, in order."""
    return list(Event.objects.filter(run=run).order_by("number").values_list("kind", flat=True))
