"""What page views of all apps share: a signed-in person, a place in the navigation, errors in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.views import View

from accounts.models import User
from mcp_site.core.errors import AppError, Rejected
from mcp_site.core.http import page_or_partial


def base_url(request: HttpRequest) -> str:
    """Return the address under which the panel is open to whoever asks: for links in letters."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/")


class PageView(LoginRequiredMixin, View):
    """A page for people who are signed in. `section` marks the entry of the navigation that it belongs to."""

    section: ClassVar[str] = ""

    @property
    def person(self) -> User:
        """Return who looks at the page."""
        return cast(User, self.request.user)

    def handle_no_permission(self) -> HttpResponseRedirect | HttpResponse:  # type: ignore[override]  # not only redirects
        """Send a whole page to the sign-in; have htmx go there instead of swapping it into the page."""
        htmx = getattr(self.request, "htmx", None)
        if htmx:
            where = redirect_to_login(htmx.current_url_abs_path or "/", resolve_url("login"))
            return HttpResponse(status=401, headers={"HX-Redirect": where.url})
        return super().handle_no_permission()

    def page(self, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """Render a page, or a part of one."""
        return render(self.request, template, {"section": self.section, **context}, status=status)

    def page_or_part(self, page: str, part: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """Render `part` for htmx and `page` (which includes the same part) for everyone else."""
        response = page_or_partial(self.request, page, part, {"section": self.section, **context})
        response.status_code = status
        return response

    @contextmanager
    def saying(self) -> Iterator[None]:
        """Turn what a service refuses inside into messages on the next page."""
        try:
            yield
        except AppError as exc:
            for sentence in sentences_of(exc):
                messages.error(self.request, sentence)


def sentences_of(error: AppError) -> list[str]:
    """Return what went wrong in words for a person, one sentence per problem, with its field."""
    if isinstance(error, Rejected):
        return [f"{problem.path}: {problem.detail}" if problem.path else problem.detail for problem in error.problems]
    return [error.detail]
