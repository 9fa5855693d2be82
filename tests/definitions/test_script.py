"""Scripts: what a user's function may do, what becomes of its end, and that nothing of it stays behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import ValidationError

from definitions.kinds import Cancelled, Context, Emit, Outcome, SecretRef, StepFailed, get
from definitions.sandbox.levels import choose
from definitions.sandbox.streams import LINE_BYTES, TOTAL_BYTES

SCRIPT = get("script")


@dataclass
class Bench:
    """Runs scripts in fresh folders and keeps what was heard."""

    root: Path
    sandbox: str
    logs: list[tuple[str, str]] = field(default_factory=list)
    progress: list[tuple[float | None, str]] = field(default_factory=list)
    metrics: list[tuple[str, float]] = field(default_factory=list)
    folder: Path = Path()

    def run(
        self,
        code: str,
        inputs: dict[str, Any] | None = None,
        *,
        timeout: float | None = 30,
        secrets: dict[str, str] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        **config: Any,
    ) -> Outcome:
        self.folder = self.root / str(len(list(self.root.iterdir())))
        self.folder.mkdir()
        context = Context(
            config=SCRIPT.Config.model_validate({"language": "python", "code": dedent(code), **config}),
            inputs=inputs or {},
            secrets=secrets or {},
            folder=lambda: self.folder,
            timeout=timeout,
            emit=Emit(
                log=lambda stream, text: self.logs.append((stream, text)),
                progress=lambda fraction, text: self.progress.append((fraction, text)),
                metric=lambda name, value: self.metrics.append((name, value)),
                token=lambda text: None,
            ),
            cancelled=cancelled,
            idempotency_key="key-1",
            sandbox=self.sandbox,
        )
        return SCRIPT.run(context)

    def fail(self, code: str, *args: Any, **more: Any) -> StepFailed:
        with pytest.raises(StepFailed) as caught:
            self.run(code, *args, **more)
        return caught.value

    def text(self, stream: str) -> str:
        return "".join(text for name, text in self.logs if name == stream)


@pytest.fixture(params=["auto", "process"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Every test of a run, under the best isolation of this host and without any."""
    return Bench(tmp_path, request.param)


@pytest.fixture
def cut_off(tmp_path: Path) -> Bench:
    """The best isolation of this host, where it closes the network."""
    if "open" in choose("auto", network=False, folder=tmp_path).name:
        pytest.skip("NOT TESTED: this kernel allows no user namespaces")
    return Bench(tmp_path, "auto")


@pytest.fixture
def listening() -> Iterator[int]:
    """A server on this host's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def config(code: str, **more: Any) -> Any:
    return SCRIPT.Config.model_validate({"code": dedent(code), **more})


def inferred(signature: str) -> dict[str, Any]:
    schema = SCRIPT.infer(config(f"def main({signature}):\n    pass\n")).input_schema
    assert schema is not None
    return schema


def gone(folder: Path, name: str, seconds: float = 3) -> bool:
    """Tell whether the process that writes to a file has stopped doing so; its pid may be another namespace's."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = (folder / name).stat().st_size
        time.sleep(0.25)
        if (folder / name).stat().st_size == before:
            return True
    return False


ESCAPE = """
    import os, sys, time

    def main():
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            while True:
                with open("alive", "a") as file:
                    file.write("x")
                time.sleep(0.02)
        while not os.path.exists("alive"):
            time.sleep(0.01)
        {then}
"""


# What a run gives.


def test_a_script_returns_what_its_function_returns(bench: Bench) -> None:
    outcome = bench.run("def main():\n    print('hello')\n    return {'a': [1, 2.5, None, 'ü']}")
    assert outcome.output == {"a": [1, 2.5, None, "ü"]}
    assert bench.logs == [("stdout", "hello\n")]
    assert outcome.usage is not None
    assert outcome.usage.exit_code == 0
    assert outcome.usage.cpu_seconds is not None
    assert 0 < outcome.usage.cpu_seconds < 5
    assert outcome.usage.peak_memory_bytes is not None
    # Not the worker's own size, which a fork would have handed down.
    assert 1_000_000 < outcome.usage.peak_memory_bytes < 60_000_000
    assert outcome.usage.isolation in {
        "bubblewrap",
        "namespaces",
        "namespaces (network open)",
        "process (network open)",
    }


