"""The pages in a real browser: no complaint of the console or the content policy, keyboard, themes, small screens."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from connections import connectors
from connections import services as connection_services
from definitions import services as definition_services
from tests.conftest import PASSWORD
from workflows import services as workflow_services

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@dataclass
class Watched:
    """A page of the browser, and what its console and its policy said since the last look."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def quiet(self) -> None:
        """Fail where the browser complained."""
        found, self.complaints[:] = list(self.complaints), []
        assert not found, found


@pytest.fixture(scope="module")
def chromium(django_db_setup: None) -> Iterator[Any]:
    """Chromium, driven by Playwright. Skips, loudly, where one of the two is missing.

    Playwright's loop runs in this thread as long as it lives, where Django would see it and refuse to use the
    database, and asyncio to start another: so it lives for this module only.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="NOT TESTED: pages in a browser (no playwright)")
    if not Path(CHROMIUM).exists() and shutil.which(CHROMIUM) is None:
        pytest.skip(f"NOT TESTED: pages in a browser (no {CHROMIUM})")
    with pytest.MonkeyPatch.context() as patch, playwright.sync_playwright() as driver:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def watched(chromium: Any, transactional_db: None) -> Iterator[Watched]:
    """A page that is not signed in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    watched = Watched(context.new_page())
    watched.page.on(
        "console", lambda said: watched.complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    yield watched
    context.close()


PATHS = [
    "/",
    "/runs/",
    "/workflows/",
    "/workflows/flow/",
    "/definitions/",
    "/definitions/thing/?version=2&compare=1",
    "/connections/",
    "/connections/shop/",
    "/search/?q=thing",
    "/account/",
    "/account/keys/",
    "/approvals/",
    "/schedules/new/?workflow=flow",
    "/connections/new/sqlite/",
    "/alerts/",
    "/alerts/rules/new/",
    "/monitoring/",
    "/notifications/",
    "/errors/",
]
ADMINS_PATHS = ["/users/", "/users/invite/", "/teams/", "/audit/", "/health/"]


@pytest.fixture
def furnished(ben: User, tmp_path: Path, transactional_db: None) -> None:
    """One of each: a definition of two versions, a workflow, a scanned connection."""
    path = tmp_path / "shop.db"
    file = sqlite3.connect(path)
    file.execute("create table customer (id integer primary key, email text)")
    file.commit()
    file.close()
    connectors.allow_files_under([tmp_path])
    shop = connection_services.create_connection(
        by=ben, slug="shop", name="Shop", type="sqlite", config={"path": str(path)}, visibility="organisation"
    )
    connection_services.scan_connection(by=ben, connection=shop)
    thing = definition_services.create_definition(by=ben, slug="thing", name="Thing", kind="script")
    for value in (1, 2):
        code = f"def main(n: int = {value}):\n    return n\n"
        definition_services.save_version(by=ben, definition=thing, config={"language": "python", "code": code})
    graph = {
        "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "steps": [{"key": "a", "definition": "thing"}, {"key": "b", "definition": "thing", "needs": ["a"]}],
    }
    workflow_services.create_workflow(by=ben, slug="flow", name="Flow", graph=graph)


def sign_in(watched: Watched, url: str, email: str = "ben@example.com") -> Any:
    page = watched.page
    page.goto(f"{url}/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    return page


BY_WHOM = pytest.mark.parametrize(("email", "paths"), [("ben@example.com", PATHS), ("ada@example.com", ADMINS_PATHS)])


@BY_WHOM
def test_no_page_makes_the_browser_complain_or_overflows_a_phone(
    watched: Watched, live_server: Any, ada: User, furnished: None, email: str, paths: list[str]
) -> None:
    page = sign_in(watched, live_server.url, email)

    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            # What htmx fetches into a page is waited for once.
            answer = page.goto(live_server.url + path, wait_until="networkidle" if width > 1000 else "load")
            assert answer.status == 200, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("h1").count() == 1, path
            watched.quiet()


@BY_WHOM
def test_every_field_and_button_has_a_name(
    watched: Watched, live_server: Any, ada: User, furnished: None, email: str, paths: list[str]
) -> None:
    page = sign_in(watched, live_server.url, email)
    nameless = """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')]
        .filter((e) => e.checkVisibility() && !e.textContent.trim() && !e.ariaLabel && !(e.labels ?? []).length)
        .map((e) => e.outerHTML)"""

    for path in paths:
        page.goto(live_server.url + path, wait_until="load")
        assert page.evaluate(nameless) == [], path


def test_the_theme_is_switched_and_remembered_without_a_flash(watched: Watched, live_server: Any, ben: User) -> None:
    page = sign_in(watched, live_server.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Switch theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto(f"{live_server.url}/definitions/", wait_until="commit")

    assert dark != light
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    watched.quiet()


def test_a_list_narrows_while_one_types_and_the_address_keeps_it(
    watched: Watched, live_server: Any, furnished: None
) -> None:
    page = sign_in(watched, live_server.url)
    page.goto(f"{live_server.url}/definitions/")

    page.get_by_label("Search definitions").fill("zzz")
    page.get_by_text("Nothing matches").wait_for()

    assert "search=zzz" in page.url
    page.reload()
    assert page.get_by_text("Nothing matches").is_visible()
    watched.quiet()


def test_the_keyboard_reaches_content_and_search(watched: Watched, live_server: Any, furnished: None) -> None:
    page = sign_in(watched, live_server.url)
    page.goto(f"{live_server.url}/definitions/")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("/")
    page.keyboard.type("flow")
    page.keyboard.press("Enter")

    page.wait_for_url("**/search/?q=flow")
    assert page.locator("main").get_by_role("link", name="flow", exact=True).is_visible()
    watched.quiet()


def test_the_menu_of_a_phone_opens_and_closes(watched: Watched, live_server: Any, ben: User) -> None:
    page = sign_in(watched, live_server.url)
    page.set_viewport_size({"width": 390, "height": 800})
    menu = page.get_by_role("navigation", name="Main")
    assert not menu.is_visible()

    page.get_by_role("link", name="Open menu").click()
    assert menu.get_by_role("link", name="Definitions").is_visible()
    menu.get_by_role("link", name="Close menu").click()

    assert not menu.is_visible()


def test_a_query_is_run_in_place_and_its_refusal_too(watched: Watched, live_server: Any, furnished: None) -> None:
    page = sign_in(watched, live_server.url)
    page.goto(f"{live_server.url}/connections/shop/")

    page.get_by_label("SQL").fill("select 42 as answer")
    page.get_by_role("button", name="Run query").click()
    page.get_by_role("cell", name="42").wait_for()
    watched.quiet()
    page.get_by_label("SQL").fill("drop table customer")
    page.get_by_role("button", name="Run query").click()

    page.get_by_text("The query did not run.").wait_for()
    assert page.get_by_label("SQL").input_value() == "drop table customer"


def test_the_password_can_be_looked_at(watched: Watched, live_server: Any, db: None) -> None:
    page = watched.page
    page.goto(f"{live_server.url}/login/")
    field = page.get_by_label("Password", exact=True)

    page.get_by_role("button", name="Show password").click()

    assert field.get_attribute("type") == "text"
    watched.quiet()
