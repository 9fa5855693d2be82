"""`make services`: the embedded servers alone, for working on the panel with `manage.py` commands beside them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from mcp_site.up import servers
from mcp_site.up.datadir import DataDir
from mcp_site.up.main import default_data_dir
from mcp_site.up.processes import StartFailed
from mcp_site.up.supervisor import Stopped, say


def main(arguments: list[str]) -> int:
    """Start them on the data folder, say where they are, and end them on Ctrl-C or SIGTERM. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make services", description="Start the embedded servers alone.")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir(), help="folder of everything they keep")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        _serve(DataDir(options.data_dir))
    except StartFailed as error:
        say(str(error))
        return 1
    except Stopped:
        pass
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _serve(data: DataDir) -> None:
    data.hold("no web address (embedded servers alone)")
    data.make_keys()
    planned = servers.plan(data.path)
    data.announce({**planned.addresses, "pid": os.getpid()})
    try:
        planned.start()
        for name, value in planned.environment.items():
            say(f"{name}={value}")
        say("Commands of manage.py find them through run.json. Ctrl-C ends them.")
        while not planned.dead():
            time.sleep(1)
        raise StartFailed(f"{planned.dead()} ended by itself")
    finally:
        planned.stop()
        data.withdraw()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
