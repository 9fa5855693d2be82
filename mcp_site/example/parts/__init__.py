"""What the example's definitions hold, as files that can be read and run on their own."""

from __future__ import annotations
