"""Holds a process that `up` started early until the tables are there, while it has loaded its code already."""

from __future__ import annotations

import os
import sys

VARIABLE = "_MCP_GATE"


def wait() -> None:
    """Wait for `up` to open the gate, if there is one; ends the process if `up` gave up."""
    descriptor = os.environ.pop(VARIABLE, "")
    if not descriptor:
        return
    opened = os.read(int(descriptor), 1)
    os.close(int(descriptor))
    if not opened:
        sys.exit(1)
