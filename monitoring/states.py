"""The words of alerts: how bad, how they stand, what happens when a series falls silent."""

from __future__ import annotations

from django.db.models import TextChoices


class Severity(TextChoices):
    """How bad it is. An alert may rise from the first to the second, never back."""

    WARN = "warn", "Warning"
    ALERT = "alert", "Alert"


class AlertState(TextChoices):
    """How an alert stands: somebody should look, somebody does, it is over."""

    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


class NoData(TextChoices):
    """What a rule makes of a window without samples: as before, all is well, or an alert."""

    KEEP = "keep", "Keep as it is"
    OK = "ok", "All is well"
    ALERT = "alert", "Alert"


class Comparison(TextChoices):
    """How a value is compared with the threshold that it should not meet."""

    BELOW = "<", "below"
    AT_MOST = "<=", "at most"
    ABOVE = ">", "above"
    AT_LEAST = ">=", "at least"


class Happening(TextChoices):
    """What people are told of."""

    OPENED = "opened", "Opened"
    ESCALATED = "escalated", "Escalated"
    REMINDED = "reminded", "Still open"
    RESOLVED = "resolved", "Resolved"
    TEST = "test", "Test"


class DeliveryState(TextChoices):
    """How a message to a channel stands."""

    PENDING = "pending", "Pending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
