"""Reading one SQL statement before it is sent: is it one, is it a query, which `:name` parameters has it.

This is the polite half of read-only: a clear message at once. The database enforces it (see each connector).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from connections.connectors.parameters import Dialect, parameter_names, replace_parameters
from mcp_site.core.errors import Problem, Rejected, reject_if

MAX_SQL_CHARACTERS = 100_000

# sqlglot writes the statement into a warning when it falls back; statements belong in the audit trail, not in logs.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Lock)
# Functions that reach beyond the query: files of the server, other servers, other sessions, settings.
_FAR_REACHING = re.compile(
    r"(?i)^(pg_read_|pg_ls_|pg_stat_file|pg_file_|pg_logdir|lo_(import|export|creat|unlink|put|from_bytea)|dblink"
    r"|set_config|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_logical_|pg_create_"
    r"|pg_drop_|pg_replication_|pg_advisory_|pg_notify|pg_switch_wal|pg_promote|load_extension|writefile|readfile"
    r"|query_to_xml|database_to_xml|schema_to_xml"
    r"|load_file|sys_(exec|eval|get|set)|get_lock|release_(all_)?locks?$|master_(pos|gtid)_wait|nextval|setval"
    r"|read_(text|blob|csv|json|parquet|xlsx)|glob$|getenv|(mysql|postgres|sqlite)_(query|scan|execute|attach))"
)

# Statements that would end the transaction that the panel keeps, or talk another protocol.
_NOT_FOR_WRITERS = frozenset(
    {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "DISCARD", "COPY"}
    | {"LOAD", "XA", "LOCK", "UNLOCK", "ATTACH", "DETACH", "INSTALL", "EXPORT", "IMPORT"}
)
# MySQL runs what stands in such a comment.
_RUN_COMMENT = re.compile(r"/\*M?!")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: as written, whether it only reads by its form, and its parameters in order of appearance."""

    sql: str
    is_query: bool
    names: tuple[str, ...]


def read(sql: str, params: Mapping[str, Any], *, dialect: Dialect, read_only: bool) -> Statement:
    """Return the one statement in `sql`. Raises Rejected at `sql` or `params.<name>`."""
    if not sql.strip() or "\x00" in sql:
        raise Rejected("write one SQL statement", attr="sql", code="required")
    if len(sql) > MAX_SQL_CHARACTERS:
        raise Rejected(f"has more than {MAX_SQL_CHARACTERS} characters", attr="sql", code="too_large")
    if dialect == "mysql" and _RUN_COMMENT.search(sql):
        raise Rejected("comments that MySQL runs (/*! … */) are not accepted", attr="sql", code="not_understood")
    tree = _only_statement(sql, dialect)
    is_query = isinstance(tree, exp.Query | exp.Values) and not any(tree.find(kind) for kind in _WRITES)
    if read_only:
        _require_reading(tree, is_query=is_query)
    elif _first_word(sql, dialect) in _NOT_FOR_WRITERS:
        raise Rejected("transactions are the panel's to begin and end, and COPY is not supported", attr="sql")
    names = tuple(dict.fromkeys(parameter_names(sql, dialect)))
    reject_if(
        [
            *(Problem(f"params.{n}", "required", "the query names this parameter") for n in names if n not in params),
            *(
                Problem(f"params.{n}", "unknown_parameter", "the query has no such parameter")
                for n in params
                if n not in names
            ),
        ]
    )
    return Statement(sql, is_query, names)


def with_numbers(statement: Statement, dialect: Dialect) -> str:
    """Return the statement with `$1`, `$2`, … in place of its parameters, in the order of `statement.names`."""
    numbers = {name: f"${index}" for index, name in enumerate(statement.names, 1)}
    return replace_parameters(statement.sql, dialect, numbers.__getitem__)


def _only_statement(sql: str, dialect: Dialect) -> exp.Expr:
    try:
        # A parameter may be called like a keyword (`:from`), which the parser would stumble over.
        parsed = sqlglot.parse(replace_parameters(sql, dialect, lambda _: ":p"), dialect=dialect)
    except RecursionError as exc:
        raise Rejected("the statement nests too deep", attr="sql", code="not_understood") from exc
    except SqlglotError as exc:
        where: dict[str, Any] = next(iter(getattr(exc, "errors", [])), {})
        place = f" (line {where['line']}, column {where['col']})" if where.get("line") else ""
        detail = f"the statement is not understood{place}"
        raise Rejected(detail, attr="sql", code="not_understood") from exc
    trees = [tree for tree in parsed if tree is not None and not isinstance(tree, exp.Semicolon)]
    if len(trees) != 1:
        detail = "write one SQL statement" if not trees else "only one statement at a time"
        raise Rejected(detail, attr="sql", code="required" if not trees else "not_one_statement")
    return trees[0]


def _first_word(sql: str, dialect: Dialect) -> str:
    return str(sqlglot.tokenize(sql, dialect=dialect)[0].text).split(maxsplit=1)[0].upper()


def _require_reading(tree: exp.Expr, *, is_query: bool) -> None:
    if not is_query:
        raise Rejected("only a query that reads (SELECT, VALUES, WITH … SELECT)", attr="sql", code="not_read_only")
    for function in tree.find_all(exp.Func):
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        if _FAR_REACHING.match(name):
            raise Rejected(f"the function {name.lower()} reaches beyond a query", attr="sql", code="not_read_only")
