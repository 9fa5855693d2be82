"""How a connection to a server is encrypted: the modes that libpq made common, for every driver."""

from __future__ import annotations

import ssl
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connections.connectors.base import ConnectorFailed


class Tls(BaseModel):
    """The mode, and the authority that the server's certificate is checked against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ca: str = Field(
        default="",
        max_length=64 * 1024,
        title="CA certificate",
        description="The authority's certificate in PEM form; without it verify-full trusts the public authorities.",
        json_schema_extra={"widget": "textarea"},
    )

    @model_validator(mode="after")
    def _authority(self) -> Tls:
        if self.mode == "verify-ca" and not self.ca:
            raise ValueError("verify-ca needs ca: any public authority would be accepted for any host")
        return self

    @property
    def is_verified(self) -> bool:
        """Tell whether the server's certificate is checked at all."""
        return self.mode.startswith("verify")


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return a client's context for a mode that encrypts. Raises ConnectorFailed for a `ca` that is no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls.ca else ssl.create_default_context()
    # Python 3.13 asks more of certificates than database servers make for themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = tls.mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if tls.is_verified else ssl.CERT_NONE
    if tls.ca:
        try:
            context.load_verify_locations(cadata=tls.ca)
        except (ssl.SSLError, ValueError) as exc:
            raise ConnectorFailed("tls.ca is not a certificate in PEM form.") from exc
    return context


def refusal(exc: OSError) -> ConnectorFailed:
    """Return what to say of a handshake that failed, with what to do about it."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        advice = "Set tls.ca to the certificate of the server's authority."
        return ConnectorFailed(f"The server's certificate was not accepted: {exc.verify_message}. {advice}")
    return ConnectorFailed("The TLS handshake failed.")
