"""What workflows announce to apps above them, after commit.

`run_finished(sender, run_id: int, state: str)`: a run reached a terminal state.
"""

from __future__ import annotations

from django.dispatch import Signal

run_finished = Signal()
