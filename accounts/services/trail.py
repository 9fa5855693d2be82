"""Taking the audit trail out of the panel."""

from __future__ import annotations

from django.db import transaction

from accounts import access, audit
from accounts.models import AuditEvent, User


@transaction.atomic
def export_audit(*, by: User, form: str, filters: dict[str, str]) -> AuditEvent:
    """Record that `by` takes the events that `filters` let through out of the panel, as `form`; return that event.

    Raises Forbidden.
    """
    access.require(by, "audit.view")
    return audit.log(by, "audit.export", type="audit", changes={"as": [None, form], "filters": [None, filters]})
