"""How lists of named things (definitions, workflows, connections) are narrowed and ordered: everywhere alike."""

from __future__ import annotations

from datetime import UTC
from typing import Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters.fields import IsoDateTimeField
from rest_framework.request import Request
from rest_framework.views import APIView

from mcp_site.core.errors import Rejected
from mcp_site.core.models import Visibility
from mcp_site.core.pagination import NewestFirst


class _Moment(IsoDateTimeField):
    """A moment in UTC: PostgreSQL refuses offsets that Python takes."""

    def to_python(self, value: Any) -> Any:
        """Return the moment. Raises ValidationError."""
        moment = super().to_python(value)
        try:
            return moment.astimezone(UTC) if moment is not None else None
        except OverflowError as exc:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from exc


class MomentFilter(django_filters.IsoDateTimeFilter):
    """Compares a time with one given as ISO 8601."""

    field_class = _Moment


class NamedFilter(django_filters.FilterSet):
    """`?visibility=`, `?archived=`, `?search=`. The archived show only when asked for."""

    visibility = django_filters.ChoiceFilter(choices=Visibility.choices)
    # A BooleanFilter would take any other word for "not asked".
    archived = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")],
        coerce="true".__eq__,
        empty_value=None,
        method="filter_archived",
    )
    search = django_filters.CharFilter(method="filter_search", max_length=200)

    def filter_queryset(self, queryset: Any) -> Any:
        """Leave the archived out unless `archived` is given."""
        if self.form.cleaned_data.get("archived") is None:
            queryset = queryset.filter(archived_at=None)
        return super().filter_queryset(queryset)

    def filter_archived(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Keep only the archived, or only the others."""
        return queryset.filter(archived_at__isnull=not value)

    def filter_search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Keep what has the text in slug, name or description."""
        return queryset.filter(Q(slug__icontains=value) | Q(name__icontains=value) | Q(description__icontains=value))


class TaggedFilter(NamedFilter):
    """The same with `?tag=`."""

    tag = django_filters.CharFilter(method="filter_tag", max_length=50)

    def filter_tag(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Keep those that carry the tag."""
        return queryset.filter(tags__contains=[value])


class NamedPages(NewestFirst):
    """Newest first, or as `?ordering=` says."""

    orderings: ClassVar[dict[str, tuple[str, ...]]] = {
        "created_at": ("id",),
        "-created_at": ("-id",),
        "name": ("name", "id"),
        "-name": ("-name", "-id"),
        "slug": ("slug",),
        "-slug": ("-slug",),
    }

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        """Return the asked order. Raises Rejected where it is not one of ours."""
        asked = request.query_params.get("ordering", "-created_at")
        if asked not in self.orderings:
            raise Rejected(f"one of {', '.join(self.orderings)}", attr="ordering")
        return self.orderings[asked]
