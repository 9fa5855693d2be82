"""The page of approvals: what waits for a decision, and deciding it, there and on the page of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts.forms import FilterForm
from accounts.mixins import PageView, sentences_of
from accounts.models import User
from mcp_site.core.errors import AppError
from workflows import services
from workflows.forms import RunForm
from workflows.models import Approval, ApprovalState, Verdict

PAGE_SIZE = 25


class ApprovalFilterForm(FilterForm):
    """`?state=`: without it the open ones."""

    state = forms.ChoiceField(required=False, choices=[("", "Open"), ("all", "Any state"), *ApprovalState.choices])


class DecideForm(forms.Form):
    """What is decided beside the form of the approval itself."""

    verdict = forms.ChoiceField(choices=Verdict.choices)
    comment = forms.CharField(required=False, max_length=2000)
    index = forms.IntegerField(required=False, min_value=0, max_value=10**6)
    next = forms.ChoiceField(required=False, choices=[("", "run"), ("approvals", "approvals")])


@dataclass(frozen=True, slots=True)
class Question:
    """An approval as a page shows it: with its form for who may decide."""

    approval: Approval
    agreed: int
    may_decide: bool
    form: RunForm | None


def question_of(approval: Approval, person: User) -> Question:
    """Return what a page shows of an approval. Needs what `for_api` loads."""
    decisions = list(approval.decisions.all())
    is_open = approval.state == ApprovalState.OPEN and all(one.by_id != person.pk for one in decisions)
    may = is_open and services.may_decide(approval, person)
    form = RunForm(approval.form, auto_id=f"id_{approval.pk}_%s") if may and approval.form is not None else None
    return Question(approval, sum(one.verdict == Verdict.APPROVE for one in decisions), may, form)


class ApprovalList(PageView):
    """The inbox."""

    section = "approvals"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of approvals, those first that wait longest."""
        form = ApprovalFilterForm(request.GET)
        state = form.chosen.get("state") or ApprovalState.OPEN
        found = Approval.objects.visible_to(self.person).for_api()
        found = found.order_by("-step_id") if state == "all" else found.in_state(state).order_by("-step_id")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        questions = [question_of(approval, self.person) for approval in page.object_list]
        questions.sort(key=lambda one: not one.may_decide)
        context: dict[str, Any] = {"form": form, "page": page, "questions": questions, "state": str(state)}
        return self.page_or_part("workflows/approval_list.html", "workflows/partials/approval_rows.html", context)


class Decide(PageView):
    """Deciding from a page."""

    section = "approvals"

    def post(self, request: HttpRequest, uid: UUID, key: str) -> HttpResponse:
        """Decide, and go back to where the form was; what is wrong with it is said there."""
        form = DecideForm(request.POST)
        found = Approval.objects.visible_to(self.person).for_api()
        index = form.cleaned_data["index"] if form.is_valid() else None
        approval = get_object_or_404(found, run__uid=uid, step__key=key, step__index=index)
        if not form.is_valid():
            messages.error(request, "Approve or reject, with a comment of at most 2,000 characters.")
        else:
            self._decide(request, approval, form.cleaned_data)
        if form.is_valid() and form.cleaned_data["next"]:
            return redirect("approval-list")
        return redirect(f"{approval.run.get_absolute_url()}?step={key}#step")

    def _decide(self, request: HttpRequest, approval: Approval, given: dict[str, Any]) -> None:
        verdict = Verdict(given["verdict"])
        filled = RunForm(approval.form, request.POST) if approval.form is not None else None
        if verdict == Verdict.APPROVE and filled is not None and not filled.is_valid():
            for name, errors in filled.errors.items():
                label = filled.fields[name].label if name in filled.fields else ""
                messages.error(request, f"{label}: {errors[0]}" if label else str(errors[0]))
            return
        values = filled.inputs if verdict == Verdict.APPROVE and filled is not None else None
        try:
            services.decide(approval=approval, by=self.person, verdict=verdict, comment=given["comment"], form=values)
        except AppError as exc:
            for sentence in sentences_of(exc):
                messages.error(request, sentence)
        else:
            messages.success(request, "Approved." if verdict == Verdict.APPROVE else "Rejected.")
