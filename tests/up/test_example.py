"""The example runs by itself at the start, says what it found, and says so when it fails."""

from __future__ import annotations

import re
from pathlib import Path

from tests.up.conftest import Start
from tests.up.panel import below, left_of

PASSWORD = "a long enough password"
ISLANDS = ("Biscoe", "Dream", "Torgersen")
SLOW = "import time\n\ndef main() -> None:\n    print('begun', flush=True)\n    time.sleep(120)\n"
BROKEN = "def main(**inputs) -> None:\n    raise RuntimeError('broken on purpose')\n"


def test_the_example_ends_with_its_accuracies_and_the_address_of_its_run(start: Start) -> None:
    panel = start("--exit-after-example", MCP_ADMIN_PASSWORD=PASSWORD)

    assert panel.ended(60) == 0, panel.output
    assert f"ready http://127.0.0.1:{panel.port}" in panel.lines
    for island in ISLANDS:
        line = next(line.split() for line in panel.lines if line.split()[:1] == [island])
        assert 80 < float(line[1].rstrip("%")) <= 100
    steps = [line.split(" (")[0].strip() for line in panel.lines if ": succeeded" in line]
    assert sorted(steps) == sorted(["extract", *(f"fit[{island}]" for island in ISLANDS), "plot", "summarise"])
    assert re.search(rf"^http://127.0.0.1:{panel.port}/runs/[0-9a-f-]{{36}}/$", panel.output, re.MULTILINE)
    assert left_of(panel, set()) == []


def test_it_ends_in_time_while_somebody_watches_a_step_at_work(start: Start) -> None:
    panel = start("--no-example").ready()
    # The first administrator is there since the first start: no password is made or shown again.
    assert not any("password" in line for line in panel.lines)
    login = panel.call("POST", "/auth/login", {"email": "admin@example.com", "password": PASSWORD})
    token = login["access_token"]
    slow = {"slug": "slow", "name": "Slow", "kind": "script", "config": {"language": "python", "code": SLOW}}
    panel.call("POST", "/api/v1/definitions", slow, token)
    run = panel.call("POST", "/api/v1/definitions/slow/run", {"inputs": {}}, token)
    # For the next test: a newer version, which the loader must leave alone.
    broken = {"config": {"language": "python", "code": BROKEN}}
    panel.call("POST", "/api/v1/definitions/penguin-classifier/versions", broken, token)
    with panel.stream(f"/api/v1/runs/{run['id']}/events", token) as stream:
        # An event, not a line of the log: those that were written before the stream was opened are not in it.
        while b"step.running" not in (line := stream.readline()):
            assert line, "the stream ended"
        known = below(panel)

        code = panel.end(seconds=10)

        assert code == 0
        assert left_of(panel, known) == []


def test_a_failed_example_is_said_and_is_the_exit_code(start: Start, data_dir: Path) -> None:
    assert (data_dir / "examples" / "penguins.sqlite").exists()

    panel = start("--exit-after-example")

    assert panel.ended(60) == 1, panel.output
    assert any(line.startswith("failed") for line in panel.lines)
    assert "broken on purpose" in panel.output
    assert "Traceback" not in panel.output
