"""`manage.py up`: private servers, web and worker as children of one small process (it never imports Django)."""

from __future__ import annotations
