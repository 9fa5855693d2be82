"""Sends letters: rows wait for a tick, so that a slow or dead mail server holds up nobody and loses nothing.

It also makes asking for a reset take the same time whether the e-mail is known or not.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException

from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from accounts import tokens
from accounts.models import Letter
from mcp_site.core import clock

logger = logging.getLogger(__name__)

MAX_TRIES = 6
_BATCH = 20
_SUBJECTS = {
    tokens.INVITATION: "You are invited to the Model Control Panel",
    tokens.RESET: "Set a new password for the Model Control Panel",
}
_PAGES = {tokens.INVITATION: "register", tokens.RESET: "password-reset"}


def link(letter: Letter) -> str:
    """Return the address that the letter sends its reader to: it works once, for as long as its token lives."""
    token = tokens.letter(letter.user, letter.purpose)
    # Behind the hash, so that it reaches no server's log and no Referer; the page's script puts it into the form.
    return f"{letter.base_url.rstrip('/')}{reverse(_PAGES[letter.purpose])}#{token}"


def send_due() -> float | None:
    """Send what is due, at most 20 letters; a failed one is tried again after 1, 2, 4 … minutes, six times in all."""
    sent = 0
    for pk in list(_due().values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic():
            letter = _due().select_for_update(of=("self",), skip_locked=True).filter(pk=pk).first()
            if letter is not None:
                _send(letter)
                sent += 1
    return 0.1 if sent == _BATCH else None


def _due() -> QuerySet[Letter]:
    return Letter.objects.filter(sent_at=None, tries__lt=MAX_TRIES, due_at__lte=clock.now()).select_related("user")


def _send(letter: Letter) -> None:
    letter.tries += 1
    try:
        context = {"letter": letter, "link": link(letter), "lifetime": tokens.LETTER_LIFETIME[letter.purpose]}
        text = render_to_string(f"accounts/mail/{letter.purpose}.txt", context)
        send_mail(_SUBJECTS[letter.purpose], text, None, [letter.user.email])
    except (SMTPException, OSError) as exc:
        letter.due_at = clock.now() + timedelta(minutes=2 ** (letter.tries - 1))
        # The server's words may repeat the address or the message: the sort of the error is enough here.
        letter.error = type(exc).__name__
        logger.warning("a letter (%s) could not be sent: %s; try %d", letter.purpose, letter.error, letter.tries)
    else:
        letter.sent_at, letter.error = clock.now(), ""
    letter.save(update_fields=["tries", "due_at", "error", "sent_at"])
