"""Alerts: judging series by rules, opening and closing, and sending word of it."""

from __future__ import annotations

from monitoring.alerting.delivery import deliver, deliver_in_background, send_test
from monitoring.alerting.evaluation import Crossing, Preview, evaluate, preview
from monitoring.alerting.log import fingerprint_of, open_alert, resolve_alert

__all__ = [
    "Crossing",
    "Preview",
    "deliver",
    "deliver_in_background",
    "evaluate",
    "fingerprint_of",
    "open_alert",
    "preview",
    "resolve_alert",
    "send_test",
]
