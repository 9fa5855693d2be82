"""Workflows and runs over HTTP: shapes, refusals, who sees what, flat query counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from definitions.models import Definition
from tests.workflows.conftest import make_script
from workflows import services
from workflows.engine.worker import Worker
from workflows.models import Run, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]

GRAPH = {"steps": [{"key": "a", "definition": "echo"}, {"key": "b", "definition": "echo", "needs": ["a"]}]}


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


def attrs(response: Any) -> set[tuple[str | None, str]]:
    """Return (attr, code) of each error of an answer in the one shape."""
    body = response.json()
    assert set(body) == {"type", "errors"}
    return {(error["attr"], error["code"]) for error in body["errors"]}


def test_a_workflow_is_made_saved_again_and_read(api: Api, ben: User, prompt: Definition) -> None:
    client = api(ben)

    made = client.post("/api/v1/workflows", {"slug": "flow", "name": "Flow", "tags": ["x"], "graph": GRAPH})
    same = client.post("/api/v1/workflows/flow/versions", {"graph": GRAPH})
    yaml = "steps:\n  - key: a\n    definition: echo\n"
    new = client.post("/api/v1/workflows/flow/versions", {"graph": yaml, "note": "shorter"})
    alias = client.put("/api/v1/workflows/flow/aliases/production", {"version": 1})

    assert (made.status_code, same.status_code, new.status_code, alias.status_code) == (201, 200, 201, 200)
    assert made.json()["latest_version"] == 1
    assert same.json()["number"] == 1
    assert (new.json()["number"], new.json()["graph"]) == (2, {"steps": [{"key": "a", "definition": "echo"}]})
    assert client.get("/api/v1/workflows/flow").json()["aliases"] == {"production": 1}
    numbers = [version["number"] for version in client.get("/api/v1/workflows/flow/versions").json()["results"]]
    assert numbers == [2, 1]
    assert client.post("/api/v1/workflows/flow/rollback", {"to": 1}).json()["number"] == 3
    assert client.delete("/api/v1/workflows/flow/aliases/production").status_code == 204
    assert client.delete("/api/v1/workflows/flow?force").status_code == 403
    assert client.delete("/api/v1/workflows/flow").status_code == 204
    assert client.get("/api/v1/workflows").json()["results"] == []
    assert client.get("/api/v1/workflows?archived=true").json()["results"][0]["archived"] is True


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("slug", "required")),
        ({"slug": "No Good", "name": "x"}, ("slug", "invalid")),
        ({"slug": "x", "name": "x", "owner": 1}, ("owner", "unknown_field")),
        ({"slug": "x", "name": "x", "graph": 5}, ("graph", "invalid")),
        ({"slug": "x", "name": "x", "graph": "a: [1"}, ("graph", "parse_error")),
        ({"slug": "x", "name": "x", "graph": "a: &x 1\nb: *x"}, ("graph", "parse_error")),
        ({"slug": "x", "name": "x", "graph": "!!python/object:os.system {}"}, ("graph", "parse_error")),
        ({"slug": "x", "name": "x", "graph": {"steps": []}}, ("graph.steps", "invalid")),
        ({"slug": "x", "name": "x", "tags": "text"}, ("tags", "not_a_list")),
        ({"slug": "x", "name": "x", "visibility": "world"}, ("visibility", "invalid_choice")),
        ({"slug": "flow", "name": "x"}, ("slug", "unique")),
        (
            {"slug": "x", "name": "x", "graph": {"steps": [{"key": "a", "definition": "nope"}]}},
            ("graph.steps.0.definition", "unknown_definition"),
        ),
        (
            {"slug": "x", "name": "x", "graph": {"steps": [{"key": "a", "definition": "echo", "needs": ["a"]}]}},
            ("graph.steps.0.needs.0", "cycle"),
        ),
    ],
)
def test_a_wrong_body_is_refused_with_the_path_and_nothing_is_written(
    api: Api, ben: User, flow: Workflow, body: dict[str, Any], expected: tuple[str, str]
) -> None:
    refused = api(ben).post("/api/v1/workflows", body)

    assert refused.status_code == 400
    assert expected in attrs(refused)
    assert Workflow.objects.count() == 1


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "parse_error"),
        (b"[]", "invalid"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b'{"slug": NaN}', "parse_error"),
        (b'{"name": "\\u0000"}', "null_character"),
        (b"\xff\xfe", "parse_error"),
        (b'{"inputs": ' + b"1" * 5000 + b"}", "parse_error"),
    ],
)
def test_a_body_that_is_no_proper_json_is_a_400(api: Api, ben: User, raw: bytes, code: str) -> None:
    refused = api(ben).post("/api/v1/workflows", data=raw, content_type="application/json")

    assert refused.status_code == 400
    assert code in {code for _, code in attrs(refused)}


def test_a_body_over_the_limit_is_a_413_and_another_type_a_415(api: Api, ben: User) -> None:
    client = api(ben)

    large = client.post("/api/v1/workflows", data=b"a" * 5_000_000, content_type="application/json")
    form = client.post("/api/v1/workflows", data=b"slug=x", content_type="application/x-www-form-urlencoded")

    assert (large.status_code, form.status_code) == (413, 415)
    assert attrs(large) == {(None, "too_large")}


def test_routes_that_are_not_there_answer_in_the_one_shape(api: Api, ben: User) -> None:
    client = api(ben)

    assert attrs(client.get("/api/v1/nothing")) == {(None, "not_found")}
    assert attrs(client.get("/auth/nothing")) == {(None, "not_found")}
    assert attrs(client.put("/api/v1/workflows", {})) == {(None, "method_not_allowed")}
    assert attrs(client.get("/api/v1/workflows/nope")) == {(None, "not_found")}
    assert attrs(client.get("/api/v1/runs?cursor=broken")) == {(None, "not_found")}
    assert attrs(client.get("/api/v1/runs?page_size=x")) == {("page_size", "invalid")}
    assert attrs(client.get("/api/v1/runs?nope=1")) == {("nope", "unknown_parameter")}
    assert ("state", "invalid_choice") in attrs(client.get("/api/v1/runs?state=odd"))
    assert attrs(client.get("/api/v1/runs?created_after=soon")) == {("created_after", "invalid")}
    for edge in ("2000-01-01T00:00:00%2B19:11", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"):
        assert client.get(f"/api/v1/runs?created_after={edge}").status_code in (200, 400)
    assert attrs(client.options("/api/v1/workflows")) == {(None, "method_not_allowed")}
    assert attrs(api(None).get("/api/v1/runs")) == {(None, "not_authenticated")}


def test_no_credentials_or_wrong_ones_are_a_401_that_says_how(api: Api) -> None:
    client = api(None)
    nobody = client.get("/api/v1/runs")
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    wrong = client.get("/api/v1/runs")

    assert (nobody.status_code, wrong.status_code) == (401, 401)
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    assert wrong["WWW-Authenticate"].startswith("Bearer")


def test_validate_says_everything_and_saves_nothing(api: Api, ben: User, prompt: Definition) -> None:
    client = api(ben)

    bad = client.post("/api/v1/workflows/validate", {"graph": {"steps": [{"key": "A"}]}}).json()
    good = client.post("/api/v1/workflows/validate", {"graph": GRAPH}).json()
    yaml = client.post("/api/v1/workflows/validate", {"graph": "steps:\n  - key: [\n"}).json()

    assert {problem["path"] for problem in bad["problems"]} == {"steps.0.key", "steps.0.definition"}
    assert good == {"valid": True, "problems": []}
    assert yaml["problems"][0]["code"] == "parse_error"
    assert yaml["problems"][0]["line"] is not None
    assert not Workflow.objects.exists()


def test_a_run_is_started_followed_and_read(api: Api, ben: User, flow: Workflow, worker: Worker) -> None:
    client = api(ben)

    started = client.post("/api/v1/workflows/flow/runs", {"labels": {"team": "x"}, "priority": 7})
    run = started.json()
    worker.work("llm")

    assert started.status_code == 201
    assert started["Location"] == f"/api/v1/runs/{run['id']}"
    assert (run["state"], run["progress"], run["trigger"]) == ("queued", {"done": 0, "total": 2}, {"kind": "api"})
    read = client.get(f"/api/v1/runs/{run['id']}").json()
    assert (read["state"], read["progress"]["done"]) == ("succeeded", 2)
    assert read["output"]["provider"] == "dry-run"
    steps = client.get(run["steps_url"]).json()["results"]
    assert [(step["key"], step["state"]) for step in steps] == [("a", "succeeded"), ("b", "succeeded")]
    step = client.get(f"/api/v1/runs/{run['id']}/steps/a").json()
    assert [one["outcome"] for one in step["tries"]] == ["succeeded"]
    events = client.get(run["events_url"]).json()["results"]
    assert [event["number"] for event in events] == list(range(1, 9))
    later = client.get(run["events_url"] + "?after=6").json()["results"]
    assert [event["number"] for event in later] == [7, 8]
    assert client.get("/api/v1/runs?label=team:x&workflow=flow&state=succeeded").json()["results"][0]["id"] == run["id"]
    assert client.get("/api/v1/runs?label=team:y").json()["results"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": {}}, ("input", "unknown_field")),
        ({"inputs": []}, ("inputs", "not_object")),
        ({"inputs": {"n": "text"}}, ("inputs.n", "invalid")),
        ({"inputs": {}}, ("inputs.n", "required")),
        ({"inputs": {"n": 1}, "priority": 99}, ("priority", "max_value")),
        ({"inputs": {"n": 1}, "priority": "high"}, ("priority", "invalid")),
        ({"inputs": {"n": 1}, "labels": {"a": 1}}, ("labels.a", "invalid")),
        ({"inputs": {"n": 1}, "version": "nope"}, ("version", "unknown_version")),
    ],
)
def test_a_wrong_start_is_refused_with_the_path_and_starts_nothing(
    api: Api, ben: User, prompt: Definition, body: dict[str, Any], expected: tuple[str, str]
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    services.create_workflow(by=ben, slug="typed", name="Typed", graph={"inputs": schema, **GRAPH})

    refused = api(ben).post("/api/v1/workflows/typed/runs", body)

    assert refused.status_code == 400
    assert expected in attrs(refused)
    assert not Run.objects.exists()


def test_a_definition_runs_by_itself(api: Api, ben: User, worker: Worker) -> None:
    script = make_script(ben, "def main(n: int, to: int = 2):\n    return n ** to\n")
    client = api(ben)

    run = client.post(f"/api/v1/definitions/{script.slug}/run", {"inputs": {"n": 7}}).json()
    refused = client.post(f"/api/v1/definitions/{script.slug}/run", {"inputs": {"n": "seven"}})
    worker.work("script")

    assert client.get(f"/api/v1/runs/{run['id']}").json()["output"] == 49
    assert attrs(refused) == {("inputs.n", "invalid")}
    assert client.get(f"/api/v1/runs?definition={script.slug}").json()["results"][0]["id"] == run["id"]


def test_cancel_by_api(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    run = client.post("/api/v1/workflows/flow/runs", {}).json()

    cancelled = client.post(f"/api/v1/runs/{run['id']}/cancel")
    again = client.post(f"/api/v1/runs/{run['id']}/cancel")

    assert cancelled.json()["state"] == "cancelled"
    assert (again.status_code, attrs(again)) == (409, {(None, "run_ended")})


def test_what_you_can_not_see_is_not_there_and_what_you_may_not_do_is_forbidden(
    api: Api, ada: User, ben: User, cyd: User, dov: User, flow: Workflow
) -> None:
    services.update_workflow(by=ben, workflow=flow, visibility="private")
    run = services.start_run(workflow=flow, inputs={}, by=ben)
    open_flow = services.create_workflow(by=ben, slug="open", name="Open", graph=GRAPH)
    paths = ["workflows/flow", "workflows/flow/versions", f"runs/{run.uid}", f"runs/{run.uid}/events"]

    for stranger in (cyd, dov):
        assert {api(stranger).get(f"/api/v1/{path}").status_code for path in paths} == {404}
        assert api(stranger).post("/api/v1/workflows/flow/runs", {}).status_code == 404
    assert {api(ada).get(f"/api/v1/{path}").status_code for path in paths} == {200}
    assert api(cyd).get("/api/v1/workflows/open").status_code == 200
    assert api(cyd).post("/api/v1/workflows/open/runs", {}).status_code == 403
    assert api(cyd).post("/api/v1/workflows", {"slug": "x", "name": "x"}).status_code == 403
    assert api(dov).post("/api/v1/workflows/open/runs", {}).status_code == 201
    assert api(dov).post("/api/v1/workflows/open/versions", {"graph": GRAPH}).status_code == 403
    bens = services.start_run(workflow=open_flow, inputs={}, by=ben)
    assert api(dov).post(f"/api/v1/runs/{bens.uid}/cancel").status_code == 403


def test_lists_need_the_same_number_of_queries_for_one_row_and_for_ten(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    counts: dict[str, list[int]] = {}
    for wanted in (1, 10):
        while Run.objects.count() < wanted:
            services.start_run(workflow=flow, inputs={}, by=ben)
        while Workflow.objects.count() < wanted:
            services.create_workflow(by=ben, slug=f"w{Workflow.objects.count()}", name="x", graph=GRAPH)
        for path in ("/api/v1/runs", "/api/v1/workflows", "/api/v1/workflows/flow/versions"):
            with CaptureQueriesContext(
                connection,
            ) as captured:
                assert client.get(path).status_code == 200
            counts.setdefault(path, []).append(len(captured))

    assert all(one == ten for one, ten in counts.values()), counts


def test_artifacts_are_sent_safely(api: Api, ben: User, worker: Worker) -> None:
    code = (
        "import os, pathlib\ndef main():\n    out = pathlib.Path(os.environ['MCP_ARTIFACTS'])\n"
        "    (out / 'page.html').write_text('<script>alert(1)</script>')\n    (out / 'note.txt').write_text('hi')\n"
    )
    script = make_script(ben, code)
    client = api(ben)
    run = client.post(f"/api/v1/definitions/{script.slug}/run", {}).json()
    worker.work("script")

    files = {file["name"]: file for file in client.get(f"/api/v1/runs/{run['id']}/artifacts").json()["results"]}
    page = client.get(f"/api/v1/runs/{run['id']}/artifacts/{files['page.html']['id']}")
    note = client.get(f"/api/v1/runs/{run['id']}/artifacts/{files['note.txt']['id']}")

    assert page["Content-Type"] == "application/octet-stream"
    assert page["Content-Disposition"].startswith("attachment")
    assert page["Content-Security-Policy"].startswith("sandbox")
    assert b"".join(page.streaming_content) == b"<script>alert(1)</script>"
    assert (note["Content-Type"], b"".join(note.streaming_content)) == ("text/plain", b"hi")


def test_logs_are_text_or_chunks(api: Api, ben: User, worker: Worker) -> None:
    script = make_script(ben, "def main():\n    print('one')\n    print('two')\n")
    client = api(ben)
    run = client.post(f"/api/v1/definitions/{script.slug}/run", {}).json()
    worker.work("script")

    assert client.get(f"/api/v1/runs/{run['id']}/logs", HTTP_ACCEPT="text/plain").content == b"one\ntwo\n"
    chunks = client.get(f"/api/v1/runs/{run['id']}/logs", HTTP_ACCEPT="application/json").json()["results"]
    assert "".join(chunk["text"] for chunk in chunks) == "one\ntwo\n"


def test_the_documents_of_the_api_are_there(api: Api) -> None:
    client = api(None)

    schema = json.loads(client.get("/openapi.json").content)

    assert schema["openapi"].startswith("3.1")
    assert "/api/v1/workflows/{slug}/runs" in schema["paths"]
    assert client.get("/docs").status_code == 200
    assert client.get("/redoc").status_code == 200
