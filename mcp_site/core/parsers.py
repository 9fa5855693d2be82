"""The strict JSON parser of the API."""

from __future__ import annotations

from typing import IO, Any

from django.conf import settings
from rest_framework import parsers

from mcp_site.core.documents import load_json
from mcp_site.core.errors import AppError


class BodyTooLarge(AppError):
    """The body is larger than the panel accepts."""

    code = "too_large"
    status = 413


class JSONParser(parsers.JSONParser):
    """JSON as RFC 8259 has it, within the size and depth that the panel accepts."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the parsed body; an empty body is an empty object."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise BodyTooLarge(f"The body is larger than {limit} bytes.")
        return load_json(raw) if raw.strip() else {}
