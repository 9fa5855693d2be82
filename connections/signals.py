"""What connections announce upwards, after commit."""

from __future__ import annotations

from django.dispatch import Signal

# A scan found another schema than the scan before. Arguments: connection_id, before, after (numbers of snapshots).
schema_changed = Signal()
