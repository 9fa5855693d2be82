"""The pages of workflows and runs, and the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from tests.pages.conftest import SCRIPT, start, work
from workflows import services
from workflows.models import Run, Workflow
from workflows.states import RunState

# A worker reads and writes on connections of its own.
pytestmark = pytest.mark.django_db(transaction=True)

Browser = Callable[[User | None], Client]
PARTS = ("header", "graph", "steps", "log", "result", "step")
LISTS = ("dashboard", "run-list", "workflow-list")


def queries_of(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_panel_says_what_to_do_first(name: str, cyd: User, browser: Browser) -> None:
    answer = browser(cyd).get(reverse(name))
    assert answer.status_code == 200
    assert "Nothing matches" not in answer.content.decode()
    assert "No " in answer.content.decode() or "First steps" in answer.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_nobody_sees_a_page_without_signing_in(name: str, db: None, browser: Browser) -> None:
    answer = browser(None).get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=")


def test_a_viewer_sees_every_page_and_part(cyd: User, ben: User, workflow: Workflow, browser: Browser) -> None:
    run = start(workflow, ben)
    client = browser(cyd)
    for _ in range(2):
        for name in LISTS:
            assert client.get(reverse(name)).status_code == 200
        assert "flow" in client.get(reverse("run-list")).content.decode()
        assert client.get(workflow.get_absolute_url()).status_code == 200
        page = client.get(run.get_absolute_url()).content.decode()
        assert 'data-step="first"' in page
        assert 'data-step="second"' in page
        assert client.get(run.get_absolute_url(), {"step": "first"}).status_code == 200
        for part in PARTS:
            assert client.get(reverse("run-part", args=[run.uid, part])).status_code == 200
        work()
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    page = client.get(run.get_absolute_url()).content.decode()
    assert "<run-live" not in page
    assert "data-ended" in page


def test_a_going_run_is_followed_from_the_event_that_was_drawn(ben: User, workflow: Workflow, browser: Browser) -> None:
    run = start(workflow, ben)
    run.refresh_from_db()
    page = browser(ben).get(run.get_absolute_url()).content.decode()
    assert f'src="/api/v1/runs/{run.uid}/events" after="{run.events}"' in page


def test_what_is_not_visible_is_not_there(
    dov: User, ben: User, make_workflow: Callable[..., Workflow], browser: Browser
) -> None:
    hidden = make_workflow("secret-flow", visibility="private")
    run = start(hidden, ben)
    client = browser(dov)
    paths = [
        hidden.get_absolute_url(),
        run.get_absolute_url(),
        *(reverse("run-part", args=[run.uid, p]) for p in PARTS),
    ]
    for path in paths:
        assert client.get(path).status_code == 404, path
    assert client.post(reverse("workflow-run", args=["secret-flow"])).status_code == 404
    assert client.post(reverse("run-cancel", args=[run.uid])).status_code == 404
    assert "secret-flow" not in client.get(reverse("run-list")).content.decode()
    assert "secret-flow" not in client.get(reverse("workflow-list")).content.decode()
    assert "secret-flow" not in client.get(reverse("dashboard")).content.decode()
    assert client.get(reverse("run-detail", args=[uuid4()])).status_code == 404
    assert browser(ben).get(reverse("run-part", args=[run.uid, "nonsense"])).status_code == 404


def test_names_are_escaped_everywhere(ben: User, make_workflow: Callable[..., Workflow], browser: Browser) -> None:
    made = make_workflow("flow", {"key": "first", "name": SCRIPT}, name=SCRIPT, description=SCRIPT, tags=[SCRIPT])
    ben.full_name = SCRIPT
    ben.save()
    run = services.start_run(workflow=made, inputs={SCRIPT: SCRIPT}, by=ben, labels={"team": SCRIPT[:60]})
    work()
    client = browser(ben)
    paths = [
        *map(reverse, LISTS),
        made.get_absolute_url(),
        run.get_absolute_url(),
        f"{run.get_absolute_url()}?step=first",
    ]
    paths += [f"{reverse('run-list')}?search={SCRIPT}", f"{reverse('workflow-list')}?search={SCRIPT}&tag={SCRIPT}"]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert SCRIPT not in answer.content.decode(), path


def test_a_run_is_started_from_a_form_made_of_the_schema(
    ben: User, make_workflow: Callable[..., Workflow], browser: Browser
) -> None:
    properties = {
        "top": {"type": "integer", "minimum": 1, "maximum": 20},
        "region": {"enum": ["emea", "amer"]},
        "sure": {"type": "boolean"},
        "extra": {"type": "object"},
    }
    made = make_workflow("form", root={"inputs": {"type": "object", "properties": properties, "required": ["region"]}})
    client = browser(ben)
    form = client.get(made.get_absolute_url()).context["form"]
    field = {bound.label: bound.html_name for bound, _ in form.rows}
    url = reverse("workflow-run", args=["form"])

    bad = client.post(url, {"version": "1", field["top"]: "40", field["extra"]: "{", field["region"]: ""})
    assert bad.status_code == 400
    errors = bad.context["form"].errors
    assert {field["top"], field["extra"], field["region"]} <= set(errors)
    assert not Run.objects.exists()

    good = {"version": "1", field["top"]: "4", field["extra"]: '{"a": 1}', field["region"]: "0", field["sure"]: "true"}
    answer = client.post(url, good)
    run = Run.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == run.get_absolute_url()
    assert run.inputs == {"top": 4, "extra": {"a": 1}, "region": "emea", "sure": True}
    assert run.trigger_kind == "page"


def test_a_viewer_is_offered_no_form_and_is_refused(cyd: User, workflow: Workflow, browser: Browser) -> None:
    client = browser(cyd)
    assert 'id="run"' not in client.get(workflow.get_absolute_url()).content.decode()
    assert client.post(reverse("workflow-run", args=["flow"]), {"version": "1"}).status_code == 403
    assert not Run.objects.exists()


def test_a_run_is_cancelled_by_its_button(ben: User, workflow: Workflow, browser: Browser) -> None:
    run = start(workflow, ben)
    client = browser(ben)
    assert "Cancel run" in client.get(run.get_absolute_url()).content.decode()
    answer = client.post(reverse("run-cancel", args=[run.uid]), follow=True)
    assert answer.status_code == 200
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    again = client.post(reverse("run-cancel", args=[run.uid]), follow=True)
    assert list(again.context["messages"]), "the refusal is said"
    assert client.get(reverse("run-cancel", args=[run.uid])).status_code == 405


def test_the_filters_stand_in_the_url(ben: User, workflow: Workflow, browser: Browser) -> None:
    run = start(workflow, ben)
    client = browser(ben)

    def shown(query: str) -> bool:
        return f"#{run.pk}<" in client.get(f"{reverse('run-list')}?{query}").content.decode()

    for query in ("", "state=open", "workflow=flow", "trigger=api", "mine=on", "search=flow", f"search=%23{run.pk}"):
        assert shown(query), query
    for query in ("state=failed", "workflow=other", "trigger=schedule", "search=nothing", "definition=echo"):
        assert not shown(query), query
    wrong = client.get(f"{reverse('run-list')}?state=nonsense&before=x")
    assert wrong.status_code == 200
    assert "Not understood" in wrong.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_a_list_asks_as_often_for_ten_as_for_one(
    name: str, ben: User, make_workflow: Callable[..., Workflow], browser: Browser
) -> None:
    client = browser(ben)
    start(make_workflow("flow-0"), ben)
    client.get(reverse(name))
    one = queries_of(client, reverse(name))
    for number in range(1, 10):
        start(make_workflow(f"flow-{number}"), ben)
    assert queries_of(client, reverse(name)) <= one


def test_a_run_page_asks_as_often_for_ten_steps_as_for_one(
    ben: User, make_workflow: Callable[..., Workflow], browser: Browser
) -> None:
    runs = [start(make_workflow(f"wide-{n}", *({"key": f"s{k}"} for k in range(n))), ben) for n in (1, 10)]
    work()
    client = browser(ben)
    client.get(runs[0].get_absolute_url())
    few, many = (queries_of(client, run.get_absolute_url()) for run in runs)
    assert many <= few


def test_the_dashboard_counts_what_its_reader_may_see(
    ben: User, dov: User, make_workflow: Callable[..., Workflow], browser: Browser
) -> None:
    start(make_workflow("open-flow"), ben)
    start(make_workflow("secret-flow", visibility="private"), ben)
    work()
    start(make_workflow("going"), ben)
    summary: dict[str, Any] = {user.full_name: browser(user).get("/").context["summary"] for user in (ben, dov)}
    assert (summary["Ben"].outcomes.ended, summary["Dov"].outcomes.ended) == (2, 1)
    assert (summary["Ben"].going_total, summary["Dov"].going_total) == (1, 1)
    assert summary["Ben"].outcomes.success_rate == 100
    assert summary["Ben"].ready == 1
    assert summary["Ben"].p95 is not None


def test_an_error_page_needs_nobody_signed_in(db: None, browser: Browser, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = browser(None).get("/nothing/here/")
    assert answer.status_code == 404
    assert "Not found" in answer.content.decode()
