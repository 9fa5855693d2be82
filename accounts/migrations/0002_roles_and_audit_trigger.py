"""Seed the roles, and let the database hold the audit trail."""

from __future__ import annotations

from django.db import migrations

ROLES = ("Viewer", "Editor", "Admin")


def seed_roles(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


REFUSE = """
create function mcp_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or removed', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
create trigger audit_events_stay before update or delete on accounts_audit_events
  for each row execute function mcp_refuse_change();
create trigger audit_events_all_stay before truncate on accounts_audit_events
  for each statement execute function mcp_refuse_change();
"""
UNDO = """
drop trigger audit_events_all_stay on accounts_audit_events;
drop trigger audit_events_stay on accounts_audit_events;
drop function mcp_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.RunPython(seed_roles, migrations.RunPython.noop, elidable=False),
        migrations.RunSQL(REFUSE, UNDO),
    ]
