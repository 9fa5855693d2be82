"""The rows of monitoring."""

from __future__ import annotations

from monitoring.models.series import Due, Rollup, Sample, Series

__all__ = ["Due", "Rollup", "Sample", "Series"]
