"""One's own account: name, e-mail, password, and where one is signed in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property

from accounts import services
from accounts.authentication import session_of
from accounts.forms import EmailForm, FilterForm, NameForm, PasswordForm
from accounts.mixins import PageView
from accounts.models import Role, Session, User
from accounts.throttles import count_login
from accounts.views import devices, limits
from mcp_site.core.errors import AppError

PAGE_SIZE = 20


class _Account(PageView):
    """What the page and its forms share. A form that is refused shows the whole page with what was typed."""

    section = "account"

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Send whoever reloads a refused form back to the page."""
        return redirect("account")

    @cached_property
    def current(self) -> Session | None:
        """Return the sign-in of this request; none for a cookie of before sign-ins were rows."""
        return session_of(self.request)

    def sign_ins(self) -> Any:
        """Return the person's sign-ins that can still be used."""
        return Session.objects.live().filter(user=self.person)

    def show(self, status: int = 200, **forms: Any) -> HttpResponse:
        """Render the page; `forms` stand in for the fresh ones."""
        known = self.current.pk if self.current else 0
        others = self.sign_ins().exclude(pk=known).order_by("-last_seen_at", "-pk")
        query = FilterForm(self.request.GET)
        page = Paginator(others, PAGE_SIZE).get_page(query.chosen.get("page"))
        first = [self.current] if self.current and page.number == 1 else []
        context = {
            "name_form": NameForm(initial={"full_name": self.person.full_name}),
            "email_form": EmailForm(),
            "password_form": PasswordForm(),
            "page": page,
            "total": page.paginator.count + (1 if self.current else 0),
            "sign_ins": [(one, devices.words(one.user_agent), one.pk == known) for one in [*first, *page.object_list]],
            # The names were read for the role already.
            "teams": [group.name for group in self.person.groups.all() if group.name not in Role.values],
            **forms,
        }
        return self.page("accounts/account.html", context, status=status)


class Account(_Account):
    """The page."""

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Show it."""
        return self.show()


class AccountName(_Account):
    """Another name."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save it."""
        form = NameForm(request.POST)
        if not form.is_valid():
            return self.show(400, name_form=form)
        services.change_person(by=self.person, user=self.person, full_name=form.cleaned_data["full_name"])
        messages.success(request, "Your name is saved.")
        return redirect("account")


class AccountEmail(_Account):
    """Another e-mail, for which the password is asked."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save it; tries are counted as those to sign in are, since they tell a right password from a wrong one."""
        form = EmailForm(request.POST)
        if not form.is_valid():
            return self.show(400, email_form=form)
        usage = count_login(request, self.person.email)
        if limits.is_over(usage, form):
            return limits.with_wait(self.show(429, email_form=form), usage)
        given = form.cleaned_data
        try:
            user = services.change_person(
                by=self.person, user=self.person, email=given["email"], password=given["current_password"]
            )
        except AppError as exc:
            form.take(exc)
            return self.show(exc.status, email_form=form)
        messages.success(request, f"Sign in as {user.email} from now on.")
        return redirect("account")


class AccountPassword(_Account):
    """Another password."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set it: this sign-in goes on, every other ends."""
        form = PasswordForm(request.POST)
        if not form.is_valid():
            return self.show(400, password_form=form)
        usage = count_login(request, self.person.email)
        if limits.is_over(usage, form):
            return limits.with_wait(self.show(429, password_form=form), usage)
        given = form.cleaned_data
        try:
            services.change_password(
                by=self.person, current=given["current_password"], new=given["new_password"], keep=self.current
            )
        except AppError as exc:
            form.take(exc)
            return self.show(exc.status, password_form=form)
        _keep_cookie(request, self.person, self.current)
        messages.success(request, "Your password is changed. Everywhere else you are signed out.")
        return redirect("account")


def _keep_cookie(request: HttpRequest, user: User, session: Session | None) -> None:
    """Let this browser stay signed in after its password changed, under a new cookie that its sign-in knows."""
    update_session_auth_hash(request, user)
    if session is not None:
        # Ending the sign-in removes the cookie's row by this key.
        Session.objects.filter(pk=session.pk).update(cookie_key=request.session.session_key or "")


class SessionEnd(_Account):
    """Ending one sign-in."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """End it; one's own is signing out."""
        session = get_object_or_404(self.sign_ins(), uid=uid)
        if self.current is not None and session.pk == self.current.pk:
            services.sign_out(by=self.person, session=session)
            logout(request)
            return redirect("login")
        services.end_session(by=self.person, session=session)
        messages.success(request, f"{devices.words(session.user_agent)} is signed out.")
        return redirect("account")


class SessionsEnd(_Account):
    """Ending all other sign-ins."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """End them, all or none."""
        ended = services.end_other_sessions(by=self.person, keep=self.current)
        said = f"{ended} sign-in{'' if ended == 1 else 's'} ended." if ended else "There was no other."
        messages.success(request, said)
        return redirect("account")
