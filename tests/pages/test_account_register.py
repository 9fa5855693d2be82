"""Coming in without an account or a password: register, accept an invitation, set a new password."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import letters, services, tokens
from accounts.models import AuditEvent, Letter, Session, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
GIVEN = {"email": "Eve@example.com", "full_name": "Eve", "password": PASSWORD}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def register(client: Client | None = None, **more: str) -> Any:
    return (client or Client()).post(reverse("register"), {**GIVEN, **more})


@pytest.fixture
def invited(ada: User) -> str:
    """The token of an invitation of Eve as Editor."""
    _, letter = services.invite(by=ada, email=GIVEN["email"], full_name="", role_name="Editor", base_url="http://x")
    return letters.link(letter).partition("#")[2]


def test_who_registers_is_signed_in_with_a_row(settings: Any) -> None:
    settings.REGISTRATION = "open"
    client = Client()

    answer = register(client, role_name="Viewer")

    assert answer["Location"] == reverse("dashboard")
    row = Session.objects.get(user__email="eve@example.com")
    assert row.cookie_key == client.session.session_key
    assert "Welcome, Eve. You are Viewer." in text(client.get(reverse("dashboard")))
    assert client.session.get_expire_at_browser_close()


def test_a_wished_role_waits_for_an_admin_unless_it_is_given_to_all(settings: Any) -> None:
    settings.REGISTRATION, settings.SELF_REGISTRATION_ROLES = "open", ["Viewer"]
    client = Client()
    assert "an Admin decides on more" in text(client.get(reverse("register")))

    register(client, role_name="Editor")
    assert "You are Viewer. An Admin decides on Editor." in text(client.get(reverse("dashboard")))

    settings.SELF_REGISTRATION_ROLES = ["Viewer", "Editor"]
    assert "You get it at once." in text(Client().get(reverse("register")))
    register(email="fay@example.com", role_name="Editor")
    assert User.objects.get(email="fay@example.com").role == "Editor"


def test_nobody_registers_as_admin(settings: Any) -> None:
    settings.REGISTRATION = "open"

    answer = register(role_name="Admin")

    assert answer.status_code == 400
    assert 'value="Admin"' not in text(answer)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"email": "BEN@example.com"}, "Somebody has this e-mail already."),
        ({"email": "no"}, "Enter a valid email address."),
        ({"password": "short"}, "at least 12 characters"),
        ({"password": "eve@example.com"}, "too similar"),
        ({"full_name": "E\u202eve"}, "control characters"),
        ({"invite_token": "made up"}, "It is not valid: used, expired, or meant for another e-mail."),
    ],
)
def test_a_refusal_stands_beside_its_field(settings: Any, ben: User, given: dict[str, str], said: str) -> None:
    settings.REGISTRATION = "open"

    answer = register(**given)

    assert answer.status_code == 400
    assert said in text(answer)
    assert PASSWORD not in text(answer)
    assert User.objects.count() == 1


def test_a_closed_panel_says_so_and_lets_nobody_in(settings: Any) -> None:
    settings.REGISTRATION = "closed"

    page, answer = Client().get(reverse("register")), register()

    assert "Registration is closed here." in text(page)
    assert "<form" not in text(page)
    # Without the field for an invitation there is nothing valid to send.
    assert answer.status_code in (400, 403)
    assert not User.objects.exists()
    assert reverse("register") not in text(Client().get(reverse("login")))


def test_by_invitation_only_the_invited_come_in_with_their_role(settings: Any, invited: str) -> None:
    settings.REGISTRATION = "invite"
    client = Client()
    assert "Accept your invitation" in text(client.get(reverse("register")))
    assert 'name="role_name"' not in text(client.get(reverse("register")))

    without = register()
    other = register(email="fay@example.com", invite_token=invited)
    weak = register(invite_token=invited, password="short")
    right = register(client, invite_token=invited)
    again = register(invite_token=invited)

    assert [answer.status_code for answer in (without, other, weak, right, again)] == [400, 400, 400, 302, 400]
    # Whoever chose a weak password need not find the letter again.
    assert "data-filled" in text(weak)
    assert "data-filled" not in text(other)
    eve = User.objects.get(email="eve@example.com")
    assert (eve.role, eve.full_name, eve.is_pending) == ("Editor", "Eve", False)
    assert Session.objects.filter(user=eve).count() == 1


def test_who_is_signed_in_is_told_to_sign_out_first(settings: Any, browser: Any, ben: User, invited: str) -> None:
    settings.REGISTRATION = "open"
    client = browser(ben)

    assert "You are signed in already." in text(client.get(reverse("register")))
    assert register(client, invite_token=invited)["Location"] == reverse("register")
    assert User.objects.get(email="eve@example.com").is_pending


@pytest.mark.parametrize("name", ["register", "password-forgot", "password-reset"])
def test_strangers_are_counted_before_anything_is_done(settings: Any, ben: User, name: str) -> None:
    settings.REGISTRATION = "open"
    settings.RATES = {**settings.RATES, "register": 1}
    given = {**GIVEN, "token": "x", "email": "ben@example.com"}
    Client().post(reverse(name), {})

    answer = Client().post(reverse(name), given)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Too many tries from here." in text(answer)
    assert not Letter.objects.exists()


def test_a_letter_is_promised_whether_the_email_is_known_or_not(ben: User) -> None:
    said = []
    for email in ("BEN@example.com", "nobody@example.com"):
        client = Client()
        answer = client.post(reverse("password-forgot"), {"email": email}, follow=True)
        said.append((answer.redirect_chain, "a letter is on its way" in text(answer)))

    assert said[0] == said[1] == ([(reverse("login"), 302)], True)
    letter = Letter.objects.get()
    assert letter.user == ben
    assert letters.link(letter).startswith("http://testserver/password/reset/#")


def test_a_password_is_set_by_a_letter_once(ben: User) -> None:
    token = tokens.letter(ben, tokens.RESET)
    tokens.open_with_tokens(ben, address=None, user_agent="script")

    def reset(**more: str) -> Any:
        given = {"token": token, "password": "another long password", **more}
        return Client().post(reverse("password-reset"), given, follow=True)

    weak, bad = reset(password="short"), reset(token="made up")
    right, again = reset(), reset()

    assert [answer.status_code for answer in (weak, bad, right, again)] == [400, 400, 200, 400]
    assert "data-filled" in text(weak)
    assert "It is not valid any more: ask for a new letter." in text(bad)
    assert "Your new password is set." in text(right)
    ben.refresh_from_db()
    assert ben.check_password("another long password")
    assert not Session.objects.live().exists()
    assert AuditEvent.objects.filter(action="auth.password_reset", actor=ben).count() == 1


def test_a_letter_of_one_sort_is_not_good_for_the_other(settings: Any, ben: User, invited: str) -> None:
    given = {"token": invited, "password": "another long password"}

    assert Client().post(reverse("password-reset"), given).status_code == 400
    assert register(invite_token=tokens.letter(ben, tokens.RESET)).status_code == 400


@pytest.mark.parametrize("name", ["register", "password-forgot", "password-reset"])
def test_these_pages_are_kept_nowhere_and_found_from_the_sign_in(settings: Any, name: str) -> None:
    settings.REGISTRATION = "open"

    answer = Client().get(reverse(name))

    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    found = reverse(name) in text(Client().get(reverse("login")))
    assert found == (name != "password-reset")


def test_without_a_mail_server_the_page_says_where_letters_are(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "No mail server is set up here." in text(Client().get(reverse("password-forgot")))

    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert "No mail server" not in text(Client().get(reverse("password-forgot")))
