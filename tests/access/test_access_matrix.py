"""Every route and method of the panel, tried by everybody, against the declared table."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from accounts.models import AuditEvent
from tests.access import table
from tests.access.routes import every_route
from tests.access.world import INSIDERS, OUTSIDERS, PEOPLE, World, build

pytestmark = pytest.mark.django_db
# Pages know cookies only, so the other outsiders are all the same nobody.
PAGE_OUTSIDERS = ("anonymous", "disabled", "expired_token", "revoked_key", "narrow_key")


def row_of(route: str) -> str:
    """Return the key of the route's row: what answers at the root too has the row of /api/v1."""
    method, template = route.split(" ", 1)
    if not template.endswith("/") and template[1:].startswith(table.ALSO_AT_THE_ROOT):
        return f"{method} /api/v1{template}"
    return route


def is_checked(route: str) -> bool:
    """Tell whether the route has a row: all but the Django admin (below), HEAD, and the net for unknown addresses."""
    method, template = route.split(" ", 1)
    return method != "HEAD" and not template.startswith("/admin/") and template != "/api/.*"


ROUTES = [route for route in every_route() if is_checked(route)]


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    rows = {row_of(route) for route in ROUTES}

    assert sorted(rows - table.ROWS.keys()) == [], "routes without a row in tests/access/table.py"
    assert sorted(table.ROWS.keys() - rows) == [], "rows without a route"
    assert set(table.BODIES) <= rows


def callers_of(policy: str) -> tuple[str, ...]:
    """Return who is tried under `policy`: where everybody comes through, three of them tell as much as all."""
    if policy in (table.OPEN, table.OPEN_PAGE, table.UNKNOWN_TO_ALL):
        return ("anonymous", "expired_token", "admin")
    return (*PAGE_OUTSIDERS, *PEOPLE) if policy.startswith("page") else (*OUTSIDERS, *INSIDERS)


def expected_of(policy: str, principal: str) -> str:
    """Return the sign that `principal` gets under `policy`."""
    if policy.startswith("page:"):
        return policy.removeprefix("page:")[PEOPLE.index(principal)] if principal in PEOPLE else "login"
    if policy in (table.OPEN_PAGE, table.OPEN):
        return "."
    if policy == table.HEALTH:
        return "." if principal == "anonymous" or principal in INSIDERS else "1"
    if policy == table.UNKNOWN_TO_ALL:
        return "4"
    return policy[INSIDERS.index(principal)] if principal in INSIDERS else "1"


def sign_of(answer: Any) -> str:
    """Return what an answer means at the door."""
    if answer.status_code == 302 and answer["Location"].startswith("/login/?next="):
        return "login"
    return {401: "1", 403: "3", 404: "4"}.get(answer.status_code, "." if answer.status_code < 500 else "5")


def knock(world: World, route: str, principal: str) -> str:
    """Try the route as `principal`, undo it, and return the sign of the answer (`.-` where nothing was done)."""
    method, template = route.split(" ", 1)
    key = row_of(route)
    is_page = table.ROWS[key].startswith("page") or table.ROWS[key] == table.OPEN_PAGE
    client = world.client(principal, is_page=is_page)
    path = world.path(template) + table.QUERIES.get(key, "")
    body = table.BODIES.get(key, {}) if method != "GET" else None
    before = AuditEvent.objects.count()
    with transaction.atomic():
        form = {"format": "multipart"} if is_page and body == {} else {}
        answer = getattr(client, method.lower())(path, body, **form)
        sign = sign_of(answer)
        if sign == "." and AuditEvent.objects.count() == before:
            sign = ".-"
        transaction.set_rollback(True)
    return sign


def test_everybody_comes_through_just_where_the_table_says(settings: Any) -> None:
    settings.RATES = {}
    world = build()
    wrong = []
    for route in ROUTES:
        policy = table.ROWS.get(row_of(route))
        if policy is None:
            continue
        for principal in callers_of(policy):
            want, got = expected_of(policy, principal), knock(world, route, principal)
            if policy == table.OPEN_PAGE and got == "login":
                got = "."
            # `-` came through, and nothing was done.
            if want not in got:
                wrong.append(f"{route} as {principal}: {got} instead of {want}")

    assert not wrong, "\n".join(wrong)


def test_only_admins_come_into_the_django_admin(settings: Any) -> None:
    settings.RATES = {}
    world = build()
    lists = [route for route in every_route() if route.startswith("GET /admin/") and "{" not in route]
    assert len(lists) > 20

    for route in lists:
        path = route.split(" ", 1)[1]
        if path in ("/admin/login/", "/admin/logout/", "/admin/jsi18n/") or "(" in path:
            continue
        for principal in ("anonymous", "disabled", "narrow_key", *PEOPLE):
            answer = world.client(principal, is_page=True).get(path)
            if principal == "admin":
                assert answer.status_code in (200, 302, 403, 404, 405), path
                continue
            let_in = answer.status_code in (200, 403, 405)
            assert not let_in, f"{path} as {principal}: {answer.status_code}"
