"""The kind `notebook` in real kernels."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from definitions import kinds
from definitions.kernels import cells
from definitions.kinds import Cancelled, Outcome, StepFailed
from tests.definitions.attempts import Heard, context

NOTEBOOK = kinds.get("notebook")
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def notebook(*sources: str | tuple[str, str]) -> dict[str, Any]:
    """Return a notebook of code cells; a pair is a cell's source and its tag."""
    made = []
    for item in sources:
        source, tags = (item, []) if isinstance(item, str) else (item[0], [item[1]])
        made.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {}))
    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), *made])
    return dict(json.loads(nbformat.writes(found)))


def run(
    folder: Path, *sources: str | tuple[str, str], inputs: Any = None, heard: Heard | None = None, **rest: Any
) -> Outcome:
    options = {name: rest.pop(name) for name in ("env", "timeout_per_cell", "allow_errors", "kernel") if name in rest}
    config = {"notebook": notebook(*sources), **options}
    return NOTEBOOK.run(context(NOTEBOOK, config, inputs, heard=heard, folder=folder, **rest))


def failure(folder: Path, *sources: str | tuple[str, str], **rest: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        run(folder, *sources, **rest)
    return caught.value


def kept(found: Outcome | StepFailed) -> Any:
    """Return the executed notebook, which is the first artifact."""
    first = found.artifacts[0]
    assert (first.name, first.media_type) == ("notebook.ipynb", "application/x-ipynb+json")
    made = json.loads(first.path.read_text())
    nbformat.validate(made)
    return made


def typed(**config: Any) -> Any:
    return NOTEBOOK.Config.model_validate(config)


def test_a_notebook_gives_its_output_and_is_kept(tmp_path: Path) -> None:
    heard = Heard()
    outcome = run(
        tmp_path,
        ("region = 'north'\nlimit = 3", "parameters"),
        "import sys\nprint('hello', region)\nprint('oh', file=sys.stderr)\nprint('open', end='')",
        "mcp.output('first')\nmcp.output({'region': region, 'limit': limit, 'gone': None})",
        inputs={"region": "süd", "unused": [True, None, {"a": 1.5}]},
        heard=heard,
    )

    assert outcome.output == {"region": "süd", "limit": 3, "gone": None}
    assert heard.text("stdout") == "hello süd\nopen\n"
    assert heard.text("stderr") == "oh\n"
    assert heard.progress[0] == (0.0, "cell 1 of 4")
    assert heard.progress[-1][0] == 1.0
    made = kept(outcome)
    assert [cells.tags_of(cell) for cell in made["cells"]] == [[], ["parameters"], ["injected-parameters"], [], []]
    assert made["cells"][2]["source"][1:] == ["region = 'süd'\n", "unused = [True, None, {'a': 1.5}]"]
    assert "_Mcp" not in json.dumps(made)
    assert outcome.usage is not None
    assert outcome.usage.isolation == "process (network open)"
    assert (outcome.usage.peak_memory_bytes or 0) > 10_000_000


def test_without_a_parameters_cell_inputs_come_first_and_tagged_cells_are_the_output(tmp_path: Path) -> None:
    outcome = run(tmp_path, ("x + 1", "output"), inputs={"x": 41})

    assert outcome.output == 42
    assert cells.tags_of(kept(outcome)["cells"][0]) == ["injected-parameters"]


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        ((("{'a': (1, None)}", "output"),), {"a": [1, None]}),
        ((("object", "output"),), "object"),
        ((("1", "output"), ("'two'", "output")), [1, "two"]),
        (("1",), None),
    ],
)
def test_tagged_results_become_json(tmp_path: Path, sources: Any, output: Any) -> None:
    assert run(tmp_path, *sources).output == output


def test_a_failing_cell_keeps_the_notebook(tmp_path: Path) -> None:
    found = failure(tmp_path, "print('before')", "nothing", "print('never')")

    assert found.error_class == "user_error"
    assert found.message == "NameError: name 'nothing' is not defined"
    assert found.detail["cell"] == 3
    assert "\x1b" not in found.detail["traceback"]
    assert "NameError" in found.detail["traceback"]
    made = kept(found)
    assert made["cells"][1]["outputs"][0]["text"] == ["before\n"]
    assert made["cells"][2]["outputs"][0]["output_type"] == "error"
    assert made["cells"][3]["outputs"] == []


def test_errors_can_be_allowed(tmp_path: Path) -> None:
    assert run(tmp_path, "nothing", "mcp.output(1)", allow_errors=True).output == 1


