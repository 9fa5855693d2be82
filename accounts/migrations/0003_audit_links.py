"""The chain over the audit events, held by the same trigger as they are."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

REFUSE = """
create trigger audit_links_stay before update or delete on accounts_audit_links
  for each row execute function mcp_refuse_change();
create trigger audit_links_all_stay before truncate on accounts_audit_links
  for each statement execute function mcp_refuse_change();
"""
UNDO = """
drop trigger audit_links_all_stay on accounts_audit_links;
drop trigger audit_links_stay on accounts_audit_links;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles_and_audit_trigger")]
    operations = [
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("hash", models.CharField(max_length=64)),
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="link",
                        to="accounts.auditevent",
                    ),
                ),
            ],
            options={"db_table": "accounts_audit_links", "ordering": ("-number",)},
        ),
        migrations.RunSQL(REFUSE, UNDO),
    ]
