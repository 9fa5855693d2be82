"""The kind `sql` on a real SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from connections import connectors
from definitions import kinds
from definitions.kinds import Cancelled, ConnectionValues, StepFailed
from tests.definitions.attempts import Heard, context

SQL = kinds.get("sql")
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as c from n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[ConnectionValues]:
    """A small database."""
    conn = sqlite3.connect(tmp_path / "shop.db")
    conn.executescript("create table sale (id int, region text); insert into sale values (1,'n'), (2,'s'), (3,'n');")
    conn.close()
    connectors.allow_files_under([tmp_path])
    yield ConnectionValues(slug="shop", type="sqlite", config={"path": str(tmp_path / "shop.db")})
    connectors.allow_files_under([settings.MCP_DATA_DIR, *map(Path, settings.SQLITE_ROOTS)])


def run(shop: ConnectionValues, sql: str, inputs: Any = None, **rest: Any) -> Any:
    options = {name: rest.pop(name) for name in ("read_only", "max_rows", "timeout") if name in rest}
    config = {"connection": "shop", "sql": sql, **options}
    return SQL.run(context(SQL, config, inputs, connections={"shop": shop}, **rest)).output


def failure(shop: ConnectionValues, sql: str, inputs: Any = None, **rest: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        run(shop, sql, inputs, **rest)
    return caught.value


def test_rows_are_the_output(shop: ConnectionValues) -> None:
    found = run(shop, "select id, region from sale where region = :region order by id", {"region": "n"})

    assert found == {
        "columns": [{"name": "id", "type": "integer"}, {"name": "region", "type": "text"}],
        "rows": [[1, "n"], [3, "n"]],
        "row_count": 2,
        "truncated": False,
    }


def test_the_step_names_the_connection_where_the_definition_does_not(shop: ConnectionValues) -> None:
    made = context(SQL, {"sql": "select 1 as one"}, connections={"shop": shop}, step_connection="shop")
    assert SQL.run(made).output["rows"] == [[1]]

    with pytest.raises(StepFailed) as caught:
        SQL.run(context(SQL, {"sql": "select 1"}))
    assert caught.value.error_class == "user_error"


def test_rows_end_at_their_limit(shop: ConnectionValues) -> None:
    found = run(shop, "select id from sale", max_rows=2)

    assert (found["row_count"], found["truncated"]) == (2, True)


def test_writing_needs_to_be_allowed(shop: ConnectionValues) -> None:
    found = failure(shop, "delete from sale")
    assert found.error_class == "user_error"
    assert run(shop, "select count(*) as c from sale")["rows"] == [[3]]

    assert run(shop, "delete from sale where id = :id", {"id": 1}, read_only=False)["rows"] == [[1]]
    assert run(shop, "select count(*) as c from sale")["rows"] == [[2]]


@pytest.mark.parametrize(
    ("inputs", "path"), [({}, "inputs.region"), ({"region": "n", "more": 1}, "inputs.more"), ({"x": 1}, "inputs.")]
)
def test_inputs_that_do_not_fit_are_named(shop: ConnectionValues, inputs: Any, path: str) -> None:
    found = failure(shop, "select 1 from sale where region = :region", inputs)

    assert found.error_class == "user_error"
    assert found.message.startswith(path)
    assert found.detail["problems"][0]["path"].startswith(path)


def test_what_the_database_refuses_is_a_failed_connection(shop: ConnectionValues) -> None:
    assert failure(shop, "select nothing from nowhere").error_class == "connection_failed"

    gone = ConnectionValues(slug="shop", type="sqlite", config={"path": "/nonexistent/x.db"})
    assert failure(gone, "select 1").error_class == "connection_failed"


def test_settings_and_types_that_do_not_fit_are_the_authors_fault(shop: ConnectionValues) -> None:
    broken = ConnectionValues(slug="shop", type="sqlite", config={"path": "secret-relative"})
    found = failure(broken, "select 1")
    assert found.error_class == "user_error"
    assert "secret-relative" not in found.message

    for kind in ("openai", "no-such-type"):
        values = ConnectionValues(slug="shop", type=kind, config={"api_key": "k" * 10})
        assert failure(values, "select 1").error_class == "user_error"


def test_a_query_ends_at_its_time_and_when_told(shop: ConnectionValues) -> None:
    assert failure(shop, ENDLESS, timeout=0.2).error_class == "timeout"

    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(Cancelled):
        run(shop, ENDLESS, cancelled=cancelled.is_set)


def test_the_parameters_are_read_off_the_statement() -> None:
    sql = """select ':no', x::int, "a:b" /* :no */ from t -- :no
             where a = :first and b = :second or c = :first"""
    config = SQL.Config.model_validate({"sql": sql})

    assert SQL.infer(config).input_schema == {
        "type": "object",
        "properties": {"first": {}, "second": {}},
        "required": ["first", "second"],
        "additionalProperties": False,
    }


def test_only_reading_is_harmless_when_done_twice() -> None:
    assert SQL.is_idempotent(SQL.Config.model_validate({"sql": "select 1"}))
    assert not SQL.is_idempotent(SQL.Config.model_validate({"sql": "delete from t", "read_only": False}))
    assert SQL.on_lost == "retry"


def test_a_statement_is_required_and_its_first_line_describes_it() -> None:
    assert [p.path for p in SQL.problems(SQL.Config.model_validate({"sql": "  "}))] == ["sql"]
    assert SQL.summary(SQL.Config.model_validate({"sql": "\n-- sales\nselect 1\nfrom t"})) == "select 1"


def test_warnings_of_the_database_are_heard(shop: ConnectionValues, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite = connectors.get("sqlite")

    class Wary(type(sqlite)):  # type: ignore[misc]
        def query(self, config: Any, query: connectors.Query) -> connectors.Result:
            return connectors.Result(columns=(), rows=(), warnings=("look out",))

    monkeypatch.setitem(connectors.CONNECTORS._loaded, "wary", Wary())
    heard = Heard()

    run(ConnectionValues(slug="shop", type="wary", config=shop.config), "select 1 as one", heard=heard)

    assert heard.logs == [("system", "look out\n")]
