"""What the list of definitions can be narrowed by, and the order of versions."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from definitions import kinds
from definitions.models import Definition
from mcp_site.core.filters import TaggedFilter
from mcp_site.core.pagination import NewestFirst


class DefinitionFilter(TaggedFilter):
    """`?kind=` beside what all named things have."""

    kind = django_filters.ChoiceFilter(choices=lambda: [(name, name) for name in kinds.KINDS])

    class Meta:
        model = Definition
        fields: ClassVar[tuple[str, ...]] = ()


class VersionPages(NewestFirst):
    """Versions, newest first."""

    ordering = "-number"
