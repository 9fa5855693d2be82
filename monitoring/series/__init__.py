"""Series: which they are, writing their samples, and reading them back by time."""

from __future__ import annotations

from monitoring.series.identity import Identity, TooManySeries, find_or_make
from monitoring.series.ingest import Measured, store
from monitoring.series.read import Line, minutes_of, points, totals

__all__ = ["Identity", "Line", "Measured", "TooManySeries", "find_or_make", "minutes_of", "points", "store", "totals"]
