"""The pages of connections."""

from __future__ import annotations

from connections.views.act import ConnectionExport, ConnectionQuery, ConnectionScan, ConnectionTest
from connections.views.browse import ConnectionDetail, ConnectionList, SchemaIndex
from connections.views.compare import SnapshotCompare
from connections.views.edit import ConnectionArchive, ConnectionCreate, ConnectionEdit, ConnectionNew

__all__ = [
    "ConnectionArchive",
    "ConnectionCreate",
    "ConnectionDetail",
    "ConnectionEdit",
    "ConnectionExport",
    "ConnectionList",
    "ConnectionNew",
    "ConnectionQuery",
    "ConnectionScan",
    "ConnectionTest",
    "SchemaIndex",
    "SnapshotCompare",
]
