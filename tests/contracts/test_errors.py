"""Whatever goes wrong, a program gets the one shape and a person a page, and neither learns what is inside."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mcp_site import urls
from mcp_site.core.errors import Conflict, Problem, Rejected

SECRET = "hunter2-inside"
RAISES: dict[str, Exception] = {
    "crash": RuntimeError(SECRET),
    "conflict": Conflict("It has ended."),
    "rejected": Rejected([Problem("graph.steps.0", "invalid", "no good"), Problem("x", "required", "is required")]),
    "denied": PermissionDenied(SECRET),
    "suspicious": SuspiciousOperation(SECRET),
}


class Raising(APIView):
    """A view of the API that raises what it is told to."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request, what: str) -> Response:
        raise RAISES[what]


def page(request: HttpRequest, what: str) -> HttpResponse:
    """A page that raises what it is told to."""
    raise RAISES[what]


urlpatterns = [
    path("api/v1/raise/<str:what>", Raising.as_view()),
    path("api/v1/plain/<str:what>", page),
    path("raise/<str:what>/", page),
    *urls.urlpatterns,
]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.fixture
def client(settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("what", "status", "kind", "codes"),
    [
        ("crash", 500, "server_error", ["error"]),
        ("conflict", 409, "client_error", ["conflict"]),
        ("rejected", 400, "validation_error", ["invalid", "required"]),
        ("denied", 403, "client_error", ["permission_denied"]),
    ],
)
def test_views_of_the_api_answer_in_the_one_shape(
    client: Client, what: str, status: int, kind: str, codes: list[str]
) -> None:
    answer = client.get(f"/api/v1/raise/{what}")

    assert answer.status_code == status
    assert answer.json()["type"] == kind
    assert [error["code"] for error in answer.json()["errors"]] == codes
    assert SECRET not in answer.content.decode()
    assert answer["X-Request-ID"]


@pytest.mark.parametrize(("what", "status"), [("crash", 500), ("denied", 403), ("suspicious", 400)])
def test_what_fails_outside_of_them_does_too(client: Client, what: str, status: int) -> None:
    answer = client.get(f"/api/v1/plain/{what}")

    assert answer.status_code == status
    assert set(answer.json()) == {"type", "errors"}
    assert SECRET not in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(("what", "status"), [("crash", 500), ("denied", 403), ("suspicious", 400)])
def test_people_get_a_page_that_says_nothing_of_the_inside(client: Client, what: str, status: int) -> None:
    answer = client.get(f"/raise/{what}/")

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert SECRET not in answer.content.decode()


@pytest.mark.django_db
def test_an_unknown_address_is_a_page_to_people_and_json_to_programs(client: Client) -> None:
    assert client.get("/nothing/")["Content-Type"].startswith("text/html")
    assert client.get("/api/v1/nothing").json()["errors"][0]["code"] == "not_found"


def test_a_foreign_host_is_refused(client: Client) -> None:
    assert client.get("/api/v1/nothing", HTTP_HOST="evil.example").status_code == 400
