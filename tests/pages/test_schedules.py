"""The pages of schedules: list, form, pause, remove, and the section of the workflow's page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from workflows.models import Schedule, Workflow
from workflows.services import schedules

pytestmark = pytest.mark.django_db(transaction=True)
Browser = Callable[[User | None], Client]
FORM = {
    "workflow": "flow",
    "cron": "0 9 * * mon-fri",
    "timezone": "Europe/Berlin",
    "version": "",
    "inputs": '{"n": 1}',
    "catch_up": "last",
    "overlap": "skip",
}


@pytest.fixture
def daily(ben: User, workflow: Workflow) -> Schedule:
    return schedules.create_schedule(by=ben, workflow=workflow, cron="30 6 * * *", timezone="Europe/Berlin")


def test_a_schedule_is_made_changed_paused_and_removed(browser: Browser, ben: User, workflow: Workflow) -> None:
    client = browser(ben)

    new = client.get("/schedules/new/?workflow=flow").content.decode()
    made = client.post("/schedules/new/", FORM, follow=True)
    schedule = Schedule.objects.get()
    page = f"/schedules/{schedule.uid}/"
    assert '<option value="flow" selected>' in new
    assert "now runs by the clock" in made.content.decode()
    assert (schedule.inputs, schedule.overlap, schedule.owner) == ({"n": 1}, "skip", ben)

    assert client.post(page, {**FORM, "cron": "@hourly"})["Location"] == page
    client.post(f"{page}switch/", {"enabled": "false"})
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.enabled) == ("@hourly", False)
    assert "Resume" in client.get(page).content.decode()
    client.post(f"{page}switch/", {"enabled": "true", "back": "list"})
    schedule.refresh_from_db()
    assert schedule.enabled
    assert client.post(f"{page}delete/")["Location"] == "/schedules/"
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cron": "every day"}, "write five fields"),
        ({"timezone": "Mars/Olympus"}, "such as Europe/Berlin"),
        ({"version": "9"}, "no such version"),
        ({"inputs": "[1]"}, "must be a JSON object"),
        ({"inputs": "{"}, "JSON"),
        ({"workflow": "nope"}, "valid choice"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    browser: Browser, ben: User, workflow: Workflow, change: dict[str, str], words: str
) -> None:
    refused = browser(ben).post("/schedules/new/", {**FORM, **change})

    assert refused.status_code == 400
    assert words in refused.content.decode()
    assert not Schedule.objects.exists()


def test_the_preview_says_when_or_what_is_wrong(browser: Browser, ben: User) -> None:
    client = browser(ben)

    right = client.get("/schedules/preview/?cron=0 9 * * *&timezone=Europe/Berlin").content.decode()
    wrong = client.get("/schedules/preview/?cron=often&timezone=UTC").content.decode()

    assert right.count("09:00") == 5
    assert "write five fields" in wrong


def test_the_workflows_page_shows_its_schedules(browser: Browser, ben: User, cyd: User, daily: Schedule) -> None:
    for person, may in ((ben, True), (cyd, False)):
        page = browser(person).get("/workflows/flow/").content.decode()
        assert "30 6 * * *" in page
        assert ("/schedules/new/?workflow=flow" in page) is may


def test_a_viewer_looks_and_changes_nothing(browser: Browser, cyd: User, daily: Schedule) -> None:
    client = browser(cyd)

    page = client.get(f"/schedules/{daily.uid}/")
    listed = client.get("/schedules/").content.decode()

    assert page.status_code == 200
    assert '<h2 id="h-what">' not in page.content.decode()
    assert "/switch/" not in listed
    assert client.get("/schedules/new/").status_code == 403
    client.post(f"/schedules/{daily.uid}/switch/", {"enabled": "false"})
    client.post(f"/schedules/{daily.uid}/delete/")
    daily.refresh_from_db()
    assert daily.enabled


def test_what_you_can_not_see_is_not_there(browser: Browser, dov: User, workflow: Workflow, daily: Schedule) -> None:
    Workflow.objects.update(visibility="private")
    client = browser(dov)

    assert client.get(f"/schedules/{daily.uid}/").status_code == 404
    assert client.post(f"/schedules/{daily.uid}/delete/").status_code == 404
    assert "30 6" not in client.get("/schedules/").content.decode()


def test_an_empty_list_says_what_to_do(browser: Browser, ben: User, cyd: User) -> None:
    assert "New schedule" in browser(ben).get("/schedules/").content.decode()
    assert "Editors make them" in browser(cyd).get("/schedules/").content.decode()
    assert "Nothing matches" in browser(ben).get("/schedules/?search=x").content.decode()


def test_the_list_needs_the_same_number_of_queries_for_one_row_and_for_ten(
    browser: Browser, ben: User, daily: Schedule, workflow: Workflow
) -> None:
    client = browser(ben)
    counts = []
    for wanted in (1, 10):
        while Schedule.objects.count() < wanted:
            schedules.create_schedule(by=ben, workflow=workflow, cron="@daily")
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/schedules/").status_code == 200
        counts.append(len(captured))

    assert counts[0] == counts[1]
