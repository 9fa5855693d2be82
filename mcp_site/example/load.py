"""Puts the example into the panel: what is missing is made, what is there is its owner's and stays as it is."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import User
from connections.models import Connection
from connections.services import create_connection, scan_connection, update_connection
from definitions.models import Definition
from definitions.services import create_definition
from mcp_site.core.documents import load_yaml
from mcp_site.core.models import Visibility
from workflows.models import Workflow
from workflows.services import create_workflow

WORKFLOW = "penguin-report"
CONNECTION = "penguins"
_HERE = Path(__file__).parent
_PARTS = _HERE / "parts"
_COLUMNS = {
    "species": "text not null",
    "island": "text not null",
    "bill_length_mm": "real",
    "bill_depth_mm": "real",
    "flipper_length_mm": "integer",
    "body_mass_g": "integer",
    "sex": "text",
    "year": "integer not null",
}
_NUMBERS: Mapping[str, Callable[[str], float]] = {"real": float, "integer": int}


def load(*, by: User) -> Workflow:
    """Make what is missing of the example, owned by `by` and visible to all. Returns its workflow."""
    database = write_data(settings.MCP_DATA_DIR / "examples" / "penguins.sqlite")
    connection, is_new = _connection(by, database)
    with transaction.atomic():
        for slug, name, kind, config in _definitions():
            if not Definition.objects.filter(slug=slug).exists():
                create_definition(
                    by=by,
                    slug=slug,
                    name=name,
                    kind=kind,
                    config=config,
                    tags=["example"],
                    visibility=Visibility.ORGANISATION,
                    note="Shipped with the panel",
                )
        workflow = Workflow.objects.filter(slug=WORKFLOW).first() or create_workflow(
            by=by,
            slug=WORKFLOW,
            name="Penguin report",
            description="Judges 344 penguins by sex, island by island, draws the result and puts it into words.",
            tags=["example"],
            visibility=Visibility.ORGANISATION,
            graph=(_PARTS / "workflow.yaml").read_text(),
            note="Shipped with the panel",
        )
    if is_new:
        # Outside the transaction: no row is held while another database is asked.
        scan_connection(by=by, connection=connection)
    return workflow


def write_data(path: Path) -> Path:
    """Write the penguins into a SQLite file, unless it is there. Returns its path."""
    if path.exists():
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.unlink(missing_ok=True)
    with (_HERE / "penguins.csv").open(newline="") as file:
        rows = [[_value(name, text) for name, text in row.items()] for row in csv.DictReader(file)]
    declared = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
    with closing(sqlite3.connect(half)) as database, database:
        database.execute(f"create table penguins (id integer primary key, {declared})")
        places = ", ".join("?" * len(_COLUMNS))
        database.executemany(f"insert into penguins ({', '.join(_COLUMNS)}) values ({places})", rows)  # noqa: S608  our own names
    half.rename(path)
    return path


def _value(column: str, text: str) -> str | float | None:
    if text in ("", "NA"):
        return None
    number = _NUMBERS.get(_COLUMNS[column].split()[0])
    return number(text) if number else text


def _connection(by: User, database: Path) -> tuple[Connection, bool]:
    found = Connection.objects.filter(slug=CONNECTION).first()
    config = {"path": str(database)}
    if found is None:
        made = create_connection(
            by=by,
            slug=CONNECTION,
            name="Palmer penguins",
            type="sqlite",
            config=config,
            description="344 penguins of three islands, measured 2007 to 2009 (package palmerpenguins, CC0).",
            visibility=Visibility.ORGANISATION,
        )
        return made, True
    # The data folder has moved, and the file with it.
    old = found.config.get("path")
    if found.archived_at is None and found.type == "sqlite" and old != str(database) and not Path(str(old)).exists():
        update_connection(by=by, connection=found, config=config)
    return found, False


def _definitions() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return slug, name, kind and config of each definition."""
    sql: dict[str, Any] = {"connection": CONNECTION, "sql": (_PARTS / "rows.sql").read_text()}
    script: dict[str, Any] = {"language": "python", "code": (_PARTS / "classifier.py").read_text(), "idempotent": True}
    notebook: dict[str, Any] = {"notebook": json.loads((_PARTS / "plots.ipynb").read_text())}
    return [
        ("penguin-rows", "Penguin rows", "sql", sql),
        ("penguin-classifier", "Penguin classifier", "script", script),
        ("penguin-plots", "Penguin plots", "notebook", notebook),
        ("penguin-summary", "Penguin summary", "llm", load_yaml((_PARTS / "summary.yaml").read_text())),
    ]
