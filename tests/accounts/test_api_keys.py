"""API keys: shown once, never more than their owner, and dead when they should be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import services
from accounts.models import ApiKey, AuditEvent, Role, User
from accounts.models.api_key import SCOPES
from mcp_site.core import clock
from tests.conftest import PASSWORD
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]


def with_key(text: str, **more: Any) -> APIClient:
    client = APIClient(**more)
    client.credentials(HTTP_X_API_KEY=text)
    return client


def make(by: User, *scopes: str, **more: Any) -> tuple[ApiKey, str]:
    return services.issue_key(by=by, name="Robot", scopes=scopes, **more)


def test_a_key_is_shown_once_and_stored_as_a_hash(api: Api, ben: User) -> None:
    client = api(ben)

    made = client.post("/api/v1/api-keys", {"name": "Robot", "scopes": ["runs:read"]})
    body = made.json()

    assert made.status_code == 201
    assert body["key"].startswith(body["prefix"] + ".")
    assert body["prefix"].startswith("mcp_")
    secret = body["key"].partition(".")[2]
    for path in ("/api/v1/api-keys", f"/api/v1/api-keys/{body['id']}"):
        assert secret not in client.get(path).content.decode()
    with connection.cursor() as cursor:
        cursor.execute("select string_agg(k::text, ' ') from accounts_api_keys k")
        assert secret not in cursor.fetchone()[0]
        cursor.execute("select string_agg(e::text, ' ') from accounts_audit_events e")
        assert secret not in cursor.fetchone()[0]
    assert AuditEvent.objects.filter(action="api_key.create", actor=ben).count() == 1


def test_a_key_signs_in_as_its_owner_within_its_scopes(ben: User) -> None:
    _, text = make(ben, "workflows:write", "runs:read")
    client = with_key(text)

    assert client.post("/api/v1/workflows", {"slug": "robots", "name": "Robots"}).status_code == 201
    assert Workflow.objects.get(slug="robots").owner == ben
    assert client.get("/api/v1/workflows").status_code == 200
    assert client.get("/api/v1/runs").status_code == 200
    assert client.post("/api/v1/workflows/robots/runs", {}).status_code == 403
    assert client.get("/api/v1/definitions").status_code == 403
    assert client.get("/api/v1/connections").status_code == 403


def test_no_scope_reaches_the_account_or_the_keys(ada: User) -> None:
    scopes = sorted(SCOPES)
    _, text = make(ada, *scopes)
    client = with_key(text)

    assert client.get("/auth/me").status_code == 403
    assert client.get("/api/v1/api-keys").status_code == 403
    assert client.post("/api/v1/api-keys", {"name": "More", "scopes": scopes}).status_code == 403
    assert client.get("/admin/").status_code == 302


def test_a_query_needs_its_own_scope(ben: User) -> None:
    _, write = make(ben, "connections:write")
    _, query = make(ben, "connections:query")

    assert with_key(write).post("/api/v1/connections/none/query", {"sql": "select 1"}).status_code == 403
    assert with_key(query).post("/api/v1/connections/none/query", {"sql": "select 1"}).status_code == 404
    assert with_key(query).get("/api/v1/connections").status_code == 403


def test_the_audit_trail_needs_its_own_scope_and_an_admin(ada: User, ben: User) -> None:
    _, may = make(ada, "audit:read")
    _, may_not = make(ada, "runs:write")

    assert with_key(may).get("/api/v1/audit-events").status_code == 200
    assert with_key(may).get("/api/v1/audit-events/verify").status_code == 200
    assert with_key(may_not).get("/api/v1/audit-events").status_code == 403
    services.create_admin(email="eve@example.com", password=PASSWORD)
    services.set_role(user=ada, role=Role.EDITOR, by=None)
    assert with_key(may).get("/api/v1/audit-events").status_code == 403


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        ({"name": "x", "scopes": []}, "scopes", "required"),
        ({"name": "x", "scopes": ["everything"]}, "scopes.0", "unknown_scope"),
        ({"name": "x", "scopes": ["runs:read", "audit:read"]}, "scopes.1", "scope_above_role"),
        ({"name": "x", "scopes": ["runs:read"], "allowed_networks": ["home"]}, "allowed_networks.0", "invalid"),
        ({"name": "x", "scopes": ["runs:read"], "expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "invalid"),
        ({"name": "x", "scopes": "runs:read"}, "scopes", "not_a_list"),
        ({"scopes": ["runs:read"]}, "name", "required"),
        ({"name": "x", "scopes": ["runs:read"], "owner": "me"}, "owner", "unknown_field"),
    ],
)
def test_a_wrong_key_is_refused_with_the_path(api: Api, ben: User, body: Any, attr: str, code: str) -> None:
    refused = api(ben).post("/api/v1/api-keys", body)

    assert refused.status_code == 400
    assert (attr, code) in {(error["attr"], error["code"]) for error in refused.json()["errors"]}
    assert not ApiKey.objects.exists()


def test_viewers_make_keys_that_only_read(api: Api, cyd: User) -> None:
    client = api(cyd)

    assert client.post("/api/v1/api-keys", {"name": "x", "scopes": ["runs:read"]}).status_code == 201
    refused = client.post("/api/v1/api-keys", {"name": "x", "scopes": ["runs:write"]})
    assert refused.json()["errors"][0]["code"] == "scope_above_role"


def test_a_key_shrinks_with_its_owner(ben: User) -> None:
    _, text = make(ben, "workflows:write")
    client = with_key(text)
    assert client.post("/api/v1/workflows", {"slug": "one", "name": "One"}).status_code == 201

    services.set_role(user=ben, role=Role.VIEWER, by=None)
    assert client.post("/api/v1/workflows", {"slug": "two", "name": "Two"}).status_code == 403
    assert client.get("/api/v1/workflows").status_code == 200

    User.objects.filter(pk=ben.pk).update(is_active=False)
    assert client.get("/api/v1/workflows").status_code == 401


def test_revoked_expired_foreign_and_broken_keys_are_all_the_same_401(ben: User) -> None:
    revoked, revoked_text = make(ben, "runs:read")
    services.revoke_key(by=ben, key=revoked)
    late, late_text = make(ben, "runs:read", expires_at=clock.now() + timedelta(hours=1))
    ApiKey.objects.filter(pk=late.pk).update(expiry_date=clock.now() - timedelta(seconds=1))
    _, far_text = make(ben, "runs:read", allowed_networks=["10.0.0.0/8"])
    good, good_text = make(ben, "runs:read")
    broken = [good_text[:-1] + "?", f"mcp_{good.prefix}.", "mcp_", "nonsense", good_text.removeprefix("mcp_"), "é"]

    answers = [with_key(text).get("/api/v1/runs") for text in (revoked_text, late_text, far_text, *broken)]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0]["WWW-Authenticate"].startswith("Bearer")
    assert with_key(good_text).get("/api/v1/runs").status_code == 200


def test_a_key_works_from_its_networks_only(ben: User) -> None:
    _, text = make(ben, "runs:read", allowed_networks=["10.0.0.0/8", "2001:db8::/32"])

    for address, status in (("10.1.2.3", 200), ("2001:db8::1", 200), ("192.0.2.1", 401)):
        assert with_key(text, REMOTE_ADDR=address).get("/api/v1/runs").status_code == status


def test_rotation_lets_the_old_key_go_on_for_a_while(api: Api, ben: User) -> None:
    old, old_text = make(ben, "runs:read")

    new = api(ben).post(f"/api/v1/api-keys/{old.uid}/rotate", {"overlap_seconds": 3600}).json()

    assert with_key(old_text).get("/api/v1/runs").status_code == 200
    assert with_key(new["key"]).get("/api/v1/runs").status_code == 200
    old.refresh_from_db()
    assert old.expiry_date is not None
    assert timedelta(minutes=59) < old.expiry_date - clock.now() <= timedelta(hours=1)
    assert api(ben).post(f"/api/v1/api-keys/{new['id']}/rotate", {"overlap_seconds": 0}).status_code == 201
    assert with_key(new["key"]).get("/api/v1/runs").status_code == 401
    assert api(ben).post(f"/api/v1/api-keys/{new['id']}/rotate", {}).json()["errors"][0]["code"] == "key_ended"


def test_people_manage_their_own_keys_and_admins_all(api: Api, ada: User, ben: User, dov: User) -> None:
    key, text = make(ben, "runs:read")

    assert api(dov).get("/api/v1/api-keys").json()["results"] == []
    assert api(dov).delete(f"/api/v1/api-keys/{key.uid}").status_code == 404
    assert [one["id"] for one in api(ada).get("/api/v1/api-keys").json()["results"]] == [str(key.uid)]
    assert api(ada).delete(f"/api/v1/api-keys/{key.uid}").status_code == 204
    assert with_key(text).get("/api/v1/runs").status_code == 401
    assert AuditEvent.objects.get(action="api_key.revoke").actor == ada


def test_the_last_use_is_noted(ben: User) -> None:
    key, text = make(ben, "runs:read")

    with_key(text, REMOTE_ADDR="10.1.2.3").get("/api/v1/runs")

    key.refresh_from_db()
    assert key.last_used_address == "10.1.2.3"
    assert key.last_used_at is not None


def test_the_list_needs_the_same_number_of_queries_for_one_key_and_for_ten(api: Api, ada: User, ben: User) -> None:
    client = api(ada)
    counts = []
    for wanted in (1, 10):
        while ApiKey.objects.count() < wanted:
            make(ben, "runs:read")
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/api/v1/api-keys").status_code == 200
        counts.append(len(captured))

    assert counts[0] == counts[1]
