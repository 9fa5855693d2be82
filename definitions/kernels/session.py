"""One kernel for one notebook: started clean, watched while it works, and ended with all that it started."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import nbformat
import psutil  # type: ignore[import-untyped]  # it is published without types
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from definitions.kernels import OUTPUT_MIME, Ended, Job, NotebookFailed, Stopped, cells

_POLL_SECONDS = 0.2
_STARTUP_SECONDS = 60
# How long an interrupted cell may take to say so; after that it is killed.
_GRACE_SECONDS = 1.0
# A unix socket's path has at most 107 bytes; jupyter_client appends a number.
_MAX_SOCKET_PATH = 96
_MAX_STREAM_CHARACTERS = 10 * 1024 * 1024
_MAX_LINE = 64 * 1024
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BOOTSTRAP = f"""
class _Mcp:
    @staticmethod
    def output(value):
        import json
        from IPython.display import publish_display_data
        def plain(item):
            if hasattr(item, "tolist"):
                return item.tolist()
            raise TypeError(f"mcp.output takes what JSON can say, not {{type(item).__name__}}")
        text = json.dumps(value, allow_nan=False, default=plain)
        publish_display_data({{{OUTPUT_MIME!r}: json.loads(text), "text/plain": text[:2000]}})
mcp = _Mcp()
del _Mcp
"""


def execute(job: Job) -> Ended:
    """Execute the notebook in a kernel of its own. Expected failures are in the result, not raised."""
    sockets = _sockets(job.private)
    try:
        # A worker's thread has no event loop; this one ends with the notebook.
        return asyncio.run(_Session(job, sockets).run())
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def _sockets(private: Path) -> Path:
    """Make the folder of the kernel's sockets: below `private` if the path is short enough."""
    if len(os.fsencode(private / "s" / "k-ipc")) <= _MAX_SOCKET_PATH:
        found = private / "s"
        found.mkdir(mode=0o700)
        return found
    # The shortest path there is.
    return Path(tempfile.mkdtemp(prefix="mcp-", dir="/tmp"))


