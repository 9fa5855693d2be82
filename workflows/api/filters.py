"""What the lists of workflows and runs can be narrowed by."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.db.models import QuerySet

from mcp_site.core.filters import MomentFilter, TaggedFilter
from workflows.models import Run, TriggerKind, Workflow
from workflows.states import RunState


class WorkflowFilter(TaggedFilter):
    """What all named things have, with tags."""

    class Meta:
        model = Workflow
        fields: ClassVar[tuple[str, ...]] = ()


class RunFilter(django_filters.FilterSet):
    """`?workflow=&definition=&state=&trigger=&label=name:text&started_by=&created_after=&created_before=`."""

    workflow = django_filters.CharFilter(field_name="workflow__slug")
    definition = django_filters.CharFilter(field_name="definition__slug")
    state = django_filters.MultipleChoiceFilter(choices=RunState.choices)
    trigger = django_filters.ChoiceFilter(field_name="trigger_kind", choices=TriggerKind.choices)
    label = django_filters.CharFilter(method="filter_label", max_length=300)
    started_by = django_filters.UUIDFilter(field_name="started_by__uid")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Run
        fields: ClassVar[tuple[str, ...]] = ()

    def filter_label(self, queryset: QuerySet[Run], _name: str, value: str) -> QuerySet[Run]:
        """Keep those with the label `name:text`."""
        label, _, text = value.partition(":")
        return queryset.filter(labels__contains={label: text})
