"""The engine's functions with clocks, limits on runs, pauses, waits, results of other runs.

The functions that they take the place of stay for workers that still run the release before.
"""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "engine" / "sql"
FILES = ("words_2", "start_2", "end_2", "control_2", "sweep_2")

UNDO = """
drop function wf_sweep_2, wf_overdue_1, wf_expand_2, wf_wait_1, wf_resume_1, wf_pause_1, wf_stop_1, wf_complete_2,
  wf_end_2, wf_start_2, wf_parked_1, wf_verdict_2;
"""


class Migration(migrations.Migration):
    dependencies = [("workflows", "0004_clocks_and_slots")]
    operations = [
        migrations.RunSQL("\n".join((SQL / f"{name}.sql").read_text() for name in FILES), UNDO),
    ]
