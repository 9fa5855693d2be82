"""API keys: one's own, and for Admins everybody's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access, services
from accounts.forms.keys import OVERLAPS, KeyFilterForm, KeyForm, RotateForm
from accounts.mixins import PageView
from accounts.models import ApiKey
from accounts.models.api_key import MARK
from mcp_site.core import clock
from mcp_site.core.errors import AppError

PAGE_SIZE = 50


class _Keys(PageView):
    """What the page and its forms share."""

    section = "account"

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Send whoever reloads an answer back to the list."""
        return redirect("account-keys")

    def reachable(self) -> QuerySet[ApiKey]:
        """Return the keys that the person may manage."""
        keys = ApiKey.objects.select_related("owner").order_by("-created", "uid")
        return keys if access.can(self.person, "user.manage") else keys.filter(owner=self.person)

    def find(self, uid: UUID) -> ApiKey:
        """Return a key. Raises Http404 for one that the person may not manage."""
        return get_object_or_404(self.reachable(), uid=uid)

    def new_form(self, *args: Any) -> KeyForm:
        """Return the form of a new key, with the scopes that the person's role allows."""
        return KeyForm(*args, allowed=access.KEY_SCOPES[self.person.role])

    def show(
        self, form: KeyForm | None = None, made: tuple[ApiKey, str] | None = None, status: int = 200
    ) -> HttpResponse:
        """Render the list. `made` is a new key with its text, which only this answer holds."""
        query = KeyFilterForm(self.request.GET)
        may_see_all = access.can(self.person, "user.manage")
        found = _narrowed(self.reachable(), query.chosen)
        if not (may_see_all and query.chosen.get("everyone")):
            found = found.filter(owner=self.person)
        context = {
            "form": form or self.new_form(),
            "query": query,
            "page": Paginator(found, PAGE_SIZE).get_page(query.chosen.get("page")),
            "made": made[0] if made else None,
            "text": made[1] if made else "",
            "mark": MARK,
            "soon": clock.now() + timedelta(days=14),
            "may_see_all": may_see_all,
            "overlaps": list(OVERLAPS.items()),
        }
        answer = self.page("accounts/keys.html", context, status=status)
        answer["Cache-Control"] = "no-store"
        return answer


def _narrowed(keys: QuerySet[ApiKey], chosen: dict[str, Any]) -> QuerySet[ApiKey]:
    if not chosen.get("ended"):
        keys = keys.filter(Q(expiry_date=None) | Q(expiry_date__gt=clock.now()), revoked=False)
    if text := chosen.get("search"):
        prefix = text.removeprefix(MARK)
        keys = keys.filter(Q(name__icontains=text) | Q(prefix__istartswith=prefix) | Q(owner__email__icontains=text))
    return keys


class Keys(_Keys):
    """The list, and making one."""

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Show a page of them."""
        return self.show()

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a key and show its text, or say beside the fields what is wrong."""
        form = self.new_form(request.POST)
        if not form.is_valid():
            return self.show(form, status=400)
        try:
            made = services.issue_key(by=self.person, **form.given)
        except AppError as exc:
            form.take(exc)
            return self.show(form, status=exc.status)
        return self.show(made=made, status=201)


class KeyRotate(_Keys):
    """A successor."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Make it and show its text; the old key goes on for as long as was chosen."""
        key, form = self.find(uid), RotateForm(request.POST)
        if form.is_valid():
            with self.saying():
                overlap = timedelta(seconds=form.cleaned_data["overlap"])
                return self.show(made=services.rotate_key(by=self.person, key=key, overlap=overlap), status=201)
        else:
            messages.error(request, "Choose when the old key ends.")
        return redirect("account-keys")


class KeyRevoke(_Keys):
    """The end of a key."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Revoke it."""
        key = self.find(uid)
        with self.saying():
            services.revoke_key(by=self.person, key=key)
            messages.success(request, f"{key.name} is revoked: nothing can use it any more.")
        return redirect("account-keys")
