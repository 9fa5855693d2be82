"""What workflows announce to apps above them, after commit.

`run_finished(sender, run_id: int, state: str)`: a run reached a terminal state.
`approval_asked(sender, run_id: int, step_id: int, reminder: bool)`: a step waits for people, or still does.
"""

from __future__ import annotations

from django.dispatch import Signal

run_finished = Signal()
approval_asked = Signal()
