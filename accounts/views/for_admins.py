"""What pages for Admins share."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from accounts import access
from accounts.mixins import PageView


class AdminPage(PageView):
    """A page for those whose role may do `action`; others get a 403 with its reason, strangers the sign-in."""

    action: ClassVar[str] = "user.manage"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask who it is before anything else."""
        if request.user.is_authenticated and not access.can(request.user, self.action):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)
