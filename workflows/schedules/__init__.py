"""Runs that start by the clock: when (`cron`), which times (`policy`), as whom (`owners`), the start (`firing`)."""

from __future__ import annotations
