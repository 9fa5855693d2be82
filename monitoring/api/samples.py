"""Bodies that carry samples, read by hand: a serializer takes longer for 5,000 of them than the database does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from mcp_site.core.documents import canonical
from mcp_site.core.errors import Problem, Rejected, reject_if
from mcp_site.core.serializers import JsonObject, Strict
from monitoring.series import Identity, Measured

MAX_SAMPLES = 5000
MAX_TAG_BYTES = 64 * 1024
MAX_NAME = 200
_FIELDS = {"name", "value", "tags", "at"}


class PerformanceBody(Strict):
    """How a model did: becomes the series `model.latency_ms` and `model.accuracy`, tagged `model`."""

    model_name = serializers.CharField(max_length=MAX_NAME)
    latency_ms = serializers.FloatField(min_value=0)
    accuracy = serializers.FloatField(required=False, allow_null=True)
    extra = JsonObject(required=False, max_bytes=MAX_TAG_BYTES)

    def measured(self, now: datetime) -> list[Measured]:
        """Return the checked body as samples of this moment."""
        given = self.validated_data
        tags = {"model": given["model_name"]}
        values = {"model.latency_ms": given["latency_ms"], "model.accuracy": given.get("accuracy")}
        unfit = [name.partition(".")[2] for name, value in values.items() if value is not None and not _fits(value)]
        reject_if(Problem(name, "invalid", "must be a finite number") for name in unfit)
        return [
            Measured(Identity(name, tags), now, float(value), given.get("extra"))
            for name, value in values.items()
            if value is not None
        ]


class SampleBody(Strict):
    """One sample, as the API's documents describe it. `at` is now unless it is given; values of tags become text."""

    name = serializers.CharField(max_length=MAX_NAME)
    value = serializers.FloatField()
    tags = JsonObject(required=False, max_bytes=MAX_TAG_BYTES)
    at = serializers.DateTimeField(required=False)


class BatchBody(Strict):
    """Up to 5,000 samples: all are stored, or none."""

    samples = SampleBody(many=True)


def read_sample(data: Any, now: datetime) -> list[Measured]:
    """Return the body of one sample. Raises Rejected with every fault and its path."""
    return _read([("", data)], now)


def read_batch(data: Any, now: datetime) -> list[Measured]:
    """Return the samples of `{"samples": [...]}`. Raises Rejected with the faults of the first that have any."""
    if not isinstance(data, dict):
        raise Rejected("must be an object with the field `samples`")
    reject_if(Problem(name, "unknown_field", "this field is not known here") for name in data if name != "samples")
    samples = data.get("samples")
    if not isinstance(samples, list):
        raise Rejected(
            "is required" if samples is None else "must be a list",
            attr="samples",
            code="required" if samples is None else "not_a_list",
        )
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise Rejected(f"from 1 to {MAX_SAMPLES} samples in one call", attr="samples", code="invalid_size")
    return _read([(f"samples.{index}", sample) for index, sample in enumerate(samples)], now)


def _read(samples: list[tuple[str, Any]], now: datetime) -> list[Measured]:
    problems: list[Problem] = []
    found = []
    known: dict[tuple[str, bytes], Identity] = {}
    for path, sample in samples:
        faults = list(_faults(sample))
        if faults:
            problems += [fault.under(path) for fault in faults]
            if len(problems) >= 20:
                break
            continue
        tags = sample.get("tags") or {}
        # Samples of one series share its identity.
        key = (sample["name"], canonical(tags) if tags else b"")
        if key not in known:
            known[key] = Identity(sample["name"], {name: as_text(value) for name, value in tags.items()})
        at = sample.get("at")
        found.append(Measured(known[key], _moment(at) if at else now, float(sample["value"])))
    reject_if(problems)
    return found


def _faults(sample: Any) -> Iterator[Problem]:
    if not isinstance(sample, dict):
        yield Problem("", "invalid", "must be an object")
        return
    name, value, tags = sample.get("name"), sample.get("value"), sample.get("tags")
    for missing in ("name", "value"):
        if sample.get(missing) is None:
            yield Problem(missing, "required", "is required")
    if name is not None and not (isinstance(name, str) and 1 <= len(name.strip()) <= len(name) <= MAX_NAME):
        yield Problem("name", "invalid", f"must be text of 1 to {MAX_NAME} characters")
    if value is not None and not _fits(value):
        yield Problem("value", "invalid", "must be a finite number")
    if tags and not (isinstance(tags, dict) and len(canonical(tags)) <= MAX_TAG_BYTES):
        yield Problem("tags", "invalid", f"must be a JSON object of at most {MAX_TAG_BYTES} bytes")
    if sample.get("at") is not None and _moment(sample["at"]) is None:
        yield Problem("at", "invalid", "must be a moment with an offset, such as 2026-11-24T14:00:00Z")
    for unknown in sample.keys() - _FIELDS:
        yield Problem(unknown, "unknown_field", "this field is not known here")


def _fits(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _moment(text: Any) -> Any:
    """Return the moment in UTC, or None where the text is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def as_text(value: Any) -> str:
    """Return the value of a tag as text: what is no text, as its JSON."""
    return value if isinstance(value, str) else canonical(value).decode()
