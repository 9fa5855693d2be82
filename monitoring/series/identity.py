"""Which series a name and tags are: found by their digest, made when they are new."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.conf import settings

from mcp_site.core.documents import canonical
from mcp_site.core.errors import Conflict
from monitoring.models import Series


class TooManySeries(Conflict):
    """There are as many series as METRICS_MAX_SERIES allows: use tags with fewer different values."""

    code = "too_many_series"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a series: its name and tags, and (for the panel's own) what it is about."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    workflow_id: int | None = None
    definition_id: int | None = None

    def digest(self) -> str:
        """Return the SHA-256 of name and tags."""
        text = canonical([self.name, dict(self.tags), self.workflow_id, self.definition_id])
        return hashlib.sha256(text).hexdigest()


def find_or_make(wanted: Iterable[Identity]) -> dict[str, int]:
    """Return the key of each series by its digest; new ones are made. Raises TooManySeries.

    Two queries where all are known; call it inside a transaction.
    """
    by_digest = {identity.digest(): identity for identity in wanted}
    known = _known(by_digest)
    missing = sorted(by_digest.keys() - known.keys())
    if not missing:
        return known
    if Series.objects.count() + len(missing) > settings.METRICS_MAX_SERIES:
        raise TooManySeries
    # In one order, so that two callers that make the same ones wait for each other instead of both for ever.
    rows = [
        Series(
            name=(identity := by_digest[digest]).name,
            tags=dict(identity.tags),
            digest=digest,
            workflow_id=identity.workflow_id,
            definition_id=identity.definition_id,
        )
        for digest in missing
    ]
    Series.objects.bulk_create(rows, ignore_conflicts=True)
    return _known(by_digest)


def _known(digests: Iterable[str]) -> dict[str, int]:
    return dict(Series.objects.filter(digest__in=list(digests)).values_list("digest", "id"))
