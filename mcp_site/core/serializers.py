"""Serializers for what comes in: unknown fields are refused, never ignored."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from mcp_site.core.documents import canonical

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Strict(serializers.Serializer[Any]):
    """A body in which every name is known: another name is an error at that name."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate `data`; unknown names are reported together with what else is wrong."""
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        writable = {name for name, field in self.fields.items() if not field.read_only}
        unknown = {
            name: serializers.ErrorDetail("this field is not known here", code="unknown_field")
            for name in data
            if name not in writable
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            if unknown and isinstance(exc.detail, dict):
                raise serializers.ValidationError({**exc.detail, **{n: [e] for n, e in unknown.items()}}) from exc
            raise
        if unknown:
            raise serializers.ValidationError({name: [error] for name, error in unknown.items()})
        return value


def read_body(shape: type[serializers.Serializer[Any]], request: Request, *, partial: bool = False) -> dict[str, Any]:
    """Return the body of `request` as `shape` understands it. Raises DRF's ValidationError."""
    body = shape(data=request.data, partial=partial)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


class JsonObject(serializers.JSONField):
    """A free-form JSON object, at most `max_bytes` when written out."""

    default_error_messages = {"not_object": "must be a JSON object", "too_large": "is larger than {limit} bytes"}

    def __init__(self, *, max_bytes: int = 1024 * 1024, **kwargs: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """Return `data` if it is an object within the limit."""
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            self.fail("not_object")
        if len(canonical(value)) > self.max_bytes:
            self.fail("too_large", limit=self.max_bytes)
        return value


class SlugField(serializers.RegexField):
    """A slug: small letters, digits and hyphens, 1 to 63 characters, not starting with a hyphen."""

    default_error_messages = {
        "invalid": "use small letters, digits and hyphens (at most 63), starting with a letter or digit"
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(regex=SLUG, **kwargs)