def test_inputs_arrive_as_arguments_by_name(bench: Bench) -> None:
    code = "def run(a, *, b=2, **rest):\n    return [a, b, rest]"
    assert bench.run(code, {"a": 1, "c": "ö\u2028"}, entrypoint="run").output == [1, 2, {"c": "ö\u2028"}]


def test_an_async_function_is_awaited(bench: Bench) -> None:
    assert bench.run("import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 3").output == 3


def test_dataclasses_and_the_main_guard_work_as_in_a_module(bench: Bench) -> None:
    code = """
        from __future__ import annotations
        from dataclasses import asdict, dataclass

        @dataclass
        class Point:
            x: int

        def main():
            return asdict(Point(1))

        if __name__ == "__main__":
            raise SystemExit("not imported")
    """
    assert bench.run(code).output == {"x": 1}


def test_files_in_the_artifacts_folder_are_kept(bench: Bench) -> None:
    code = """
        import os, pathlib
        def main():
            folder = pathlib.Path(os.environ["MCP_ARTIFACTS"])
            (folder / "plot.png").write_bytes(b"png")
            (folder / "deep").mkdir()
            (folder / "deep" / 'we<ird".txt').write_text("x")
    """
    outcome = bench.run(code)
    assert [(item.name, item.media_type) for item in outcome.artifacts] == [
        ("plot.png", "image/png"),
        ("deep-we-ird-.txt", "text/plain"),
    ]
    assert outcome.artifacts[0].path.read_bytes() == b"png"


def test_files_are_kept_when_the_script_fails(bench: Bench) -> None:
    failure = bench.fail(
        "import os\ndef main():\n    open(os.environ['MCP_ARTIFACTS'] + '/a.csv', 'w').close()\n    1 / 0"
    )
    assert [(item.name, item.media_type) for item in failure.artifacts] == [("a.csv", "text/csv")]


def test_links_pipes_and_too_many_files_are_no_artifacts(bench: Bench) -> None:
    code = """
        import os
        def main():
            os.chdir(os.environ["MCP_ARTIFACTS"])
            os.symlink("/etc/passwd", "a-link")
            os.symlink("/etc", "a-folder")
            os.mkfifo("a-pipe")
            for number in range(205):
                open(f"f{number:03}", "w").close()
    """
    outcome = bench.run(code)
    assert [item.name for item in outcome.artifacts] == [f"f{number:03}" for number in range(200)]
    assert "8 entries in MCP_ARTIFACTS were left out" in bench.text("system")


def test_an_artifacts_folder_that_became_a_link_gives_nothing(bench: Bench) -> None:
    code = """
        import os
        def main():
            os.rmdir(os.environ["MCP_ARTIFACTS"])
            os.symlink("/etc", os.environ["MCP_ARTIFACTS"])
    """
    assert bench.run(code).artifacts == ()


def test_progress_and_metrics_are_heard_and_not_logged(bench: Bench) -> None:
    code = """
        def main():
            print("::progress 0.4 almost half")
            print("::metric loss=0.25")
            print("::progress nonsense")
            print("::progress 7")
            print("::metric loss=nan")
            print("::progress 1")
    """
    bench.run(code)
    assert bench.progress == [(0.4, "almost half"), (1.0, "")]
    assert bench.metrics == [("loss", 0.25)]
    assert bench.text("stdout") == "::progress nonsense\n::progress 7\n::metric loss=nan\n"


def test_lines_are_heard_while_the_script_runs(bench: Bench) -> None:
    heard = threading.Event()
    code = """
        import time
        def main():
            print("first")
            time.sleep(30)
    """
    with pytest.raises(Cancelled):
        bench.run(code, cancelled=lambda: bool(bench.logs) and not heard.set())
    assert heard.is_set()
    assert bench.logs == [("stdout", "first\n")]


def test_long_lines_are_cut_and_a_last_line_needs_no_end(bench: Bench) -> None:
    bench.run(f"import sys\ndef main():\n    print('x' * {LINE_BYTES * 3})\n    sys.stdout.write('end\\0')")
    first, second = bench.text("stdout").splitlines()
    assert first == "x" * LINE_BYTES + f" … [cut: a line may have {LINE_BYTES:,} bytes]"
    assert second == "end\ufffd"


