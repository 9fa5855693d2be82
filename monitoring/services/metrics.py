"""What programs do with metrics."""

from __future__ import annotations

from collections.abc import Sequence

from accounts import access
from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.errors import Problem, Rejected
from monitoring import rollups, series
from monitoring.series import Measured


def record(*, by: User, measured: Sequence[Measured]) -> int:
    """Store samples; returns how many. Raises Forbidden, Rejected (too old or too early), TooManySeries."""
    access.require(by, "metric.write")
    oldest, newest = rollups.oldest_kept(), clock.now() + rollups.EARLY
    for index, one in enumerate(measured):
        if not oldest <= one.at <= newest:
            path = "at" if len(measured) == 1 else f"samples.{index}.at"
            detail = f"must be between {oldest.isoformat(timespec='seconds')} and a few minutes from now"
            raise Rejected([Problem(path, "out_of_range", detail)])
    return series.store(measured)
