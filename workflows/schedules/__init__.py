"""Runs that start by the clock: when (`cron`), which of the passed times (`policy`), and the start (`firing`)."""

from __future__ import annotations
