"""`manage.py up` as people start it: real processes, real servers."""

from __future__ import annotations
