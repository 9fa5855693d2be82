"""The pages of triggers: the form of one, its secret once, its calls."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView
from mcp_site.core.errors import AppError, Forbidden
from workflows.forms import JsonField
from workflows.models import Workflow
from workflows.models.trigger import Trigger
from workflows.services import triggers as services
from workflows.services.starters import may_change, may_stop
from workflows.views.schedule_forms import StarterForm

SHOWN_CALLS = 20
_MONO = {"class": "c-input u-mono", "spellcheck": "false", "autocomplete": "off"}


class TriggerForm(StarterForm):
    """What a trigger does. The rules are the service's; what it refuses is shown beside the field."""

    inputs = JsonField(
        required=False,
        initial={},
        label="Inputs of the run",
        help_text='JSON with expressions over the call: {"order": "${{ body.order }}"}, or "${{ body }}".',
    )
    version = forms.CharField(
        required=False,
        max_length=63,
        widget=forms.TextInput(_MONO),
        help_text="A number, or an alias that is looked up at each call. Empty for the newest.",
    )

    def clean_inputs(self) -> Any:
        """Return the mapping, an empty object for nothing."""
        value = self.cleaned_data["inputs"]
        if value is not None and not isinstance(value, dict | str):
            raise forms.ValidationError("must be a JSON object, or one expression in quotes")
        return {} if value is None else value


class _OfTrigger(PageView):
    section = "workflows"

    def find(self, uid: UUID) -> Trigger:
        """Return the trigger. Raises Http404 for what the person may not see."""
        found: Trigger = get_object_or_404(Trigger.objects.visible_to(self.person).for_api(), uid=uid)
        return found

    def show(
        self, form: TriggerForm, workflow: Workflow, trigger: Trigger | None = None, status: int = 200
    ) -> HttpResponse:
        """Render the form, with the last calls."""
        context: dict[str, Any] = {"form": form, "workflow": workflow, "trigger": trigger, "may_change": True}
        if trigger is not None:
            context["may_change"] = may_change(self.person, trigger)
            context["may_stop"] = may_stop(self.person, trigger)
            context["calls"] = list(trigger.calls.select_related("run")[:SHOWN_CALLS])
        return self.page("workflows/trigger_form.html", context, status=status)

    def refused(
        self, form: TriggerForm, exc: AppError, workflow: Workflow, trigger: Trigger | None = None
    ) -> HttpResponse:
        """Show what a service refused in the form."""
        if isinstance(exc, Forbidden):
            raise PermissionDenied(exc.detail) from exc
        form.take(exc)
        return self.show(form, workflow, trigger, exc.status)

    def show_secret(self, trigger: Trigger, secret: str, token: str = "") -> HttpResponse:
        """Render what is shown once: in this answer, which nobody may keep."""
        address = self.request.build_absolute_uri(f"/hooks/{token}") if token else ""
        context = {"trigger": trigger, "secret": secret, "address": address}
        response = self.page("workflows/trigger_secret.html", context)
        response["Cache-Control"] = "no-store"
        return response


class TriggerNew(_OfTrigger):
    """A new trigger of a workflow."""

    def _workflow(self, slug: str) -> Workflow:
        workflow: Workflow = get_object_or_404(Workflow.objects.visible_to(self.person), slug=slug)
        if not access.can(self.person, "trigger.edit") or not access.can(self.person, "workflow.run", workflow):
            raise PermissionDenied
        return workflow

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the form."""
        return self.show(TriggerForm(), self._workflow(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Make it and show its address and secret once, or say beside the fields what is wrong."""
        workflow = self._workflow(slug)
        form = TriggerForm(request.POST)
        if not form.is_valid():
            return self.show(form, workflow, status=400)
        try:
            trigger, token, secret = services.create_trigger(by=self.person, workflow=workflow, **form.cleaned_data)
        except AppError as exc:
            return self.refused(form, exc, workflow)
        return self.show_secret(trigger, secret, token)


class TriggerDetail(_OfTrigger):
    """One trigger."""

    def get(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Show the form and its last calls."""
        trigger = self.find(uid)
        form = TriggerForm(initial={"inputs": trigger.inputs, "version": trigger.version})
        if isinstance(trigger.inputs, str):
            # A text is shown as the JSON that it came as.
            form.initial["inputs"] = json.dumps(trigger.inputs, ensure_ascii=False)
        return self.show(form, trigger.workflow, trigger)

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Change it and come back, or say beside the fields what is wrong."""
        trigger = self.find(uid)
        form = TriggerForm(request.POST)
        if not form.is_valid():
            return self.show(form, trigger.workflow, trigger, 400)
        try:
            services.update_trigger(by=self.person, trigger=trigger, **form.cleaned_data)
        except AppError as exc:
            return self.refused(form, exc, trigger.workflow, trigger)
        messages.success(request, "The trigger is changed.")
        return redirect(trigger)


class TriggerSwitch(_OfTrigger):
    """Pausing and going on."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Set it on or off as the form says."""
        trigger = self.find(uid)
        with self.saying():
            services.update_trigger(by=self.person, trigger=trigger, enabled=request.POST.get("enabled") == "true")
        return redirect(trigger)


class TriggerRotate(_OfTrigger):
    """Another secret."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Make it and show it once."""
        trigger = self.find(uid)
        made: list[tuple[Trigger, str]] = []
        with self.saying():
            made.append(services.rotate_secret(by=self.person, trigger=trigger))
        return self.show_secret(*made[0]) if made else redirect(trigger)


class TriggerDelete(_OfTrigger):
    """Removing one."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Remove it and go to its workflow."""
        trigger = self.find(uid)
        with self.saying():
            services.delete_trigger(by=self.person, trigger=trigger)
            messages.success(request, "The trigger is removed: its address is dead, its runs stay.")
        return redirect(trigger.workflow)
