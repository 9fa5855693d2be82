"""The rows of monitoring."""

from __future__ import annotations

from monitoring.models.alert import Alert, AlertRule, RuleStanding
from monitoring.models.beat import Beat
from monitoring.models.channel import Channel, Delivery, Notification
from monitoring.models.counter import Counter, MeasuredRun
from monitoring.models.fault import Fault, FaultSource
from monitoring.models.series import Due, Rollup, Sample, Series

__all__ = [
    "Alert",
    "AlertRule",
    "Beat",
    "Channel",
    "Counter",
    "Delivery",
    "Due",
    "Fault",
    "FaultSource",
    "MeasuredRun",
    "Notification",
    "Rollup",
    "RuleStanding",
    "Sample",
    "Series",
]
