"""What pages say to those who try too often."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse

from accounts.throttles import Usage


def wait_words(seconds: int) -> str:
    """Return how long to wait, for people."""
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"


def refusal(seconds: int) -> str:
    """Return the sentence for somebody who has to wait."""
    return f"Too many tries from here. Try again in {wait_words(seconds)}."


def is_over(usage: Usage | None, form: forms.Form) -> bool:
    """Tell whether there were too many tries; then the form says so. The form's own check must have been asked."""
    if usage is None or not usage.is_over:
        return False
    form.add_error(None, refusal(usage.seconds))
    return True


def with_wait(response: HttpResponse, usage: Usage | None) -> HttpResponse:
    """Put the seconds to wait into the answer, where programs look for them."""
    if usage is not None and usage.is_over:
        response["Retry-After"] = str(usage.seconds)
    return response
