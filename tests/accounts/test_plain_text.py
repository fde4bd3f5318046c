"""Invisible characters are removed from names, logins and piped passwords of any source."""

import io
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import AccountToken, User
from accounts.services.invitations import invite
from accounts.services.signup import handle_sign_up_requests
from accounts.services.users import Profile, create_user, edit_profile
from api.external_jwt.verify import _name
from audit.models import AuditEvent
from core.text.plain_text import clean_name, trim, trim_line
from federation.services.identities import resolve_user
from mail.models import OutboxMail
from tests.api.calls import call
from tests.conftest import PASSWORD
from tests.federation.test_identities import NINA, SOURCE
from tests.pages.pages import read

Browse = Callable[[User], Client]
HOSTILE = "Ann\u202eimda\u0007 \u2066B\u200be\ufeffn\u00add"
CLEAN = "Annimda Bend"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
INVISIBLE = [
    "\u200b\u200d",
    "\u3164\u3164",
    "\u2800",
    "\u202e",
    "\x00\x07",
    "\ufeff",
    "\u00ad",
    " ",
]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (HOSTILE, CLEAN),
        ("  Nina \t Neu\n", "Nina Neu"),
        ("Zoe\u0308", "Zo\u00eb"),
        (PERSIAN, PERSIAN),
        ("\u200dNina\u200d", "Nina"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("a" * 5000, "a" * 150),
        *((text, "") for text in INVISIBLE),
    ],
)  # fmt: skip
def test_a_name_contains_only_visible_characters(raw: str, name: str) -> None:
    assert clean_name(raw) == name


@pytest.mark.parametrize("around", ["\r\n", "\ufeff", "\u200b", "\u2060", " ", "\u00a0"])
def test_invisible_characters_around_pasted_text_are_dropped(around: str) -> None:
    assert trim(f"{around}anna{around}") == "anna"
    assert trim(around) == ""


def test_a_secret_keeps_its_spaces_but_no_line_end() -> None:
    assert trim_line("\ufeff  pass word \r\n") == "  pass word "


def _by_form(stranger: Client) -> User:
    stranger.post("/sign-up", {"email": "b@example.com", "name": HOSTILE, "password": PASSWORD})
    handle_sign_up_requests()
    return User.objects.get(email="b@example.com")


def _by_provider(_stranger: Client) -> User:
    return resolve_user(SOURCE, replace(NINA, name=HOSTILE))


def _by_administrator(_stranger: Client) -> User:
    return create_user(actor=SYSTEM, email="b@example.com", name=HOSTILE)


def _by_profile(_stranger: Client) -> User:
    user = create_user(actor=SYSTEM, email="b@example.com")
    return edit_profile(actor=user, user=user, profile=Profile(name=HOSTILE))


@pytest.mark.django_db
@pytest.mark.parametrize("source", [_by_form, _by_provider, _by_administrator, _by_profile])
def test_names_from_every_source_are_cleaned(
    stranger: Client, owner: User, source: Callable[[Client], User]
) -> None:
    user = source(stranger)

    user.refresh_from_db()
    assert user.name == CLEAN
    assert invite(actor=owner, email="c@example.com", name=HOSTILE).invitation.name == CLEAN
    assert _name({"name": HOSTILE}) == CLEAN


@pytest.mark.django_db
def test_search_finds_composed_and_decomposed(owner: User, viewer: User) -> None:
    User.objects.filter(pk=owner.pk).update(name="Zo\u00eb Composed")
    User.objects.filter(pk=viewer.pk).update(name="Zoe\u0308 Decomposed")

    for form in ("NFC", "NFD"):
        found = User.objects.search(unicodedata.normalize("NFC" if form == "NFC" else "NFD", "Zoë"))
        assert set(found) == {owner, viewer}


@pytest.mark.django_db
@pytest.mark.parametrize("around", ["\r\n", "\ufeff", "\u200b", "\t", "\u2060"])
@pytest.mark.parametrize("login", ["viewer@example.com", "VERA"])
def test_a_pasted_login_signs_in(viewer: User, login: str, around: str) -> None:
    typed = f"{around}{login}{around}"

    answer = Client().post("/sign-in", {"login": typed, "password": PASSWORD})
    token = Client().post(
        "/api/v1/auth/token", {"email": typed, "password": PASSWORD}, "application/json"
    )

    assert answer.status_code == 302
    assert token.status_code == 200, token.content


@pytest.mark.django_db
def test_characters_around_a_login_give_no_more_attempts(viewer: User) -> None:
    limit = 7  # LOGIN_MAX
    statuses = [
        Client().post("/sign-in", {"login": "\u200b" * place + viewer.email, "password": "x"})
        for place in range(limit + 1)
    ]

    assert statuses[-1].status_code == 429


@pytest.mark.django_db
@pytest.mark.parametrize("line", [f"\ufeff{PASSWORD}\r\n", f"{PASSWORD}\r\n", f"{PASSWORD}\n"])
def test_a_piped_password_is_one_line(
    viewer: User, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    viewer.set_password(None)
    viewer.save()
    monkeypatch.setattr("sys.stdin", io.StringIO(line))

    call_command("setpassword", viewer.email, "--password-stdin", stdout=io.StringIO())

    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


@pytest.mark.django_db
def test_no_page_truncates_a_pasted_password(
    stranger: Client, viewer: User, owner: User, browser_of: Browse
) -> None:
    own = browser_of(viewer)
    pages = [stranger.get("/sign-in"), stranger.get("/sign-up"), own.get("/account/password"),
             own.get("/account/email"), own.get("/account/delete")]  # fmt: skip

    for page in pages:
        fields = [each.attributes for each in read(page.content).all("input")
                  if each.attributes.get("type") == "password"]  # fmt: skip
        assert fields
        assert not any("maxlength" in field for field in fields)


@pytest.mark.django_db
def test_a_password_that_is_too_long_is_rejected_and_never_truncated(
    viewer: User, browser_of: Browse
) -> None:
    browser = browser_of(viewer)

    answer = browser.post(
        "/account/password", {"current_password": PASSWORD, "password": f"{PASSWORD}{'x' * 300}"}
    )

    assert answer.status_code == 400
    assert "password" in answer.context["form"].errors
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["viewer@example.com", " VIEWER@Example.com "])
def test_the_same_address_is_no_change(
    viewer: User, owner: User, browser_of: Browse, email: str
) -> None:
    browser, boss = browser_of(viewer), browser_of(owner)
    before = User.objects.filter(pk=viewer.pk).values(
        "email", "email_verified_at", "credentials_valid_from"
    )
    before = list(before)

    answer: Any = browser.post("/account/email", {"email": email, "password": PASSWORD})
    patched = call(boss, "PATCH", f"users/{viewer.pk}", {"email": email})

    assert answer.status_code == 400
    assert b"This is your address already." in answer.content
    assert patched.status_code == 200
    assert list(User.objects.filter(pk=viewer.pk).values(*before[0])) == before
    assert not OutboxMail.objects.exists()
    assert not AccountToken.objects.exists()
    assert not AuditEvent.objects.filter(action__startswith="account:email").exists()
