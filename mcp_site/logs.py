"""How the panel's processes log."""

from __future__ import annotations

from typing import Any


def settings(level: str) -> dict[str, Any]:
    """Return Django's LOGGING, which writes everything from `level` on to the console."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "line"},
            # Groups what is logged with an exception; GET /errors shows it.
            "faults": {"class": "monitoring.faults.FaultHandler", "level": "ERROR"},
        },
        "root": {"handlers": ["console", "faults"], "level": level},
        "loggers": {
            "httpx": {"level": "WARNING"},
            # The audit trail has every sign-in.
            "axes": {"level": "ERROR"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # A client's mistake is the client's: 4xx answers are not the panel's trouble.
            "django.request": {"level": "ERROR"},
        },
    }
