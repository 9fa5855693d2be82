"""The chain over the audit events: rows that are only ever added, so that a changed or lost event shows."""

from __future__ import annotations

from django.db import models

from accounts.models.audit_event import AuditEvent


class AuditLink(models.Model):
    """One sealed event. Numbers run from 1 without gaps in the order of sealing; a trigger refuses every change."""

    number = models.BigIntegerField(primary_key=True)
    # No constraint: its check would lock, and so write, each event; that an event is there is what `chain.verify` asks.
    event = models.OneToOneField(AuditEvent, on_delete=models.DO_NOTHING, related_name="link", db_constraint=False)
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "accounts_audit_links"
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"{self.number}: {self.hash[:12]}"
