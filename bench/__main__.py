"""Measure a panel of our own, over HTTP, beside a Celery canvas on the same broker in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
EMAIL, PASSWORD = "bench@example.com", "a password for the bench"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def panel(folder: Path) -> Iterator[str]:
    """Run a panel on embedded servers in `folder`; yields its address."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"MCP_ADMIN_EMAIL": EMAIL, "MCP_ADMIN_PASSWORD": PASSWORD, "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "manage.py", "up", "--no-example", "--port", str(port), "--data-dir", str(folder)]
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            while f"ready http://127.0.0.1:{port}" not in (folder / "up.log").read_text():
                if process.poll() is not None:
                    raise SystemExit((folder / "up.log").read_text())
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


class Client:
    """What a program does with the panel."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=60)
        answer = self.http.post("/auth/login", json={"email": EMAIL, "password": PASSWORD}).raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post and return the answer."""
        answer: dict[str, Any] = self.http.post(path, json=body).raise_for_status().json()
        return answer

    def run(self, workflow: str) -> float:
        """Run a workflow to its end; returns the milliseconds from its start to its end, by the database's clock."""
        run = self.post(f"/api/v1/workflows/{workflow}/runs?wait=60", {})
        if run["state"] != "succeeded":
            raise SystemExit(f"{workflow}: {run['state']} {run['reason']}")
        began, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
        return (ended - began).total_seconds() * 1000

    def post_to_last_event(self, workflow: str) -> float:
        """Return the milliseconds from sending the POST to having the run's last event by SSE."""
        started = time.perf_counter()
        run = self.post(f"/api/v1/workflows/{workflow}/runs", {})
        accept = {"Accept": "text/event-stream"}
        with self.http.stream("GET", f"/api/v1/runs/{run['id']}/events", headers=accept) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:]).get("kind") == "run.succeeded":
                    break
        return (time.perf_counter() - started) * 1000


def set_up(client: Client) -> None:
    """Make the definition and the workflows that are measured."""
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "Say ${{ inputs.text }}"}]}
    client.post("/api/v1/definitions", {"slug": "echo", "name": "Echo", "kind": "llm", "config": config})
    first = {"key": "s0", "definition": "echo", "inputs": {"text": "hello"}}

    def after(n: int) -> dict[str, Any]:
        return {"key": f"s{n}", "definition": "echo", "inputs": {"text": f"${{{{ steps.s{n - 1}.output.text }}}}"}}

    fan = {"key": "m", "definition": "echo", "needs": ["s0"], "for_each": list(range(100)), "inputs": {"text": "x"}}
    last = {"key": "z", "definition": "echo", "inputs": {"text": "${{ size(steps.m.output) }}"}}
    for slug, steps in (("one", [first]), ("chain", [first, *map(after, range(1, 100))]), ("fan", [first, fan, last])):
        client.post("/api/v1/workflows", {"slug": slug, "name": slug, "graph": {"steps": steps}})


def throughput(client: Client, runs: int) -> float:
    """Return the one-step runs per second, from the first POST until the last has ended."""
    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.post("/api/v1/workflows/one/runs", {}), range(runs)))
    while client.http.get("/api/v1/runs?state=queued&state=running&page_size=1").json()["results"]:
        time.sleep(0.02)
    return runs / (time.perf_counter() - started)


@contextmanager
def canvas(folder: Path) -> Iterator[Any]:
    """Run a Celery worker for the canvas on the panel's own broker; yields the module that sends to it."""
    os.environ["BENCH_REDIS"] = json.loads((folder / "run.json").read_text())["redis"]
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bench.canvas",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
        "-Q",
        "canvas",
    ]
    with (folder / "canvas.log").open("w") as log:
        worker = subprocess.Popen([*command, "-l", "ERROR"], cwd=ROOT, stdout=log, stderr=log)
        try:
            from bench import canvas as module

            module.step.delay().get(timeout=60)
            yield module
        finally:
            worker.terminate()
            worker.wait(20)


def show(name: str, values: list[float], unit: str = "ms") -> None:
    """Print one row."""
    print(f"{name:<46} {statistics.median(values):9.1f} {min(values):9.1f} {max(values):9.1f}  {unit}", flush=True)


def repeat(times: int, measure: Callable[[], float]) -> list[float]:
    """Return `times` measures after one to warm up."""
    measure()
    return [measure() for _ in range(times)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--repeat", type=int, default=7, help="measures of each (default: %(default)s)")
    parser.add_argument("--no-celery", action="store_true", help="leave the Celery canvas out")
    options = parser.parse_args()
    packages = ("django", "celery", "psycopg", "redis", "uvicorn")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}")
    with tempfile.TemporaryDirectory(prefix="mcp-bench-") as name, panel(Path(name)) as address:
        client = Client(address)
        set_up(client)
        print(f"{'':<46} {'median':>9} {'min':>9} {'max':>9}")
        show("one step, start to end", repeat(options.repeat * 3, lambda: client.run("one")))
        show(
            "one step, POST to the last event by SSE",
            repeat(options.repeat * 3, lambda: client.post_to_last_event("one")),
        )
        show("chain of 100, start to end", repeat(options.repeat, lambda: client.run("chain")))
        show("1 → 100 → 1, start to end", repeat(options.repeat, lambda: client.run("fan")))
        show("one-step runs over HTTP, 4 clients", repeat(3, lambda: throughput(client, 200)), "runs/s")
        if not options.no_celery:
            with canvas(Path(name)) as other:
                show("Celery canvas: chain of 100", repeat(options.repeat, lambda: other.chain_of(100) * 1000))
                show("Celery canvas: 1 → 100 → 1", repeat(options.repeat, lambda: other.fan_of(100) * 1000))


if __name__ == "__main__":
    main()