def test_too_much_printed_is_dropped_with_a_notice(bench: Bench) -> None:
    outcome = bench.run("def main():\n    for _ in range(8000):\n        print('y' * 999)\n    return 'done'")
    assert outcome.output == "done"
    assert TOTAL_BYTES - 2000 < len(bench.text("stdout")) <= TOTAL_BYTES
    assert bench.text("system") == f"The log ends here: an attempt may print {TOTAL_BYTES:,} bytes.\n"


# What failures become.


def test_an_exception_is_told_with_the_users_own_lines(bench: Bench) -> None:
    failure = bench.fail("import json\n\ndef helper():\n    json.loads('{')\n\ndef main():\n    helper()\n")
    assert failure.error_class == "user_error"
    assert failure.message.startswith("JSONDecodeError: Expecting property name")
    assert failure.detail["line"] == 4
    assert failure.detail["exit_code"] == 1
    assert failure.detail["cpu_seconds"] > 0
    assert 'File "script.py", line 7, in main\n    helper()' in failure.detail["traceback"]
    assert "child.py" not in failure.detail["traceback"]
    assert "JSONDecodeError" in bench.text("stderr")


def test_an_argument_that_the_function_does_not_take_is_the_users_error(bench: Bench) -> None:
    failure = bench.fail("def main(a):\n    return a", {"b": 1})
    assert (failure.error_class, "unexpected keyword argument 'b'" in failure.message) == ("user_error", True)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("sys.exit(3)", "SystemExit: Exit code 3"),
        ("sys.exit('enough')", "SystemExit: The script ended itself: enough"),
        ("os._exit(4)", "The script ended with exit code 4."),
        ("os._exit(0)", "The script ended before main() returned."),
    ],
)
def test_ending_itself_is_the_users_error(bench: Bench, statement: str, message: str) -> None:
    failure = bench.fail(f"import os, sys\ndef main():\n    {statement}")
    assert (failure.error_class, failure.message) == ("user_error", message)


def test_ending_itself_with_success_gives_null(bench: Bench) -> None:
    assert bench.run("import sys\ndef main():\n    sys.exit(0)").output is None


@pytest.mark.parametrize("value", ["{1, 2}", "float('nan')", "object()", "{'a': float('inf')}", "b'x'"])
def test_an_output_that_is_not_json_is_a_schema_error(bench: Bench, value: str) -> None:
    failure = bench.fail(f"def main():\n    return {value}")
    assert failure.error_class == "schema_error"
    assert failure.message.startswith("main() returned something that is not JSON: ")


def test_an_output_over_the_limit_is_refused(bench: Bench) -> None:
    failure = bench.fail("def main():\n    return 'x' * 2000", limits={"output_bytes": 1000})
    assert failure.error_class == "user_error"
    assert "more than the limit of 1,000" in failure.message


def test_an_output_file_that_is_a_link_is_not_followed(bench: Bench) -> None:
    code = """
        import os
        def main():
            os.symlink("/etc/passwd", os.environ["MCP_OUTPUT"])
            os._exit(0)
    """
    assert bench.fail(code).message == "The script ended before main() returned."


def test_an_output_file_written_by_hand_must_be_json(bench: Bench) -> None:
    code = """
        import os
        def main():
            with open(os.environ["MCP_OUTPUT"], "w") as file:
                file.write("[NaN]")
            os._exit(0)
    """
    failure = bench.fail(code)
    assert (failure.error_class, failure.message) == ("schema_error", "The output is not JSON: NaN is no JSON value")


def test_too_much_memory_is_oom(bench: Bench) -> None:
    failure = bench.fail("def main():\n    x = bytearray(400_000_000)", limits={"memory_bytes": 256 * 1024 * 1024})
    assert failure.error_class == "oom"
    assert failure.message == "MemoryError: the script needed more than its limit of 268,435,456 bytes."
    assert failure.detail["line"] == 2


def test_too_much_cpu_is_a_timeout(bench: Bench) -> None:
    failure = bench.fail("def main():\n    while True: pass", limits={"cpu_seconds": 1})
    assert (failure.error_class, failure.message) == ("timeout", "The script used more than 1 s of CPU time.")


def test_a_crash_is_killed_and_a_kill_from_outside_is_oom(bench: Bench) -> None:
    code = "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.{})"
    assert bench.fail(code.format("SIGSEGV")).message == "The script was ended by SIGSEGV."
    assert bench.fail(code.format("SIGABRT")).error_class == "killed"
    assert bench.fail(code.format("SIGKILL")).error_class == "oom"


