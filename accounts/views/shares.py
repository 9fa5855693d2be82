"""The share dialog: what definitions, workflows and connections offer to those who may edit them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from accounts import access, services
from accounts.forms.shares import WORDS, ReachForm, ShareForm
from accounts.mixins import PageView
from accounts.models import Grant, Permission
from mcp_site.core.errors import AppError


class Shares(PageView):
    """The shares of one thing of `model`; apps mount it by `routes`. A dialog for htmx, else a page of its own."""

    model: type[Any] = Grant

    @property
    def kind(self) -> str:
        """Return the model's name."""
        return str(self.model._meta.model_name)  # noqa: SLF001  public by convention

    def find(self, slug: str) -> Any:
        """Return the thing. Raises Http404 for what the person may not see, PermissionDenied for no right to edit."""
        thing = get_object_or_404(self.model.objects.visible_to(self.person), slug=slug)
        if not access.can(self.person, f"{self.kind}.edit", thing):
            raise PermissionDenied
        return thing

    def grants(self, thing: Any) -> QuerySet[Grant]:
        """Return its shares."""
        found = Grant.objects.filter(object_type=self.kind, object_id=thing.pk)
        return found.select_related("user", "team").order_by("pk")

    def show(self, thing: Any, form: ShareForm | None = None, status: int = 200, changed: bool = False) -> HttpResponse:
        """Render the dialog's inside, or the page around it."""
        search = self.request.GET.get("search", "")[:200].replace("\x00", "")
        form = form or ShareForm(search=search)
        context = {
            "thing": thing,
            "kind": self.kind,
            "grants": [(grant, _name(grant)) for grant in self.grants(thing)],
            "form": form,
            "search": search,
            "has_search": form.has_more or bool(search),
            "reaches": list(WORDS.items()),
            "changed": changed,
            "here": f"{self.kind}-sharing",
            "change": f"{self.kind}-sharing-change",
            "end": f"{self.kind}-sharing-end",
            "detail": f"{self.kind}-detail",
        }
        return self.page_or_part("accounts/sharing.html", "accounts/partials/sharing.html", context, status)

    def done(self, thing: Any) -> HttpResponse:
        """Show what it is like now."""
        if getattr(self.request, "htmx", False):
            return self.show(thing, changed=True)
        return redirect(f"{self.kind}-sharing", thing.slug)

    def get(self, request: HttpRequest, slug: str, **_: Any) -> HttpResponse:
        """Show who it is shared with."""
        return self.show(self.find(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Share it, or say beside the field why not."""
        thing, form = self.find(slug), ShareForm(request.POST)
        if not form.is_valid():
            return self.show(thing, form, 400)
        try:
            services.share(by=self.person, thing=thing, **form.given)
        except AppError as exc:
            form.take(exc)
            return self.show(thing, form, exc.status)
        return self.done(thing)


def _name(grant: Grant) -> str:
    """Return with whom it is; people by their name, since their e-mails are for Admins."""
    if grant.team is not None:
        return grant.team.name
    return (grant.user.full_name if grant.user else "") or "somebody without a name"


class ShareChange(Shares):
    """How far one share reaches."""

    def post(self, request: HttpRequest, slug: str, share: UUID | None = None) -> HttpResponse:
        """Save it."""
        thing = self.find(slug)
        grant, form = get_object_or_404(self.grants(thing), uid=share), ReachForm(request.POST)
        if not form.is_valid():
            return self.show(thing, status=400)
        permission = Permission(form.cleaned_data["permission"])
        services.change_share(by=self.person, thing=thing, grant=grant, permission=permission)
        return self.done(thing)


class ShareEnd(Shares):
    """The end of one share."""

    def post(self, request: HttpRequest, slug: str, share: UUID | None = None) -> HttpResponse:
        """Take it back; whoever shared by a share alone may have ended their own right by that."""
        thing = self.find(slug)
        services.unshare(by=self.person, thing=thing, grant=get_object_or_404(self.grants(thing), uid=share))
        if access.can(self.person, f"{self.kind}.edit", thing):
            return self.done(thing)
        return HttpResponse(headers={"HX-Redirect": "/"}) if getattr(request, "htmx", False) else redirect("dashboard")


def routes(model: type[Any], area: str) -> list[URLPattern]:
    """Return the page routes of the shares of `model`, whose things have their pages at `/{area}/{slug}/`."""
    kind = model._meta.model_name  # noqa: SLF001  public by convention
    base = f"{area}/<slug:slug>/sharing/"
    shown: dict[str, Any] = {"model": model, "section": area}
    return [
        path(base, Shares.as_view(**shown), name=f"{kind}-sharing"),
        path(f"{base}<uuid:share>/change/", ShareChange.as_view(**shown), name=f"{kind}-sharing-change"),
        path(f"{base}<uuid:share>/end/", ShareEnd.as_view(**shown), name=f"{kind}-sharing-end"),
    ]
