"""The pages of workflows and runs in a real browser, served by the real server: a run is seen live."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connection, connections

from accounts.models import User
from tests.conftest import PASSWORD
from tests.pages.conftest import start, work
from workflows.models import Workflow

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium, or these pages go unseen"),
]
WAIT = 15_000


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _address_of_the_test_database() -> str:
    given = urlsplit(os.environ["DATABASE_URL"])
    # The path may also hold the folder of a socket; the database is its last part.
    folder = given.path.rpartition("/")[0]
    return urlunsplit(given._replace(path=f"{folder}/{connection.settings_dict['NAME']}"))


@pytest.fixture
def server(transactional_db: None) -> Iterator[str]:
    """Serve the panel from a process of its own, on the tests' database."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "mcp_site.asgi:application", "--port", str(port)]
    command += ["--timeout-graceful-shutdown", "1", "--log-level", "warning"]
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env={**os.environ, "DATABASE_URL": _address_of_the_test_database()}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{address}/login/", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server did not start"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def ben(ben: User) -> User:
    """Ben, with his password as the server hashes it: the tests' own cheap hash is unknown there."""
    ben.password = make_password(PASSWORD, hasher=Argon2PasswordHasher())
    ben.save()
    return ben


@contextmanager
def tab(**options: Any) -> Iterator[tuple[Any, list[str]]]:
    """Open a browser's tab; yields it with the list that its complaints are written to."""
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(**options)
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(WAIT)
        yield page, complaints
        browser.close()


def sign_in(page: Any, server: str, person: User) -> None:
    page.goto(f"{server}/runs/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server}/runs/")


def in_a_thread(act: Callable[[], None]) -> threading.Thread:
    """Start `act` beside the browser, whose event loop keeps Django's rows out of this thread."""

    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_the_pages_of_runs_open_without_a_complaint_and_fit_the_screen(
    scheme: str, width: int, server: str, ben: User, workflow: Workflow
) -> None:
    run = start(workflow, ben)
    work()
    paths = ["/", "/runs/", "/workflows/", workflow.get_absolute_url(), run.get_absolute_url()]
    with tab(color_scheme=scheme, viewport={"width": width, "height": 900}) as (page, complaints):
        sign_in(page, server, ben)
        for path in [*paths, f"{run.get_absolute_url()}?step=first"]:
            answer = page.goto(server + path, wait_until="load")
            assert answer.status == 200, path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than {width}"
            assert page.locator("h1").count() == 1, path
            assert complaints == [], path


def test_a_run_is_seen_live_without_a_reload(server: str, ben: User, workflow: Workflow) -> None:
    run = start(workflow, ben)
    with tab() as (page, complaints):
        sign_in(page, server, ben)
        page.goto(server + run.get_absolute_url())
        page.evaluate("window.notReloaded = true")
        page.wait_for_selector("[data-connection][data-state=ok]")
        assert page.locator("#part-header .c-badge").inner_text() == "Queued"

        worker = in_a_thread(work)
        page.wait_for_selector("[data-connection]:text-is('Ended')")
        worker.join()

        page.wait_for_selector("#part-header .c-badge:has-text('Succeeded')")
        for step in ("first", "second"):
            page.wait_for_selector(f".c-node[data-step={step}][data-state=succeeded]")
            page.wait_for_selector(f"#step-{step} .c-icon[data-state=succeeded]")
        page.wait_for_selector("#part-result:has-text('Say hello')")
        assert page.locator("button:has-text('Cancel run')").count() == 0
        assert page.evaluate("window.notReloaded") is True
        assert complaints == []


def test_a_run_is_cancelled_after_a_question(server: str, ben: User, workflow: Workflow) -> None:
    run = start(workflow, ben)
    with tab() as (page, complaints):
        sign_in(page, server, ben)
        page.goto(server + run.get_absolute_url())
        page.get_by_role("button", name="Cancel run").click()
        page.locator("dialog [data-answer=no]").click()
        assert page.locator("dialog[open]").count() == 0
        page.get_by_role("button", name="Cancel run").first.click()
        page.locator("dialog [data-answer=yes]").click()
        page.wait_for_selector("#part-header .c-badge:has-text('Cancelled')")
        assert complaints == []
