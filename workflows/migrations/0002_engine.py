"""Partitioned tables, triggers and the engine's functions."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "engine" / "sql"
FILES = ("tables_1", "words_1", "start_1", "claim_1", "end_1", "control_1")

UNDO = """
drop function wf_note_1, wf_sweep_1, wf_expand_1, wf_cancel_1, wf_complete_1, wf_end_1, wf_claim_1, wf_start_1,
  wf_inputs_1, wf_class_1, wf_verdict_1, wf_partitions_1;
drop trigger workflow_versions_stay on workflow_versions;
drop trigger step_is_terminal on workflow_step_executions;
drop trigger run_is_terminal on workflow_runs;
drop function wf_hold_the_line;
delete from workflow_limits where id = 0;
drop table workflow_logs, workflow_events, workflow_attempts;
"""


class Migration(migrations.Migration):
    dependencies = [("workflows", "0001_initial"), ("accounts", "0002_roles_and_audit_trigger")]
    operations = [
        migrations.RunSQL("\n".join((SQL / f"{name}.sql").read_text() for name in FILES), UNDO),
    ]
