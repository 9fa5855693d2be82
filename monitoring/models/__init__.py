"""The rows of monitoring."""

from __future__ import annotations

from monitoring.models.counter import Counter, MeasuredRun
from monitoring.models.series import Due, Rollup, Sample, Series

__all__ = ["Counter", "Due", "MeasuredRun", "Rollup", "Sample", "Series"]