def test_what_json_can_not_say_is_the_cells_error(tmp_path: Path) -> None:
    assert failure(tmp_path, "mcp.output({1, 2})").message.startswith("TypeError: mcp.output takes what JSON can say")


def test_a_notebook_ends_at_its_time_with_all_it_started(tmp_path: Path) -> None:
    start = time.monotonic()
    source = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    time.sleep(60)"
    )
    heard = Heard()
    found = failure(tmp_path, "print('kept')", source, timeout=3, heard=heard)

    assert found.error_class == "timeout"
    assert time.monotonic() - start < 20
    assert kept(found)["cells"][1]["outputs"][0]["text"] == ["kept\n"]
    pids = [int(pid) for pid in heard.text("stdout").split()[1:]]
    assert len(pids) == 2
    assert [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"] == []


def test_a_cell_has_its_own_time(tmp_path: Path) -> None:
    found = failure(tmp_path, "1", "import time; time.sleep(60)", timeout_per_cell=0.3)

    assert found.error_class == "timeout"
    assert found.message == "cell 3 did not end within 0.3 s"
    kept(found)


def test_a_cancelled_notebook_ends(tmp_path: Path) -> None:
    heard = Heard()
    stopped: list[float] = []

    def cancelled() -> bool:
        if "ready" in heard.text("stdout") and not stopped:
            stopped.append(time.monotonic())
        return bool(stopped)

    with pytest.raises(Cancelled):
        run(tmp_path, "import time; print('ready', flush=True); time.sleep(60)", heard=heard, cancelled=cancelled)

    assert time.monotonic() - stopped[0] < 10


def test_a_kernel_that_dies_is_named(tmp_path: Path) -> None:
    found = failure(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    assert found.error_class == "killed"
    kept(found)


def test_a_kernel_that_is_not_there_is_the_authors_fault(tmp_path: Path) -> None:
    found = failure(tmp_path, "1", kernel="no-such-kernel")

    assert found.error_class == "user_error"
    assert "no-such-kernel" in found.message


def test_the_environment_is_clean_and_secrets_stay_out_of_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://not-for-notebooks")
    monkeypatch.setenv("PYTHONPATH", "/not-for-notebooks")
    outcome = run(
        tmp_path,
        "import os\nprint(os.environ['TOKEN'])\nmcp.output([dict(os.environ, TOKEN='x'), os.getcwd()])",
        env={"MODE": "test", "HOME": "/elsewhere"},
        secrets={"TOKEN": "a-real-secret"},
    )

    found, cwd = outcome.output
    assert "not-for-notebooks" not in json.dumps(found)
    assert set(found) - {"JPY_PARENT_PID"} <= {
        *("PATH", "LANG", "HOME", "TMPDIR", "MODE", "TOKEN", "IPYTHONDIR", "MPLCONFIGDIR"),
        *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"),
        # Set by the kernel for its own children.
        *("MPLBACKEND", "TERM", "CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PAGER", "GIT_PAGER", "LC_CTYPE"),
        *("PYDEVD_USE_FRAME_EVAL", "PYDEVD_DISABLE_FILE_VALIDATION"),
    }
    assert found["MODE"] == "test"
    assert found["HOME"] == cwd == str(tmp_path / "work")
    assert "a-real-secret" not in json.dumps(kept(outcome))


def test_a_flood_of_text_ends_and_the_notebook_goes_on(tmp_path: Path) -> None:
    heard = Heard()
    outcome = run(tmp_path, "for _ in range(110):\n    print('x' * 100_000)", "mcp.output('done')", heard=heard)

    assert outcome.output == "done"
    assert "The log ends here" in heard.text("system")
    assert len(heard.text("stdout")) <= 10 * 1024 * 1024 + 1
    assert outcome.artifacts[0].path.stat().st_size < 11_000_000


def test_figures_are_artifacts(tmp_path: Path) -> None:
    source = f"from IPython.display import publish_display_data as show\nshow({{'image/png': '{DOT}'}})"
    outcome = run(tmp_path, "1", source + f"\nshow({{'image/png': '{DOT}'}})")

    assert [(a.name, a.media_type) for a in outcome.artifacts[1:]] == [
        ("figure-3-1.png", "image/png"),
        ("figure-3-2.png", "image/png"),
    ]
    assert outcome.artifacts[1].path.read_bytes().startswith(b"\x89PNG")


def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()

    assert run(deep, "mcp.output(1)").output == 1


def test_a_kernel_dies_with_its_worker(tmp_path: Path) -> None:
    # A worker that is killed has no chance to end its kernel.
    program = (
        "import pathlib, sys\n"
        "from tests.definitions.test_notebook import run\n"
        "run(pathlib.Path(sys.argv[1]), 'import os, pathlib, time\\n'\n"
        "    'pathlib.Path(\"pid\").write_text(str(os.getpid()))\\ntime.sleep(60)')\n"
    )
    pid_file = tmp_path / "work" / "pid"
    worker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 30
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        worker.kill()
        worker.wait()
    kernel = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(kernel) and psutil.Process(kernel).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.05)

    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == "zombie"


def test_it_runs_in_a_thread_without_an_event_loop_and_leaves_nothing_open(tmp_path: Path) -> None:
    found: list[Any] = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        thread = threading.Thread(target=lambda name=name: found.append(run(tmp_path / name, "mcp.output(1)").output))
        thread.start()
        thread.join()

    assert found == [1, 1]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_an_input_that_is_no_name_is_refused(tmp_path: Path) -> None:
    assert failure(tmp_path, "1", inputs={"class": 1}).error_class == "user_error"


def test_parameters_are_read_without_being_run() -> None:
    source = (
        "a = 1\nb: float = 2\nc = 'x'\nd = [1]\ne = {'k': None}\nf = None\ng = open('/etc/passwd')\nh = True\ni = -1.5"
    )
    config = typed(notebook=notebook((source, "parameters")))

    assert NOTEBOOK.infer(config).input_schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {"type": "number", "default": 2},
            "c": {"type": "string", "default": "x"},
            "d": {"type": "array", "default": [1]},
            "e": {"type": "object", "default": {"k": None}},
            "f": {"default": None},
            "h": {"type": "boolean", "default": True},
            "i": {"type": "number", "default": -1.5},
        },
    }
    assert NOTEBOOK.infer(typed(notebook=notebook("a = 1"))).input_schema is None


