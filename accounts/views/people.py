"""People, for Admins: who they are, what they asked for, invited, changed, removed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from accounts import letters, services
from accounts.forms.people import InviteForm, PeopleFilterForm, PersonForm
from accounts.mixins import base_url
from accounts.models import Role, User
from accounts.views.for_admins import AdminPage
from mcp_site.core.errors import AppError

PAGE_SIZE = 50
MAX_REQUESTS = 20


def known() -> QuerySet[User]:
    """Return people that are more than a line in the audit trail: of the removed nothing is left to manage."""
    removed = Q(email__startswith="removed-", email__endswith="@panel.invalid")
    return User.objects.exclude(removed).prefetch_related("groups")


def _narrowed(people: Any, chosen: dict[str, Any]) -> Any:
    if text := chosen.get("search"):
        people = people.filter(Q(full_name__icontains=text) | Q(email__icontains=text))
    if role := chosen.get("role"):
        people = people.of_role(role)
    match chosen.get("state"):
        case "active":
            people = people.present()
        case "pending":
            people = people.filter(is_active=True, password__startswith=UNUSABLE_PASSWORD_PREFIX)
        case "off":
            people = people.filter(is_active=False)
    return people


class Users(AdminPage):
    """Everybody."""

    section = "users"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of people, narrowed by the query, under what waits for a decision."""
        form = PeopleFilterForm(request.GET)
        found = _narrowed(known(), form.chosen).order_by("email")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        asking = known().filter(is_active=True).exclude(requested_role="").order_by("created_at")
        context = {"form": form, "page": page, "roles": Role.choices, "asking": list(asking[:MAX_REQUESTS])}
        return self.page_or_part("accounts/users.html", "accounts/partials/user_rows.html", context)


class UserInvite(AdminPage):
    """An invitation: a dialog on the list, a page of its own without a script."""

    section = "users"

    def show(self, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """Render the dialog's inside, or the page around it."""
        answer = self.page_or_part("accounts/user_invite.html", "accounts/partials/invite.html", context, status)
        answer["Cache-Control"] = "no-store"
        return answer

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show({"form": InviteForm()})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Invite, and show the letter's link: this once, for where no mail server is set up."""
        form = InviteForm(request.POST)
        if not form.is_valid():
            return self.show({"form": form}, 400)
        try:
            user, letter = services.invite(by=self.person, base_url=base_url(request), **form.cleaned_data)
        except AppError as exc:
            form.take(exc)
            return self.show({"form": form}, exc.status)
        return self.show({"invited": user, "link": letters.link(letter)}, 201)


class _OfUser(AdminPage):
    section = "users"

    def find(self, uid: UUID) -> User:
        """Return somebody. Raises Http404."""
        return get_object_or_404(known(), uid=uid)

    def back(self) -> HttpResponse:
        """Return to the list as it was narrowed."""
        query = QueryDict(self.request.POST.get("back", "")[:1000]).urlencode()
        return redirect(f"{reverse('users')}?{query}" if query else "users")

    def get(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Send whoever reloads an answer to the list."""
        return redirect("users")


class UserChange(_OfUser):
    """Another role, or switched off or on."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Change it."""
        user, form = self.find(uid), PersonForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Choose a role from the list.")
            return self.back()
        with self.saying():
            changed = services.change_person(by=self.person, user=user, **form.given)
            messages.success(request, _said(changed, form.given))
        return self.back()


def _said(user: User, given: dict[str, Any]) -> str:
    if given.get("is_active") is False:
        return f"{user} is switched off and signed out everywhere."
    return f"{user} is switched on again." if given.get("is_active") else f"{user} is {user.role} from now on."


class UserDecide(_OfUser):
    """The role that somebody asked for."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Grant it where the button says so, else refuse it."""
        user = self.find(uid)
        is_granted = request.POST.get("decision") == "grant"
        with self.saying():
            wish = user.requested_role
            services.decide_role(by=self.person, user=user, is_granted=is_granted)
            messages.success(request, f"{user} is {wish} now." if is_granted else f"{user} stays {user.role}.")
        return self.back()


class UserRemove(_OfUser):
    """The end of an account."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Remove it."""
        user = self.find(uid)
        name = str(user)
        with self.saying():
            services.remove_person(by=self.person, user=user)
            messages.success(request, f"{name} is removed. What they did stays in the audit trail.")
        return self.back()
