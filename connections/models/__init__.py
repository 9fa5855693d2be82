"""Rows of connections."""

from __future__ import annotations

from connections.models.connection import Connection, ConnectionQuerySet
from connections.models.past_query import PastQuery
from connections.models.snapshot import SchemaSnapshot

__all__ = ["Connection", "ConnectionQuerySet", "PastQuery", "SchemaSnapshot"]