def test_too_many_processes_end_the_script(bench: Bench) -> None:
    code = """
        import os, time
        def main():
            for _ in range(20):
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
            time.sleep(60)
    """
    failure = bench.fail(code, limits={"processes": 10})
    assert failure.message == "The script started more than 10 processes and was stopped."


def test_children_that_have_ended_do_not_count(bench: Bench) -> None:
    code = """
        import os, time
        def main():
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    if os.fork() == 0:
                        time.sleep(0.05)
                    os._exit(0)
                os.waitpid(pid, 0)
                time.sleep(0.07)
            return "done"
    """
    assert bench.run(code, limits={"processes": 8}).output == "done"


@pytest.mark.parametrize("given", [{"timeout": 0.3}, {"limits": {"wall_seconds": 0.3}, "timeout": None}])
def test_a_script_that_takes_too_long_is_stopped(bench: Bench, given: dict[str, Any]) -> None:
    started = time.monotonic()
    failure = bench.fail("import time\ndef main():\n    time.sleep(60)", **given)
    assert (failure.error_class, failure.message) == ("timeout", "The script took longer than 0.3 s and was stopped.")
    assert time.monotonic() - started < 10


def test_a_script_that_ignores_the_signal_is_killed_after_the_grace(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("definitions.sandbox.launch.GRACE_SECONDS", 0.4)
    code = "import signal, time\ndef main():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(60)"
    started = time.monotonic()
    assert bench.fail(code, timeout=0.3).error_class == "timeout"
    assert 0.6 < time.monotonic() - started < 10


def test_a_process_that_cannot_be_set_up_is_told_and_not_taken_for_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("definitions.sandbox.launch.CHILD", bench.root / "missing.py")
    failure = bench.fail("def main():\n    pass")
    assert failure.error_class == "killed"
    assert "can't open file" in bench.text("stderr")


# Nothing stays behind.


def test_a_cancelled_script_is_stopped_with_everything_it_started(bench: Bench) -> None:
    started = time.monotonic()
    with pytest.raises(Cancelled):
        bench.run(ESCAPE.format(then="time.sleep(60)"), cancelled=lambda: (bench.folder / "alive").exists())
    assert time.monotonic() - started < 10
    assert gone(bench.folder, "alive")


def test_a_daemon_does_not_outlive_its_script(bench: Bench) -> None:
    assert bench.run(ESCAPE.format(then="return 1")).output == 1
    assert gone(bench.folder, "alive")


def test_a_daemon_does_not_outlive_a_script_that_kills_its_warden(bench: Bench) -> None:
    failure = bench.fail(ESCAPE.format(then="os.kill(os.getppid(), 9); time.sleep(3); os._exit(5)"))
    # Inside a PID namespace nothing can kill the first process.
    assert failure.error_class in {"killed", "user_error"}
    assert gone(bench.folder, "alive")


def test_a_script_does_not_outlive_the_panel(bench: Bench) -> None:
    worker = os.fork()
    if worker == 0:
        try:
            bench.run(ESCAPE.format(then="time.sleep(60)"))
        finally:
            os._exit(0)
    alive = bench.root / "0" / "alive"
    end = time.monotonic() + 10
    while not alive.exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(worker, 9)
    os.waitpid(worker, 0)
    assert gone(alive.parent, "alive")


def test_nothing_runs_when_it_was_cancelled_before(bench: Bench) -> None:
    with pytest.raises(Cancelled):
        bench.run("def main():\n    open('ran', 'w')", cancelled=lambda: True)
    assert not (bench.folder / "ran").exists()


# What a script sees.


def test_the_environment_holds_only_what_was_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "MCP_SECRET_KEYS", "PYTHONPATH"):
        monkeypatch.setenv(name, "/panel-secret")
    outcome = bench.run(
        "import os\ndef main():\n    return dict(os.environ)",
        env={"REGION": "eu"},
        secrets={"API_KEY": "s3cret"},
    )
    seen = outcome.output
    assert {name for name in seen if name not in {"LC_CTYPE", "PWD"}} == {
        *("PATH", "HOME", "TMPDIR", "LANG", "MCP_INPUTS", "MCP_OUTPUT", "MCP_ARTIFACTS", "MCP_IDEMPOTENCY_KEY"),
        *("MCP_PROCESS_MARK", "REGION", "API_KEY"),
    }
    assert (seen["REGION"], seen["API_KEY"], seen["MCP_IDEMPOTENCY_KEY"]) == ("eu", "s3cret", "key-1")
    assert "panel-secret" not in json.dumps(seen)


