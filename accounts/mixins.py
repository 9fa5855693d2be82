"""What page views of all apps share: the signed-in request, and the guard in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View

from accounts.models import User
from mcp_site.core.errors import AppError, Rejected
from mcp_site.core.http import page_or_partial

P = ParamSpec("P")


class SignedInRequest(HttpRequest):
    """A request that came through `signed_in`: its user is a person."""

    user: User


def signed_in(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Send people who are not signed in to the login page, and back afterwards."""
    guarded = login_required(cast("Callable[..., HttpResponse]", view))
    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", guarded)


class PageView(LoginRequiredMixin, View):
    """A page for people who are signed in. `section` marks the entry of the navigation that it belongs to."""

    section: ClassVar[str] = ""

    @property
    def person(self) -> User:
        """Return who looks at the page."""
        return cast(User, self.request.user)

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
