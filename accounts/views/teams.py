"""Teams, for Admins: groups of people to share things with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import services
from accounts.forms import FilterForm, PanelForm
from accounts.forms.people import MemberForm, TeamForm
from accounts.models import Role, User
from accounts.models.user import plain_email
from accounts.views.for_admins import AdminPage
from mcp_site.core.errors import AppError

PAGE_SIZE = 20
# More people than these are typed in whole.
SUGGESTED = 200


def teams() -> QuerySet[Group]:
    """Return the groups that are no roles, with their members."""
    members = Prefetch("user_set", queryset=User.objects.order_by("email"), to_attr="members")
    return Group.objects.exclude(name__in=Role.values).prefetch_related(members).order_by("name")


class _Teams(AdminPage):
    section = "users"

    def find(self, pk: int) -> Group:
        """Return a team. Raises Http404, for roles too."""
        return get_object_or_404(teams(), pk=pk)

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Send whoever reloads an answer to the list."""
        return redirect("teams")

    def show(self, form: TeamForm | None = None, refused: tuple[int, list[str]] | None = None) -> HttpResponse:
        """Render the list; `refused` is a team and what was wrong with what was asked of it."""
        query = FilterForm(self.request.GET)
        found = teams().filter(name__icontains=query.chosen.get("search", ""))
        context = {
            "query": query,
            "page": Paginator(found, PAGE_SIZE).get_page(query.chosen.get("page")),
            "form": form or TeamForm(),
            "refused": refused,
            "people": list(User.objects.filter(is_active=True).order_by("email")[:SUGGESTED]),
        }
        return self.page("accounts/teams.html", context, 200 if form is None and refused is None else 400)

    def set_members(self, team: Group, joins: User | None = None, leaves: UUID | None = None) -> None:
        """Set the members anew: those of now, with one more or one less."""
        with transaction.atomic():
            # Two Admins at once: the second reads what the first has written.
            Group.objects.select_for_update().get(pk=team.pk)
            uids = list(User.objects.filter(groups=team, is_active=True).values_list("uid", flat=True))
            members = [uid for uid in uids if uid != leaves]
            if joins is not None and joins.uid not in members:
                members.append(joins.uid)
            services.set_members(by=self.person, team=team, members=members)


class Teams(_Teams):
    """All teams, and making one."""

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Show a page of them."""
        return self.show()

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a team, or say beside the field what is wrong."""
        form = TeamForm(request.POST)
        if form.is_valid():
            try:
                team = services.create_team(by=self.person, name=form.cleaned_data["name"])
            except AppError as exc:
                form.take(exc)
            else:
                messages.success(request, f"{team.name} is made. Add its members.")
                return redirect("teams")
        return self.show(form)


class TeamRename(_Teams):
    """Another name."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Save it."""
        team, form = self.find(pk), TeamForm(request.POST)
        if form.is_valid():
            try:
                services.rename_team(by=self.person, team=team, name=form.cleaned_data["name"])
            except AppError as exc:
                form.take(exc)
            else:
                return redirect("teams")
        return self.show(refused=(pk, _said(form)))


class TeamJoin(_Teams):
    """One more member."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add whoever has the e-mail."""
        team, form = self.find(pk), MemberForm(request.POST)
        if not form.is_valid():
            return self.show(refused=(pk, _said(form)))
        email = plain_email(form.cleaned_data["email"])
        joining = User.objects.filter(email=email, is_active=True).first()
        if joining is None:
            return self.show(refused=(pk, [f"Nobody active has the e-mail {email}."]))
        with self.saying():
            self.set_members(team, joins=joining)
            messages.success(request, f"{joining} is in {team.name}.")
        return redirect("teams")


class TeamLeave(_Teams):
    """One member less."""

    def post(self, request: HttpRequest, pk: int, uid: UUID) -> HttpResponse:
        """Take somebody out of the team."""
        team = self.find(pk)
        with self.saying():
            self.set_members(team, leaves=uid)
        return redirect("teams")


class TeamRemove(_Teams):
    """The end of a team."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Remove it."""
        team = self.find(pk)
        with self.saying():
            services.remove_team(by=self.person, team=team)
            messages.success(request, f"{team.name} is removed, and what was shared with it is so no longer.")
        return redirect("teams")


def _said(form: PanelForm) -> list[str]:
    return [str(error) for errors in form.errors.values() for error in errors]
