"""Query parameters of the lists."""

from __future__ import annotations

import django_filters
from django.db.models import Q, QuerySet

from workflows.models import Run, TriggerKind, Workflow
from workflows.states import RunState


class WorkflowFilter(django_filters.FilterSet):
    """`?tag=&archived=&search=`."""

    tag = django_filters.CharFilter(method="by_tag")
    archived = django_filters.BooleanFilter(method="by_archived")
    search = django_filters.CharFilter(method="by_text")

    class Meta:
        model = Workflow
        fields: tuple[str, ...] = ()

    def by_tag(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        """Keep those with the tag."""
        return queryset.filter(tags__contains=[value])

    def by_archived(self, queryset: QuerySet[Workflow], name: str, value: bool) -> QuerySet[Workflow]:
        """Keep the archived, or those that are not."""
        return queryset.filter(archived_at__isnull=not value)

    def by_text(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        """Keep those whose slug, name or description holds the text."""
        return queryset.filter(Q(slug__icontains=value) | Q(name__icontains=value) | Q(description__icontains=value))


class RunFilter(django_filters.FilterSet):
    """`?workflow=&definition=&state=&trigger=&label=name:text&started_by=&created_after=&created_before=`."""

    workflow = django_filters.CharFilter(field_name="workflow__slug")
    definition = django_filters.CharFilter(field_name="definition__slug")
    state = django_filters.MultipleChoiceFilter(choices=RunState.choices)
    trigger = django_filters.ChoiceFilter(field_name="trigger_kind", choices=TriggerKind.choices)
    label = django_filters.CharFilter(method="by_label")
    started_by = django_filters.UUIDFilter(field_name="started_by__uid")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Run
        fields: tuple[str, ...] = ()

    def by_label(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        """Keep those with the label `name:text`."""
        label, _, text = value.partition(":")
        return queryset.filter(labels__contains={label: text})
