"""Let the database hold versions and the history of aliases: they are never changed or removed."""

from __future__ import annotations

from django.db import migrations

REFUSE = """
create trigger definition_versions_stay before update or delete on definitions_versions
  for each row execute function mcp_refuse_change();
create trigger definition_versions_all_stay before truncate on definitions_versions
  for each statement execute function mcp_refuse_change();
create trigger alias_moves_stay before update or delete on definitions_alias_moves
  for each row execute function mcp_refuse_change();
create trigger alias_moves_all_stay before truncate on definitions_alias_moves
  for each statement execute function mcp_refuse_change();
"""
UNDO = """
drop trigger alias_moves_all_stay on definitions_alias_moves;
drop trigger alias_moves_stay on definitions_alias_moves;
drop trigger definition_versions_all_stay on definitions_versions;
drop trigger definition_versions_stay on definitions_versions;
"""


class Migration(migrations.Migration):
    dependencies = [("definitions", "0001_initial"), ("accounts", "0002_roles_and_audit_trigger")]
    operations = [migrations.RunSQL(REFUSE, UNDO)]
