"""What the list of definitions can be narrowed and ordered by."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView

from definitions import kinds
from definitions.models import Definition
from mcp_site.core.errors import Rejected
from mcp_site.core.models import Visibility
from mcp_site.core.pagination import NewestFirst


class DefinitionFilter(django_filters.FilterSet):
    """`?kind=`, `?tag=`, `?visibility=`, `?archived=`, `?search=`. The archived show only when asked for."""

    kind = django_filters.ChoiceFilter(choices=lambda: [(name, name) for name in kinds.KINDS])
    tag = django_filters.CharFilter(method="filter_tag", max_length=50)
    visibility = django_filters.ChoiceFilter(choices=Visibility.choices)
    # A BooleanFilter would take any other word for "not asked".
    archived = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")],
        coerce="true".__eq__,
        empty_value=None,
        method="filter_archived",
    )
    search = django_filters.CharFilter(method="filter_search", max_length=200)

    class Meta:
        model = Definition
        fields: ClassVar[tuple[str, ...]] = ()

    def filter_queryset(self, queryset: Any) -> Any:
        """Leave the archived out unless `archived` is given."""
        if self.form.cleaned_data.get("archived") is None:
            queryset = queryset.active()
        return super().filter_queryset(queryset)

    def filter_tag(self, queryset: QuerySet[Definition], _name: str, value: str) -> QuerySet[Definition]:
        """Keep those that carry the tag."""
        return queryset.filter(tags__contains=[value])

    def filter_archived(self, queryset: QuerySet[Definition], _name: str, value: bool) -> QuerySet[Definition]:
        """Keep only the archived, or only the others."""
        return queryset.filter(archived_at__isnull=not value)

    def filter_search(self, queryset: QuerySet[Definition], _name: str, value: str) -> QuerySet[Definition]:
        """Keep what has the text in slug, name or description."""
        return queryset.filter(Q(slug__icontains=value) | Q(name__icontains=value) | Q(description__icontains=value))


class DefinitionPages(NewestFirst):
    """Newest first, or as `?ordering=` says."""

    orderings: ClassVar[dict[str, tuple[str, ...]]] = {
        "created_at": ("id",),
        "-created_at": ("-id",),
        "name": ("name", "id"),
        "-name": ("-name", "-id"),
        "slug": ("slug",),
        "-slug": ("-slug",),
    }

    def get_ordering(self, request: Request, queryset: QuerySet[Definition], view: APIView) -> tuple[str, ...]:
        """Return the asked order. Raises Rejected where it is not one of ours."""
        asked = request.query_params.get("ordering", "-created_at")
        if asked not in self.orderings:
            raise Rejected(f"one of {', '.join(self.orderings)}", attr="ordering")
        return self.orderings[asked]


class VersionPages(NewestFirst):
    """Versions, newest first."""

    ordering = "-number"
