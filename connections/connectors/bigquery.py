"""BigQuery, through sqlalchemy-bigquery and the key of a service account."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import sqlalchemy
from pydantic import Field, field_validator

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector

_HOST = "bigquery.googleapis.com"
# Where a key's own text may send the login: the vendor's address and nothing else.
_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address


class BigQueryConfig(base.Config):
    """Which project and dataset, and the key of a service account."""

    project: str = Field(min_length=4, max_length=63, pattern=r"^[a-z][a-z0-9-]+$")
    dataset: str = Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9_]+$")
    key: str = Field(
        min_length=2,
        max_length=16_384,
        repr=False,
        title="Service account key",
        description="The JSON that Google made.",
        json_schema_extra={"secret": True},
    )
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0

    @field_validator("key")
    @classmethod
    def _service_account(cls, key: str) -> str:
        try:
            found = json.loads(key)
        except ValueError as exc:
            raise ValueError("the JSON of a service account's key") from exc
        if not isinstance(found, dict) or found.get("type") != "service_account" or not found.get("private_key"):
            raise ValueError("the JSON of a service account's key")
        if found.get("token_uri", _TOKEN_URI) != _TOKEN_URI:
            raise ValueError("token_uri leads somewhere else than Google's")
        return key


class BigQuery(WarehouseConnector):
    """A BigQuery dataset."""

    name: ClassVar[str] = "bigquery"
    label: ClassVar[str] = "BigQuery"
    Config: ClassVar[type[base.Config]] = BigQueryConfig
    dialect: ClassVar[str] = "bigquery"
    modules: ClassVar[tuple[str, ...]] = ("sqlalchemy_bigquery",)
    package: ClassVar[str] = "sqlalchemy-bigquery"
    version: ClassVar[str] = "select 'as of ' || cast(current_date() as string)"
    catalog: ClassVar[str] = """
select c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.is_nullable, c.column_default
from {dataset}.INFORMATION_SCHEMA.COLUMNS c
join {dataset}.INFORMATION_SCHEMA.TABLES t on t.table_schema = c.table_schema and t.table_name = c.table_name
order by c.table_schema, c.table_name, c.ordinal_position
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the vendor's address, which no config can lead elsewhere."""
        return _HOST, 443

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the project and dataset; the driver finds the vendor's servers by itself."""
        return sqlalchemy.URL.create("bigquery", host=config.project, database=config.dataset)

    def engine_options(self, config: Any) -> dict[str, Any]:
        """Return the key of the config, so that the dialect does not look for one in the panel's environment."""
        return {"credentials_info": json.loads(config.key)}

    def catalog_of(self, config: Any) -> str:
        """Return the query with the dataset's name, which holds letters, digits and underscores only."""
        return self.catalog.format(dataset=f"`{config.project}.{config.dataset}`")
