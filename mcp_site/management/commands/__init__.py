"""Commands that touch every app."""

from __future__ import annotations
