"""The worked example: real data on penguins, one definition of each kind, and the workflow that joins them."""

from __future__ import annotations
