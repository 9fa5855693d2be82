"""`manage.py rotate_secrets`: bring every stored secret to the first key of MCP_SECRET_KEYS, while the panel serves."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit
from mcp_site.core.sealing import NoSealingKey, key_ids
from mcp_site.management import rotation


class Command(BaseCommand):
    """Reports, rotates, and says whether a key may go."""

    help = (
        "Seal every stored secret anew with the first key of MCP_SECRET_KEYS. It can be stopped and started again at"
        " any time, and the panel may serve meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--status", action="store_true", help="only say how many secrets each key has sealed")
        parser.add_argument("--retire", metavar="ID", help="say whether the key of this id may leave MCP_SECRET_KEYS")
        parser.add_argument("--batch", type=int, default=100, help="rows in one transaction (100)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it. Raises CommandError (exit 1) where a secret does not open or a key is in use."""
        try:
            keys = key_ids()
        except NoSealingKey as exc:
            raise CommandError(exc.detail) from exc
        if options["batch"] < 1:
            raise CommandError("--batch is a number from 1")
        if options["retire"]:
            self._retire(options["retire"], keys)
        elif options["status"]:
            self._report(keys)
        else:
            self._rotate(options["batch"])
            self._report(keys)

    def _rotate(self, batch: int) -> None:
        moved, broken = 0, 0
        for column in rotation.columns():
            wanted, done = rotation.left(column), 0
            for some, lost in rotation.rotate(column, batch):
                done, broken = done + some, broken + lost
                self.stdout.write(f"{column.label}: {done} of {wanted} rows")
                self.stdout.flush()
            moved += done
        if moved:
            with transaction.atomic():
                audit.log(None, "secrets.rotate", type="key", id=key_ids()[0], changes={"rows": moved, "lost": broken})
        if broken:
            raise CommandError(
                f"{broken} rows hold a secret that no key in MCP_SECRET_KEYS opens; they were left as they are."
                " Put the key back that sealed them, or give these secrets anew."
            )

    def _report(self, keys: list[str]) -> None:
        """Print a line for each column and key."""
        total: Counter[str] = Counter()
        for column in rotation.columns():
            counted = rotation.census(column)
            total += counted
            for name, count in sorted(counted.items()):
                self.stdout.write(f"{column.label}: {count} by {self._word(name, keys)}")
        for name in keys:
            self.stdout.write(f"key {name}: {total[name]} secrets{', seals' if name == keys[0] else ''}")

    def _word(self, name: str, keys: list[str]) -> str:
        if name == rotation.OLD:
            return "a key that the text does not name (written by an earlier version)"
        if name == rotation.LOST:
            return "a key that is not in MCP_SECRET_KEYS"
        return f"key {name}{', which seals' if name == keys[0] else ''}"

    def _retire(self, key: str, keys: list[str]) -> None:
        if key not in keys:
            raise CommandError(f"no key of MCP_SECRET_KEYS has the id {key}; there are: {', '.join(keys)}")
        if key == keys[0]:
            raise CommandError(f"key {key} is the one that seals; put another first, restart, and rotate")
        if used := rotation.uses_of(key):
            where = ", ".join(f"{label} ({count})" for label, count in used.items())
            raise CommandError(f"key {key} is in use: {where}. Run `manage.py rotate_secrets` first.")
        self.stdout.write(f"key {key} opens nothing any more: take it out of MCP_SECRET_KEYS and restart")
