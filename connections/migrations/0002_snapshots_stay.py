"""Let the database hold the snapshots: they are never changed or removed."""

from __future__ import annotations

from django.db import migrations

REFUSE = """
create trigger snapshots_stay before update or delete on connections_snapshots
  for each row execute function mcp_refuse_change();
create trigger snapshots_all_stay before truncate on connections_snapshots
  for each statement execute function mcp_refuse_change();
"""
UNDO = """
drop trigger snapshots_all_stay on connections_snapshots;
drop trigger snapshots_stay on connections_snapshots;
"""


class Migration(migrations.Migration):
    dependencies = [("connections", "0001_initial"), ("accounts", "0002_roles_and_audit_trigger")]
    operations = [migrations.RunSQL(REFUSE, UNDO)]
