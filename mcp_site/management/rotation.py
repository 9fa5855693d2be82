"""Which stored values are sealed by which key, and sealing them anew by the first: online, in batches, resumable.

Where a batch stopped is written nowhere: what is still sealed by another key is what is left to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from mcp_site.core.sealing import SEALED, SealBroken, key_ids, opened_by, resealed

OLD, LOST = "v1", "lost"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that holds sealed text: one text, or a JSON object of field → text."""

    model: type[models.Model]
    field: str

    @property
    def label(self) -> str:
        """Return its name for people: `connections.Connection.secrets`."""
        return f"{self.model._meta.label}.{self.field}"  # noqa: SLF001  public by convention

    @property
    def is_json(self) -> bool:
        """Tell whether it is an object of sealed texts."""
        return isinstance(self.model._meta.get_field(self.field), models.JSONField)  # noqa: SLF001

    def texts(self) -> str:
        """Return SQL that yields (pk, text) for every text of the column."""
        quote = connection.ops.quote_name
        table, pk = quote(self.model._meta.db_table), quote(str(self.model._meta.pk.column))  # noqa: SLF001
        column = quote(str(getattr(self.model._meta.get_field(self.field), "column", "")))  # noqa: SLF001
        if self.is_json:
            return f"select {pk} as pk, value as text from {table}, jsonb_each_text({column})"  # noqa: S608
        return f"select {pk} as pk, {column} as text from {table} where {column} <> ''"  # noqa: S608


def columns() -> list[Column]:
    """Return every sealed column: models that bind a seal to their rows (`seal_place`) keep it in one of these."""
    return [
        Column(model, field.name)
        for model in apps.get_models()
        if hasattr(model, "seal_place")
        for field in model._meta.get_fields()  # noqa: SLF001
        if field.name in ("secret", "secrets")
    ]


def census(column: Column) -> Counter[str]:
    """Return how many texts each key id sealed; `v1` where the text does not say, `lost` where the key is unknown."""
    known = set(key_ids())
    found: Counter[str] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(
            f"select substring(text from %s), count(*) from ({column.texts()}) t group by 1",  # noqa: S608
            [SEALED],
        )
        for form, count in cursor.fetchall():
            name = str(form or "").removeprefix("2:")
            found[OLD if name == "1" else name if name in known else LOST] += count
    return found


def left(column: Column) -> int:
    """Return how many rows hold a text that the first key did not seal."""
    with connection.cursor() as cursor:
        sql = f"select count(distinct pk) from ({column.texts()}) t where text not like %s"  # noqa: S608
        cursor.execute(sql, [_mine()])
        return int(cursor.fetchone()[0])


def rotate(column: Column, batch: int) -> Iterator[tuple[int, int]]:
    """Seal anew by the first key what another key sealed; yield (rows done, rows that no key opens) after each batch.

    Each batch is one short transaction that locks its rows, so a change made meanwhile is not lost.
    """
    after = 0
    while pks := _next(column, after, batch):
        done = broken = 0
        with transaction.atomic():
            rows = column.model._base_manager.select_for_update().filter(pk__in=pks).order_by("pk")  # noqa: SLF001
            for row in rows:
                fresh = _renewed(getattr(row, column.field))
                if fresh is None:
                    broken += 1
                    continue
                # Not save(): nothing else of the row is touched, its time of change neither.
                column.model._base_manager.filter(pk=row.pk).update(**{column.field: fresh})  # noqa: SLF001
                done += 1
        after = pks[-1]
        yield done, broken


def uses_of(key: str) -> dict[str, int]:
    """Return how many texts each column has that only this key opens; texts that do not say are tried."""
    found: dict[str, int] = {}
    for column in columns():
        count = census(column)[key]
        with connection.cursor() as cursor:
            cursor.execute(f"select text from ({column.texts()}) t where text like 'v1:%%'")  # noqa: S608
            count += sum(_opens(text) == key for (text,) in cursor.fetchall())
        if count:
            found[column.label] = count
    return found


def _opens(text: str) -> str:
    try:
        return opened_by(text)
    except SealBroken:
        return LOST


def _mine() -> str:
    return f"v2:{key_ids()[0]}:%"


def _next(column: Column, after: int, batch: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"select distinct pk from ({column.texts()}) t where pk > %s and text not like %s order by pk limit %s",  # noqa: S608
            [after, _mine(), batch],
        )
        return [pk for (pk,) in cursor.fetchall()]


def _renewed(value: Any) -> Any:
    """Return the sealed text or texts, sealed anew; None where one of them does not open."""
    try:
        if isinstance(value, Mapping):
            return {name: resealed(text) for name, text in value.items()}
        return resealed(value)
    except SealBroken:
        return None