def test_cells_that_are_not_python_are_problems_unless_they_are_magics() -> None:
    good = notebook("%time x = 1", "x = !ls", "open?", "await thing()", "x = 1")
    assert NOTEBOOK.problems(typed(notebook=good)) == []

    problems = NOTEBOOK.problems(typed(notebook=notebook("x = 1", "x =\ny = 2")))
    assert [(p.path, p.code, p.line) for p in problems] == [("notebook.cells.2.source", "syntax_error", 1)]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"nbformat": 3}, "notebook.nbformat"),
        ({"nbformat_minor": "5"}, "notebook.nbformat_minor"),
        ({"cells": "none"}, "notebook.cells"),
        ({"cells": [{"cell_type": "code"}]}, "notebook.cells.0"),
        ({"cells": ["text"]}, "notebook.cells.0"),
    ],
)
def test_what_is_no_notebook_is_a_problem_at_its_place(change: Any, path: str) -> None:
    problems = NOTEBOOK.problems(typed(notebook={**notebook("x = 1"), **change}))

    assert problems[0].path == path


def test_cells_without_ids_are_given_some(tmp_path: Path) -> None:
    made = notebook("mcp.output(1)", "x = 1")
    for cell in made["cells"]:
        del cell["id"]
    assert NOTEBOOK.problems(typed(notebook=made)) == []

    outcome = NOTEBOOK.run(context(NOTEBOOK, {"notebook": made}, {"x": 1}, folder=tmp_path))
    assert len({cell["id"] for cell in kept(outcome)["cells"]}) == 4


def test_an_older_notebook_runs_as_it_is(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": "mcp.output(x)"}
    made = {"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [cell]}
    assert NOTEBOOK.problems(typed(notebook=made)) == []

    outcome = NOTEBOOK.run(context(NOTEBOOK, {"notebook": made}, {"x": 5}, folder=tmp_path))
    assert outcome.output == 5
    kept(outcome)


def test_names_that_the_panel_sets_are_refused() -> None:
    config = typed(
        notebook=notebook("1"),
        env={"JUPYTER_PATH": "/x", "1X": "y", "OK": "z"},
        secrets=[{"env": "LD_PRELOAD", "connection": "c", "field": "f"}],
    )

    assert [(p.path, p.code) for p in NOTEBOOK.problems(config)] == [
        ("env.JUPYTER_PATH", "reserved"),
        ("env.1X", "invalid"),
        ("secrets.0.env", "reserved"),
    ]
    assert NOTEBOOK.secrets(config) == [kinds.SecretRef("LD_PRELOAD", "c", "f")]
