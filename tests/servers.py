"""Names the servers that the tests use (loaded by pytest before the settings are)."""

from __future__ import annotations
