"""E-mail by the panel's mail server."""

from __future__ import annotations

from smtplib import SMTPException
from typing import Annotated, Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from pydantic import AfterValidator, Field

from monitoring.channels import base


def _address(value: str) -> str:
    try:
        validate_email(value)
    except ValidationError as exc:
        raise ValueError("must be an e-mail address") from exc
    return value


class EmailConfig(base.Config):
    """Whom to write to."""

    to: list[Annotated[str, AfterValidator(_address)]] = Field(min_length=1, max_length=50)


class Email(base.Channel):
    """One plain letter to all."""

    name = "email"
    label = "E-mail"
    description = "A letter by the panel's mail server (EMAIL_URL)."
    Config: ClassVar[type[base.Config]] = EmailConfig

    def send(self, config: Any, message: base.Message) -> base.Sent:
        """Send once."""
        # A subject is one line, whatever the title holds.
        subject = " ".join(f"[{message.severity}] {message.title}: {message.happening}".split())
        body = f"{message.text}\n\n{message.url}\n"
        letter = EmailMessage(subject, body, to=list(config.to), headers={"Message-ID": f"<{message.id}@alerts.panel>"})
        try:
            letter.send()
        except (SMTPException, OSError) as exc:
            raise base.SendFailed(f"The mail server did not take it: {type(exc).__name__}.") from exc
        return base.Sent()
