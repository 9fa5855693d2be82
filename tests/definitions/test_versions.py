"""Versions are numbered, never changed, and never saved twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, User
from connections import services as connections
from definitions import services
from definitions.models import AliasMove, Definition, DefinitionVersion
from mcp_site.core import uses
from mcp_site.core.errors import Conflict, Forbidden, NotFound, Rejected
from mcp_site.core.ids import Reference
from mcp_site.core.uses import Found, Use
from tests.definitions.conftest import prompt_config

pytestmark = pytest.mark.django_db


def paths(rejected: pytest.ExceptionInfo[Rejected]) -> dict[str, str]:
    return {problem.path: problem.code for problem in rejected.value.problems}


def test_the_first_version_is_number_one_and_holds_every_default_and_the_inferred_schema(greeting: Definition) -> None:
    version = greeting.versions.get()
    assert (version.number, greeting.latest_number, version.note) == (1, 1, "first")
    assert version.config["temperature"] is None
    assert version.input_schema is not None
    assert version.input_schema["required"] == ["name"]


def test_identical_content_is_not_a_new_version(ben: User, greeting: Definition) -> None:
    version, is_new = services.save_version(by=ben, definition=greeting, config=prompt_config(), note="again")
    assert (version.number, is_new, greeting.versions.count()) == (1, False, 1)
    spelled_out = {**prompt_config(), "temperature": None}
    assert services.save_version(by=ben, definition=greeting, config=spelled_out)[1] is False


def test_the_same_config_with_another_schema_is_a_new_version(ben: User, greeting: Definition) -> None:
    version, is_new = services.save_version(
        by=ben, definition=greeting, config=prompt_config(), input_schema={"type": "object"}
    )
    assert (version.number, is_new) == (2, True)


@pytest.mark.parametrize(
    "statement",
    [
        "update definitions_versions set note = 'other'",
        "delete from definitions_versions",
        "update definitions_alias_moves set name = 'other'",
        "delete from definitions_alias_moves",
    ],
)
def test_the_database_refuses_to_change_history(ben: User, greeting: Definition, statement: str) -> None:
    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert greeting.versions.get().note == "first"


@pytest.mark.parametrize("table", ["definitions_versions", "definitions_alias_moves"])
def test_the_database_refuses_to_empty_history(greeting: Definition, table: str) -> None:
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute(f"truncate {table} cascade")


def test_a_rollback_is_a_new_version_with_the_old_content(ben: User, greeting: Definition) -> None:
    services.save_version(by=ben, definition=greeting, config=prompt_config("Go away, ${{ inputs.name }}."))
    version, is_new = services.rollback(by=ben, definition=greeting, to=1)
    assert (version.number, is_new, version.note) == (3, True, "Rolled back to version 1")
    assert version.digest == greeting.versions.get(number=1).digest
    assert services.rollback(by=ben, definition=greeting, to=3) == (version, False)
    with pytest.raises(Rejected) as rejected:
        services.rollback(by=ben, definition=greeting, to=9)
    assert paths(rejected) == {"to": "unknown_version"}


@pytest.mark.django_db(transaction=True)
def test_twenty_saves_at_once_give_consecutive_numbers(ben: User, greeting: Definition) -> None:
    def save(number: int) -> int:
        try:
            config = prompt_config(f"Number {number} for ${{{{ inputs.name }}}}")
            return services.save_version(by=ben, definition=greeting, config=config)[0].number
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(save, range(20)))
    assert sorted(numbers) == list(range(2, 22))
    greeting.refresh_from_db()
    assert greeting.latest_number == 21
    assert AuditEvent.objects.filter(action="definition.version").count() == 21


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"config.messages": "required"}),
        ({**prompt_config(), "colour": "red"}, {"config.colour": "unknown_field"}),
        ({**prompt_config(), "provider": "s3cret"}, {"config.provider": "not_supported"}),
        ({"messages": [{"role": "user", "content": 5}]}, {"config.messages.0.content": "invalid"}),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, {"config.messages.0.content": "null_character"}),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, {"config": "not_json"}),
        ({"messages": [{"role": "user", "content": float("nan")}]}, {"config": "not_json"}),
    ],
)
def test_a_wrong_config_is_refused_at_its_place_without_its_value(
    ben: User, greeting: Definition, config: dict[str, Any], expected: dict[str, str]
) -> None:
    with pytest.raises(Rejected) as rejected:
        services.save_version(by=ben, definition=greeting, config=config)
    assert paths(rejected) == expected
    assert "s3cret" not in str(rejected.value.problems)
    assert greeting.versions.count() == 1


def test_wrong_schemas_are_refused_together(ben: User, greeting: Definition) -> None:
    with pytest.raises(Rejected) as rejected:
        services.save_version(
            by=ben,
            definition=greeting,
            config=prompt_config(),
            input_schema={"type": "thing"},
            output_schema={"$ref": "https://example.com/schema"},
        )
    assert paths(rejected) == {"input_schema.type": "invalid_schema", "output_schema": "remote_reference"}


def test_a_config_beyond_the_limit_is_refused(ben: User, greeting: Definition) -> None:
    config = {"messages": [{"role": "user", "content": "x" * services.MAX_CONTENT_BYTES}]}
    with pytest.raises(Rejected) as rejected:
        services.save_version(by=ben, definition=greeting, config=config)
    assert paths(rejected) == {"config": "too_large"}


def test_who_saves_must_be_allowed_to_use_the_connection_that_the_config_names(
    ada: User, ben: User, cyd: User, tmp_path: Any
) -> None:
    query = services.create_definition(by=ben, slug="rows", name="Rows", kind="sql")
    config = {"connection": "shop", "sql": "select 1"}
    with pytest.raises(Rejected) as rejected:
        services.save_version(by=ben, definition=query, config=config)
    assert paths(rejected) == {"config.connection": "unknown_connection"}
    shop = connections.create_connection(
        by=ada, slug="shop", name="Shop", type="sqlite", config={"path": str(tmp_path / "shop.db")}
    )
    with pytest.raises(Rejected) as rejected:  # private to Ada: not there for Ben
        services.save_version(by=ben, definition=query, config=config)
    assert paths(rejected) == {"config.connection": "unknown_connection"}
    connections.update_connection(by=ada, connection=shop, visibility="organisation")
    assert services.save_version(by=ben, definition=query, config=config)[1] is True
    services.save_version(by=ben, definition=query, config={"sql": "select 2"})
    connections.archive_connection(by=ada, connection=shop, force=True)
    with pytest.raises(Rejected) as rejected:
        services.rollback(by=ben, definition=query, to=1)
    assert paths(rejected) == {"config.connection": "unknown_connection"}


def test_a_viewer_makes_nothing_and_a_stranger_changes_nothing(cyd: User, dov: User, greeting: Definition) -> None:
    with pytest.raises(Forbidden):
        services.create_definition(by=cyd, slug="mine", name="Mine", kind="llm")
    for act in (
        lambda: services.save_version(by=dov, definition=greeting, config=prompt_config("x")),
        lambda: services.update_definition(by=dov, definition=greeting, name="x"),
        lambda: services.move_alias(by=dov, definition=greeting, name="x", number=1),
        lambda: services.archive_definition(by=dov, definition=greeting),
        lambda: services.rollback(by=dov, definition=greeting, to=1),
    ):
        with pytest.raises(Forbidden):
            act()


def test_an_alias_moves_and_remembers_where_it_stood(ben: User, greeting: Definition) -> None:
    services.save_version(by=ben, definition=greeting, config=prompt_config("Two"))
    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    services.move_alias(by=ben, definition=greeting, name="production", number=2)
    services.move_alias(by=ben, definition=greeting, name="production", number=2)
    services.delete_alias(by=ben, definition=greeting, name="production")
    moves = AliasMove.objects.filter(name="production").order_by("id").values_list("from_number", "to_number")
    assert list(moves) == [(None, 1), (1, 2), (2, None)]
    audited = AuditEvent.objects.filter(action__contains="_alias").order_by("id").values_list("action", flat=True)
    assert list(audited) == ["definition.move_alias", "definition.move_alias", "definition.delete_alias"]
    with pytest.raises(NotFound):
        services.delete_alias(by=ben, definition=greeting, name="production")


@pytest.mark.parametrize("name", ["3", "Production", "-x", "a b", "", "x" * 64])
def test_an_alias_is_never_mistaken_for_a_number_or_a_slug(ben: User, greeting: Definition, name: str) -> None:
    with pytest.raises(Rejected) as rejected:
        services.move_alias(by=ben, definition=greeting, name=name, number=1)
    assert paths(rejected) == {"name": "invalid"}


def test_references_are_resolved_in_two_queries_however_many(ben: User, greeting: Definition) -> None:
    services.save_version(by=ben, definition=greeting, config=prompt_config("Two"))
    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    other = services.create_definition(by=ben, slug="other", name="Other", kind="llm", config=prompt_config())
    services.move_alias(by=ben, definition=other, name="production", number=1)
    gone = services.create_definition(by=ben, slug="gone", name="Gone", kind="llm", config=prompt_config())
    services.move_alias(by=ben, definition=gone, name="production", number=1)
    services.archive_definition(by=ben, definition=gone)
    services.create_definition(by=ben, slug="empty", name="Empty", kind="llm")
    texts = "greeting greeting@1 greeting@2 greeting@3 greeting@production greeting@staging other other@production"
    absent = "nothing nothing@1 gone gone@1 gone@production empty"
    references = [Reference.parse(text) for text in f"{texts} {absent}".split()]
    with CaptureQueriesContext(
        connection,
    ) as few:
        DefinitionVersion.objects.resolve(references[:1])
    with CaptureQueriesContext(connection) as queries:
        found = DefinitionVersion.objects.resolve(iter(references))
        named = {str(reference): str(version) for reference, version in found.items()}
    assert (len(few), len(queries)) == (1, 2)
    assert named == {
        "greeting": "greeting@2",
        "greeting@1": "greeting@1",
        "greeting@2": "greeting@2",
        "greeting@production": "greeting@1",
        "other": "other@1",
        "other@production": "other@1",
    }
    assert DefinitionVersion.objects.resolve([]) == {}


def test_archiving_names_what_uses_it_and_only_an_admin_may_force(
    monkeypatch: pytest.MonkeyPatch, ada: User, ben: User, greeting: Definition
) -> None:
    monkeypatch.setattr(uses, "_finders", uses._Finders())
    uses.register("definition", lambda pk, by: Found((Use("workflow", "nightly", "Nightly", "/w"),), 2))
    with pytest.raises(Conflict, match="workflow nightly and 2 more"):
        services.archive_definition(by=ben, definition=greeting)
    with pytest.raises(Forbidden):
        services.archive_definition(by=ben, definition=greeting, force=True)
    services.archive_definition(by=ada, definition=greeting, force=True)
    services.archive_definition(by=ada, definition=greeting)
    assert AuditEvent.objects.filter(action="definition.archive").count() == 1
    with pytest.raises(services.Archived):
        services.save_version(by=ben, definition=greeting, config=prompt_config("x"))
    with pytest.raises(services.Archived):
        services.update_definition(by=ben, definition=greeting, name="x")


def test_fields_are_checked_also_where_no_serializer_did(ben: User, greeting: Definition) -> None:
    with pytest.raises(Rejected) as rejected:
        services.create_definition(by=ben, slug="No", name=" ", kind="llm", tags=["a", "a"], visibility="everyone")
    assert paths(rejected) == {"slug": "invalid", "name": "invalid", "tags": "invalid", "visibility": "invalid_choice"}
    with pytest.raises(Rejected) as rejected:
        services.create_definition(by=ben, slug="greeting", name="Greeting", kind="llm")
    assert paths(rejected) == {"slug": "unique"}
    with pytest.raises(Rejected) as rejected:
        services.create_definition(by=ben, slug="other", name="Other", kind="spell")
    assert paths(rejected) == {"kind": "unknown_kind"}


def test_a_definition_whose_first_version_is_refused_is_not_made(ben: User) -> None:
    with pytest.raises(Rejected):
        services.create_definition(by=ben, slug="half", name="Half", kind="llm", config={"messages": []})
    assert not Definition.objects.filter(slug="half").exists()
    assert not AuditEvent.objects.filter(object_name="half").exists()


def test_an_update_is_audited_with_what_changed_and_only_then(ben: User, greeting: Definition) -> None:
    services.update_definition(by=ben, definition=greeting, name="Greeting", tags=["words"])
    assert not AuditEvent.objects.filter(action="definition.update").exists()
    services.update_definition(by=ben, definition=greeting, name="Hello", visibility="private")
    event = AuditEvent.objects.get(action="definition.update")
    assert event.changes == {"name": ["Greeting", "Hello"], "visibility": ["organisation", "private"]}
