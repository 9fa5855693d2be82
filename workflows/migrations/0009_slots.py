"""The engine's function that gives free slots to the runs that wait for them."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "engine" / "sql"


class Migration(migrations.Migration):
    dependencies = [("workflows", "0008_triggers")]
    operations = [migrations.RunSQL((SQL / "slots_1.sql").read_text(), "drop function wf_admit_1;")]
