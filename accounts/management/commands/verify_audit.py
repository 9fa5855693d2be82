"""`manage.py verify_audit`: proves the audit trail whole, or names the first broken link."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import chain


class Command(BaseCommand):
    """Seals what is not sealed yet and computes the chain anew."""

    help = "Prove that no audit event was changed or lost. Ends with status 1 when the chain is broken."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdict. Raises CommandError, which ends with status 1."""
        verdict = chain.verify()
        if not verdict.valid:
            raise CommandError(
                f"the audit chain is broken at link {verdict.first_broken}; the {verdict.checked} before it are right, "
                f"the last of them with the hash {verdict.head}"
            )
        self.stdout.write(f"the audit chain is whole: {verdict.checked} links, head {verdict.head}")
