"""What the pages have to show: a definition, a workflow, runs; and the silence in which a worker is told by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from workflows import executors, services
from workflows.engine import plans
from workflows.engine.worker import Worker
from workflows.models import Run, Workflow

QUEUES = ("control", "llm", "script", "notebook", "sql")
SCRIPT = "<script>alert(1)</script>"


class Silent(executors.Executor):
    """An executor whose bell nobody hears: the tests carry out the work by hand."""

    name = "celery"

    def ring(self, queues: Any) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def _silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(executors.EXECUTORS._loaded, "celery", Silent())
    yield
    for cached in (plans.prepare, plans.plan_of_version, plans.load):
        cached.cache_clear()


@pytest.fixture
def prompt(ben: User) -> Definition:
    """A prompt that is rendered and sent nowhere."""
    made = definitions.create_definition(by=ben, slug="echo", name="Echo", kind="llm")
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "Say hello"}]}
    definitions.save_version(by=ben, definition=made, config=config, input_schema={"type": "object"})
    made.refresh_from_db()
    return made


@pytest.fixture
def make_workflow(ben: User, prompt: Definition) -> Callable[..., Workflow]:
    """Return a function that makes a workflow of two echoes in a row, or of the given steps."""

    def make(slug: str, *steps: dict[str, Any], name: str = "Flow", by: User = ben, **more: Any) -> Workflow:
        shown = steps or ({"key": "first"}, {"key": "second", "needs": ["first"]})
        graph = {"steps": [{"definition": "echo", **step} for step in shown], **more.pop("root", {})}
        return services.create_workflow(by=by, slug=slug, name=name, graph=graph, **more)

    return make


@pytest.fixture
def workflow(make_workflow: Callable[..., Workflow]) -> Workflow:
    """Two echoes in a row."""
    return make_workflow("flow")


def start(workflow: Workflow, by: User) -> Run:
    """Start a run without inputs."""
    return services.start_run(workflow=workflow, inputs={}, by=by)


def work() -> None:
    """Carry out everything that is ready."""
    worker = Worker(list(QUEUES), lease=30.0)
    while sum(worker.work(queue) for queue in QUEUES):
        pass