class _Specs(KernelSpecManager):
    """Knows `python3` as the interpreter that runs the worker, without anything installed; others if installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name != "python3":
            return super().get_kernel_spec(kernel_name)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # A history file per attempt would cost time and serve nobody.
        argv.append("--HistoryManager.enabled=False")
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Client(NotebookClient):
    """nbclient, and a word to the panel about every output when it comes."""

    def __init__(self, notebook: Any, manager: AsyncKernelManager, job: Job, ended: Ended) -> None:
        super().__init__(
            notebook,
            km=manager,
            timeout_func=lambda _cell: job.timeout_per_cell,
            startup_timeout=_STARTUP_SECONDS,
            allow_errors=job.allow_errors,
        )
        self._job = job
        self._ended = ended
        self._open_lines = {"stdout": "", "stderr": ""}
        self._stream_characters = 0

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        content = msg["content"]
        if msg["msg_type"] == "stream":
            content["text"] = self._within_limit(str(content["text"]))
            if not content["text"]:
                return None
            self._hear(str(content["name"]), content["text"])
        elif OUTPUT_MIME in content.get("data", {}):
            self._ended.values.append(content["data"][OUTPUT_MIME])
        return super().output(outs, msg, display_id, cell_index)

    def _within_limit(self, text: str) -> str:
        """Return what of `text` may still be printed, and say once that there was more."""
        room = _MAX_STREAM_CHARACTERS - self._stream_characters
        self._stream_characters += len(text)
        if len(text) > room >= 0:
            note = f"The log ends here: a notebook may print {_MAX_STREAM_CHARACTERS:,} characters.\n"
            self._job.on_log("system", note)
        return text[: max(room, 0)]

    def _hear(self, stream: str, text: str) -> None:
        """Pass on whole lines; keep the rest until its end comes or it grows too long."""
        stream = stream if stream in self._open_lines else "stdout"
        whole, newline, rest = (self._open_lines[stream] + text).rpartition("\n")
        if len(rest) > _MAX_LINE:
            whole, newline, rest = whole + newline + rest, "\n", ""
        self._open_lines[stream] = rest
        if newline:
            self._job.on_log(stream, whole + "\n")

    def close_lines(self) -> None:
        """Pass on lines that never ended."""
        for stream, rest in self._open_lines.items():
            if rest:
                self._job.on_log(stream, rest + "\n")
                self._open_lines[stream] = ""


class _Session:
    """One execution, from the kernel's start to its end."""

    def __init__(self, job: Job, sockets: Path) -> None:
        self._job = job
        self._deadline = monotonic() + job.timeout if job.timeout is not None else math.inf
        notebook = nbformat.from_dict(job.notebook)
        self._ended = Ended(notebook=notebook)
        self._manager = AsyncKernelManager(
            kernel_name=job.kernel,
            kernel_spec_manager=_Specs(),
            transport="ipc",
            connection_file=str(sockets / "k.json"),
            ip=str(sockets / "k-ipc"),
        )
        self._client = _Client(notebook, self._manager, job, self._ended)
        self._cell = 0
        self._log = job.private / "kernel.log"

    async def run(self) -> Ended:
        """Execute, watch, and end the kernel whatever happens."""
        work = asyncio.ensure_future(self._work())
        try:
            reason = await self._watch(work)
            if reason:
                await self._interrupt(work)
                self._ended.error = reason
            else:
                self._ended.error = self._failure(work.exception())
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self._end_kernel()
            self._client.close_lines()
        return self._ended

    async def _watch(self, work: asyncio.Future[None]) -> Stopped | NotebookFailed | None:
        """Wait until the work is done, or return why it must stop."""
        while not work.done():
            await asyncio.wait({work}, timeout=min(_POLL_SECONDS, max(self._deadline - monotonic(), 0.0)))
            if work.done():
                break
            if monotonic() >= self._deadline:
                return NotebookFailed("timeout", f"the notebook did not end within {self._job.timeout:g} s")
            if self._job.cancelled():
                return Stopped()
        return None

    async def _work(self) -> None:
        with self._log.open("wb") as log:
            await self._client.async_start_new_kernel(
                cwd=str(self._job.cwd), env=dict(self._job.environment), stdout=log, stderr=log
            )
        kernel = await self._client.async_start_new_kernel_client()
        spec = self._manager.kernel_spec
        if spec is not None and spec.language == "python":
            kernel.execute(_BOOTSTRAP, silent=True, store_history=False)
        notebook = self._ended.notebook
        places = [index for index, _ in cells.code_cells(notebook)]
        for number, index in enumerate(places, 1):
            self._cell = index + 1
            self._job.on_progress((number - 1) / len(places), f"cell {number} of {len(places)}")
            await self._client.async_execute_cell(notebook.cells[index], index, execution_count=number)
        self._job.on_progress(1.0, f"{len(places)} cells done")
        self._client.set_widgets_metadata()

    def _failure(self, exc: BaseException | None) -> NotebookFailed | None:
        """Put what ended the work into the author's words. Raises what nobody expected."""
        match exc:
            case None:
                return None
            case CellExecutionError():
                trace = _ANSI.sub("", str(exc.traceback))[-20_000:]
                detail = {"cell": self._cell, "traceback": trace}
                return NotebookFailed("user_error", _ANSI.sub("", f"{exc.ename}: {exc.evalue}")[:2000], detail)
            case CellTimeoutError():
                message = f"cell {self._cell} did not end within {self._job.timeout_per_cell:g} s"
                return NotebookFailed("timeout", message, {"cell": self._cell})
            case DeadKernelError():
                message = f"the kernel died in cell {self._cell}: killed from outside, by itself, or for its memory"
                return NotebookFailed("killed", message, {"cell": self._cell})
            case NoSuchKernel():
                message = f"there is no kernel called {self._job.kernel!r} on this worker; python3 is always there"
                return NotebookFailed("user_error", message)
            case RuntimeError() if self._cell == 0:
                said = self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""
                return NotebookFailed("killed", "the kernel ended before it was ready", {"said": said})
            case _:
                raise exc

    async def _interrupt(self, work: asyncio.Future[None]) -> None:
        """Give the running cell a moment to notice, so that the notebook shows where it was."""
        if not self._manager.has_kernel:
            return
        try:
            await self._manager.interrupt_kernel()
        except (RuntimeError, OSError):
            return  # it is gone already
        await asyncio.wait({work}, timeout=_GRACE_SECONDS)

    async def _end_kernel(self) -> None:
        tree = self._measured_tree()
        client, self._client.kc = self._client.kc, None
        if client is not None:
            client.stop_channels()
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)
        else:
            await self._manager.cleanup_resources()
        # The kernel's process group is gone; this is for children that left it.
        for process in tree:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(tree, timeout=_GRACE_SECONDS)

    def _measured_tree(self) -> list[psutil.Process]:
        """Return the kernel's descendants, and note what the kernel has used so far."""
        pid = getattr(self._manager.provisioner, "pid", None)
        if not pid:
            return []
        try:
            process = psutil.Process(pid)
            tree: list[psutil.Process] = process.children(recursive=True)
            times = process.cpu_times()
            self._ended.cpu_seconds = times.user + times.system + times.children_user + times.children_system
            status = Path(f"/proc/{pid}/status")
            found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
            self._ended.peak_memory_bytes = int(found[1]) * 1024 if found else process.memory_info().rss
        except (psutil.Error, OSError):
            return []  # it has died
        return tree


def written(notebook: Any) -> str:
    """Return a notebook as the text of an .ipynb file."""
    return str(nbformat.writes(nbformat.from_dict(notebook)))


def prepared(notebook: Any) -> dict[str, Any]:
    """Return a notebook as execution wants it: whole texts in place of lines, an id for every cell that needs one.

    Raises NotebookFailed if it is none.
    """
    try:
        _, made = nbformat.validator.normalize(nbformat.v4.reads_json(json.dumps(cells.with_ids(notebook))))
        return dict(made)
    except (nbformat.ValidationError, nbformat.reader.NotJSONError, ValueError, KeyError, AttributeError) as exc:
        raise NotebookFailed("user_error", "the notebook is not in Jupyter's format 4") from exc
