#!/usr/bin/env python
"""Run the panel's commands; `manage.py up` starts everything."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcp_site.settings")
    if sys.argv[1:2] == ["up"]:
        # It only starts processes and keeps them: without Django it is there in 0.1 s and stays small.
        from mcp_site.up.main import main

        sys.exit(main(sys.argv[2:]))

    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError:
        if settings.DATABASES["default"]["NAME"] != settings.NOT_RUNNING:
            raise
        sys.exit("The panel is not running: start it with `manage.py up`, or name a database in DATABASE_URL.")
