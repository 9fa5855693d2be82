"""Runs a user's code in a child process that is cut off as far as the host allows."""

from __future__ import annotations