def test_the_worker_s_environment_is_out_of_sight(cut_off: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        import glob, os
        def main():
            found = []
            for path in glob.glob("/proc/[0-9]*/environ"):
                try:
                    found.append(open(path, errors="replace").read())
                except OSError:
                    pass
            return "DATABASE_URL" in "".join(found)
    """
    assert cut_off.run(code).output is False


@pytest.mark.parametrize("module", ["mcp_site", "definitions.kinds", "accounts.models", "child", "levels"])
def test_the_panel_cannot_be_imported(bench: Bench, module: str) -> None:
    failure = bench.fail(f"import {module}\ndef main():\n    pass")
    assert failure.message == f"ModuleNotFoundError: No module named '{module.partition('.')[0]}'"


def test_stdin_is_empty_and_the_report_cannot_be_written(bench: Bench) -> None:
    code = """
        import os, sys
        def main():
            return [sys.stdin.read(), sorted(int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2)]
    """
    text, files = bench.run(code).output
    # One file is the listing's own.
    assert (text, len(files)) == ("", 1)


REACH = """
    import socket
    def main(port):
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return "reached"
"""


def test_the_network_is_closed_unless_the_version_opens_it(cut_off: Bench, listening: int) -> None:
    assert cut_off.fail(REACH, {"port": listening}).error_class == "user_error"
    assert cut_off.run(REACH, {"port": listening}, network=True).output == "reached"


def test_without_isolation_the_open_network_is_said(tmp_path: Path, listening: int) -> None:
    bench = Bench(tmp_path, "process")
    shut, opened = (bench.run(REACH, {"port": listening}, network=network) for network in (False, True))
    assert shut.usage is not None
    assert opened.usage is not None
    assert (shut.usage.isolation, opened.usage.isolation) == ("process (network open)", "process")


def test_privileges_are_dropped(cut_off: Bench) -> None:
    code = """
        def main():
            lines = open("/proc/self/status").readlines()
            return [line.split()[1] for line in lines if line.startswith(("CapEff", "NoNewPrivs"))]
    """
    assert cut_off.run(code).output == ["0000000000000000", "1"]


def test_required_isolation_refuses_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    failure = Bench(tmp_path, "required").fail("def main():\n    pass")
    assert failure.error_class == "unavailable"
    assert "SANDBOX=required" in failure.message


def test_bubblewrap_shows_neither_the_panel_nor_the_users_home(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("NOT TESTED: bubblewrap is not installed")
    code = """
        import os
        def main(paths):
            open("/tmp/mine", "w").close()
            try:
                open("/usr/evil", "w")
            except OSError as error:
                return [error.strerror, [path for path in paths if os.path.exists(path)], os.listdir("/tmp")]
    """
    panel = Path(__file__).parents[2]
    paths = [str(panel / "manage.py"), str(panel / "mcp_site"), "/etc/shadow", "/root/.ssh", "/var/lib"]
    outcome = Bench(tmp_path, "required").run(code, {"paths": paths})
    assert outcome.usage is not None
    assert outcome.usage.isolation == "bubblewrap"
    assert outcome.output[:2] == ["Read-only file system", []]
    assert "mine" in outcome.output[2]


# What is refused and read off before anything runs.


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"language": "cobol"}, ("language",)),
        ({"entrypoint": "not a name"}, ("entrypoint",)),
        ({"env": {"PATH": "/"}}, ("env", "PATH", "[key]")),
        ({"env": {"LD_PRELOAD": "x"}}, ("env", "LD_PRELOAD", "[key]")),
        ({"env": {"PYTHONPATH": "x"}}, ("env", "PYTHONPATH", "[key]")),
        ({"env": {"MCP_OUTPUT": "x"}}, ("env", "MCP_OUTPUT", "[key]")),
        ({"env": {"lower": "x"}}, ("env", "lower", "[key]")),
        ({"env": {"A": "x\0"}}, ("env", "A")),
        ({"secrets": [{"env": "PATH", "connection": "c", "field": "value"}]}, ("secrets", 0, "env")),
        ({"limits": {"memory_bytes": 1}}, ("limits", "memory_bytes")),
        ({"limits": {"disk": 1}}, ("limits", "disk")),
        ({"colour": "red"}, ("colour",)),
    ],
)
def test_a_bad_config_names_its_field(change: dict[str, Any], path: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        config("def main(): pass", **change)
    assert [error["loc"] for error in caught.value.errors()] == [path]


def test_the_form_can_be_made_from_the_schema() -> None:
    schema = SCRIPT.Config.model_json_schema()
    assert schema["required"] == ["code"]
    assert set(schema["properties"]) >= set(SCRIPT.ui)


def test_a_syntax_error_names_its_line() -> None:
    [problem] = SCRIPT.problems(config("def main():\n    return (1,\n\nx = = 2\n"))
    assert (problem.path, problem.code, problem.line) == ("code", "syntax", 2)
    assert problem.detail == "Line 2: '(' was never closed."


@pytest.mark.parametrize("code", ["x = 1", "class A:\n    def main(self): pass", "main = 3"])
def test_a_missing_entrypoint_is_a_problem(code: str) -> None:
    [problem] = SCRIPT.problems(config(code))
    assert (problem.path, problem.code) == ("code", "entrypoint")


def test_code_that_cannot_be_parsed_at_all_is_a_problem() -> None:
    assert [problem.code for problem in SCRIPT.problems(config("a = '\0'"))] == ["syntax"]
    assert [problem.code for problem in SCRIPT.problems(config("x = " + "(" * 5000))] == ["syntax"]


def test_a_parameter_that_has_no_name_for_callers_is_a_problem() -> None:
    [problem] = SCRIPT.problems(config("def main(a, b=1, /): pass"))
    assert problem.line == 1
    assert SCRIPT.problems(config("def main(a=0, /, b=1): pass")) == []


def test_a_name_given_twice_is_a_problem() -> None:
    secret = {"env": "KEY", "connection": "openai", "field": "api_key"}
    [problem] = SCRIPT.problems(config("def main(): pass", env={"KEY": "x"}, secrets=[secret]))
    assert problem.path == "secrets.0.env"


def test_checking_never_runs_the_code(tmp_path: Path) -> None:
    made = tmp_path / "ran"
    code = f"open({str(made)!r}, 'w')\ndef main(a: open({str(made)!r}, 'w') = open({str(made)!r}, 'w')): pass"
    assert SCRIPT.problems(config(code)) == []
    assert SCRIPT.infer(config(code)).input_schema is not None
    assert not made.exists()


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("list", {"type": "array"}),
        ("dict", {"type": "object"}),
        ("list[str]", {"type": "array", "items": {"type": "string"}}),
        ("typing.List[Any]", {"type": "array"}),
        ("dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("str | None", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("Optional[int]", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("Union[int, str, int]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("int | str | None", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}),
        ("Annotated[int, 'x']", {"type": "integer"}),
        ("'list[float]'", {"type": "array", "items": {"type": "number"}}),
        ("Any", {}),
        ("DataFrame | None", {}),
        ("'not a type'", {}),
    ],
)
def test_a_type_hint_becomes_a_schema(annotation: str, schema: dict[str, Any]) -> None:
    assert inferred(f"a: {annotation}")["properties"] == {"a": schema}


def test_defaults_make_inputs_optional() -> None:
    assert inferred("a, b: int = 3, *, c, d=(1, 2), e=now(), f: str | None = None") == {
        "type": "object",
        "properties": {
            "a": {},
            "b": {"type": "integer", "default": 3},
            "c": {},
            "d": {"default": [1, 2]},
            "e": {},
            "f": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["a", "c"],
        "additionalProperties": False,
    }


def test_keyword_arguments_open_the_schema() -> None:
    assert inferred("**rest")["additionalProperties"] is True
    assert inferred("**rest: int")["additionalProperties"] == {"type": "integer"}


def test_what_cannot_be_parsed_infers_nothing() -> None:
    assert SCRIPT.infer(config("def main(")).input_schema is None
    assert SCRIPT.infer(config("x = 1")).input_schema is None


def test_the_kind_tells_what_the_author_said() -> None:
    secret = {"env": "KEY", "connection": "openai", "field": "api_key"}
    made = config("def main():\n    pass\n", idempotent=True, network=True, secrets=[secret])
    assert SCRIPT.is_idempotent(made)
    assert not SCRIPT.is_idempotent(config("def main(): pass"))
    assert SCRIPT.secrets(made) == [SecretRef("KEY", "openai", "api_key")]
    assert SCRIPT.summary(made) == "Python, main(), 2 lines, network"
