"""Errors over HTTP: what went wrong, grouped."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request

from accounts import access
from mcp_site.core.filters import MomentFilter
from mcp_site.core.http import StrictQuery
from mcp_site.core.pagination import NewestFirst
from monitoring.models import Fault, FaultSource

TAGS = ["errors"]


class FaultFilter(django_filters.FilterSet):
    """`?source=&definition=&search=&after=`; the time is that of the last one seen."""

    source = django_filters.ChoiceFilter(choices=FaultSource.choices)
    definition = django_filters.CharFilter(field_name="definition__slug", max_length=63)
    search = django_filters.CharFilter(field_name="title", lookup_expr="icontains", max_length=200)
    after = MomentFilter(field_name="last_seen", lookup_expr="gte")

    class Meta:
        model = Fault
        fields: tuple[str, ...] = ()


class FaultSerializer(serializers.ModelSerializer[Fault]):
    """A sort of fault. `run` is the newest that it hit."""

    definition = serializers.CharField(source="definition.slug", read_only=True, allow_null=True)
    run = serializers.UUIDField(source="last_run.uid", read_only=True, allow_null=True)
    trace = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Fault
        fields: ClassVar[tuple[str, ...]] = (
            "fingerprint",
            "source",
            "title",
            "message",
            "trace",
            "definition",
            "count",
            "runs",
            "run",
            "first_seen",
            "last_seen",
        )


class FaultPages(NewestFirst):
    """What was seen last first."""

    ordering = ("-last_seen", "-id")


@extend_schema_view(
    list=extend_schema(tags=TAGS, summary="List errors"), retrieve=extend_schema(tags=TAGS, summary="Show an error")
)
class ErrorViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, StrictQuery):
    """Errors of the panel and failures of steps, grouped by what they have in common."""

    area = "metrics"
    lookup_field = "fingerprint"
    lookup_value_regex = "[0-9a-f]{64}"
    serializer_class = FaultSerializer
    filterset_class = FaultFilter
    pagination_class = FaultPages
    queryset = Fault.objects.none()

    def check_permissions(self, request: Request) -> None:
        """Let Viewers in. Raises NotAuthenticated, Forbidden."""
        super().check_permissions(request)
        access.require(request.user, "metric.view")

    def get_queryset(self) -> QuerySet[Fault]:
        """Return those that the caller may see."""
        return Fault.objects.visible_to(self.request.user).select_related("definition", "last_run")
