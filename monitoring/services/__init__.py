"""What people and programs do with metrics, rules, alerts, channels and their inbox."""

from __future__ import annotations

from monitoring.services.alerts import acknowledge_alert, raise_alert, resolve_alert_by_hand
from monitoring.services.channels import (
    create_channel,
    delete_channel,
    read_notifications,
    test_channel,
    update_channel,
)
from monitoring.services.metrics import record
from monitoring.services.rules import create_rule, delete_rule, preview_rule, update_rule

__all__ = [
    "acknowledge_alert",
    "create_channel",
    "create_rule",
    "delete_channel",
    "delete_rule",
    "preview_rule",
    "raise_alert",
    "read_notifications",
    "record",
    "resolve_alert_by_hand",
    "test_channel",
    "update_channel",
    "update_rule",
]
