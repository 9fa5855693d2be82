"""Reading PostgreSQL's catalogs: all schemas in a handful of queries, never one per table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import psycopg

from connections.connectors.base import Column, ForeignKey, Index, Table

_TABLES = """
select c.oid::bigint, n.nspname, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'),
       case when c.relkind in ('r', 'm', 'p') and c.reltuples >= 0 then c.reltuples::bigint end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and has_schema_privilege(n.oid, 'USAGE')
  and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
order by n.nspname, c.relname
"""
_COLUMNS = """
select a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull,
       case when a.attgenerated <> '' then 'generated: ' when a.attidentity <> '' then 'identity' else '' end
         || coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
       col_description(a.attrelid, a.attnum)
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any(%s) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
_PRIMARY_KEYS = """
select p.conrelid::bigint, array_agg(a.attname::text order by k.place)
from pg_constraint p cross join lateral unnest(p.conkey) with ordinality k(attnum, place)
join pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.attnum
where p.contype = 'p' and p.conrelid = any(%s)
group by p.conrelid
"""
_FOREIGN_KEYS = """
select f.conrelid::bigint, f.conname, array_agg(a.attname::text order by k.place), n.nspname, t.relname,
       array_agg(b.attname::text order by k.place)
from pg_constraint f join pg_class t on t.oid = f.confrelid join pg_namespace n on n.oid = t.relnamespace
cross join lateral unnest(f.conkey, f.confkey) with ordinality k(source, target, place)
join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.source
join pg_attribute b on b.attrelid = f.confrelid and b.attnum = k.target
where f.contype = 'f' and f.conrelid = any(%s)
group by f.conrelid, f.oid, f.conname, n.nspname, t.relname
order by f.conrelid, f.conname
"""
# An index on an expression has no column there; its definition stands in.
_INDEXES = """
select x.indrelid::bigint, i.relname, array_agg(pg_get_indexdef(x.indexrelid, place, true) order by place),
       x.indisunique
from pg_index x join pg_class i on i.oid = x.indexrelid cross join lateral generate_series(1, x.indnkeyatts) place
where x.indrelid = any(%s)
group by x.indrelid, x.indexrelid, i.relname, x.indisunique
order by x.indrelid, i.relname
"""
_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialised view", "f": "foreign table"}


def scan(conn: psycopg.Connection[tuple[Any, ...]]) -> list[Table]:
    """Return every table and view outside the system's schemas, in order of schema and name."""
    tables = conn.execute(_TABLES).fetchall()
    oids = ([row[0] for row in tables],)
    columns = _by_table(conn.execute(_COLUMNS, oids))
    primary_keys = _by_table(conn.execute(_PRIMARY_KEYS, oids))
    foreign_keys = _by_table(conn.execute(_FOREIGN_KEYS, oids))
    indexes = _by_table(conn.execute(_INDEXES, oids))
    return [
        Table(
            schema=schema,
            name=name,
            kind=_KINDS[kind],
            comment=comment,
            columns=tuple(
                Column(name=column, type=type_, nullable=nullable, default=default or None, comment=text)
                for column, type_, nullable, default, text in columns[oid]
            ),
            primary_key=tuple(name for (names,) in primary_keys[oid] for name in names),
            foreign_keys=tuple(
                ForeignKey(name=key, columns=tuple(own), schema=other, table=table, target_columns=tuple(theirs))
                for key, own, other, table, theirs in foreign_keys[oid]
            ),
            indexes=tuple(
                Index(name=index, columns=tuple(parts), unique=unique) for index, parts, unique in indexes[oid]
            ),
            rows=rows,
        )
        for oid, schema, name, kind, comment, rows in tables
    ]


def _by_table(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """Group rows by their first value, the table's oid."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for oid, *rest in rows:
        found[oid].append(tuple(rest))
    return found
