"""API keys: what a program signs in with, on behalf of the person who owns it and never beyond that person's rights."""

from __future__ import annotations

import ipaddress
from typing import ClassVar

from django.conf import settings
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey, BaseAPIKeyManager

from mcp_site.core import clock
from mcp_site.core.models import PublicId

# Keys are shown and sent with this before them, so that scanners of leaked secrets can tell what they found.
MARK = "mcp_"

AREAS = ("definitions", "workflows", "runs", "connections", "metrics", "alerts", "users")
READ_SCOPES = frozenset({f"{area}:read" for area in AREAS})
SCOPES = READ_SCOPES | {f"{area}:write" for area in AREAS} | {"connections:query", "audit:read"}


class ApiKeyManager(BaseAPIKeyManager):
    """Makes keys and finds them by the text that a client sends."""

    def get_usable_keys(self) -> models.QuerySet[ApiKey]:
        """Return keys that are not revoked and whose owner may sign in, with the owner."""
        return self.filter(revoked=False, owner__is_active=True).select_related("owner")

    def find(self, text: str) -> ApiKey | None:
        """Return the key that `text` is, if it may be used now."""
        if not text.startswith(MARK) or not text.isascii() or "\x00" in text:
            return None
        try:
            found = self.get_from_key(text.removeprefix(MARK))
        except ApiKey.DoesNotExist:
            return None
        return found if isinstance(found, ApiKey) and found.is_usable else None


class ApiKey(PublicId, AbstractAPIKey):
    """One key. The secret is shown once and stored as a hash."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    scopes = models.JSONField(default=list)
    # Networks (CIDR) from which it may be used; empty means any.
    allowed_networks = models.JSONField(default=list, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.GenericIPAddressField(null=True, blank=True)
    rotated_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects: ClassVar[ApiKeyManager] = ApiKeyManager()  # type: ignore[assignment]  # the library names its own

    class Meta(AbstractAPIKey.Meta):
        db_table = "accounts_api_keys"
        ordering = ("-created",)

    def __str__(self) -> str:
        return self.name

    def allows_address(self, address: str) -> bool:
        """Tell whether the key may be used from `address`."""
        if not self.allowed_networks:
            return True
        try:
            given = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(given in ipaddress.ip_network(network) for network in self.allowed_networks)

    def has_scope(self, needed: str) -> bool:
        """Tell whether the key may do what needs the scope `needed`; write includes read."""
        area, _, verb = needed.partition(":")
        return needed in self.scopes or (verb == "read" and f"{area}:write" in self.scopes)

    @property
    def is_usable(self) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return not self.revoked and (self.expiry_date is None or self.expiry_date > clock.now())
