"""What the list of connections can be narrowed by."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from connections import connectors
from connections.models import Connection
from mcp_site.core.filters import NamedFilter


class ConnectionFilter(NamedFilter):
    """`?type=` beside what all named things have."""

    type = django_filters.ChoiceFilter(choices=lambda: [(name, name) for name in connectors.CONNECTORS])

    class Meta:
        model = Connection
        fields: ClassVar[tuple[str, ...]] = ()
