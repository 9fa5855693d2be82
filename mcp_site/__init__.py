"""The wiring: settings, routes, commands. Imported first by every process, so it keeps their start quick."""

from __future__ import annotations

import sys
from types import ModuleType

# Two libraries import their command line tools with themselves, and with those prompt_toolkit, click and pygments: half
# a second in each of three processes at each start. httpx can do without; cel only wants a module of that name.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how an import is refused
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
