"""Every page and endpoint with a limit says how long to wait, in both languages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import translation

from accounts.models import User
from accounts.services.invitations import invite
from accounts.services.passwords import start_reset
from core.text.time_spans import format_span
from federation.providers import Provider, SignInSource
from tests.conftest import PASSWORD, MakeUser
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
WINDOW = timedelta(minutes=4)
TEXTS = {
    "en": "Too many attempts. Try again {}.",
    "de": "Zu viele Versuche. Versuchen Sie es {} erneut.",
}
ADDRESS = {"email": "somebody@example.com"}


class Place(NamedTuple):
    """A form: who sends it where, and the limit that it exceeds."""

    scope: str
    path: str
    fields: dict[str, str]
    is_signed_in: bool = False
    is_api: bool = False


PLACES = {
    "sign in": Place("sign-in", "/sign-in", {"login": "x@example.com", "password": "wrong"}),
    "link": Place("magic-link", "/magic-link", ADDRESS),
    "link on the sign-in page": Place(
        "magic-link", "/magic-link", {"login": "x@example.com", "password": ""}
    ),
    "sign up": Place("sign-up", "/sign-up", {**ADDRESS, "password": "violet umbrella kettle"}),
    "forgot password": Place("reset-password", "/password/forgot", ADDRESS),
    "verify again": Place("verify-email", "/verify-email/", {}, is_signed_in=True),
    "second factor": Place("second-factor", "/second-factor", {"code": "000000"}),
    "change password": Place(
        "sign-in",
        "/account/password",
        {"current_password": "wrong", "password": "violet umbrella kettle"},
        is_signed_in=True,
    ),
    "change address": Place(
        "sign-in", "/account/email", {**ADDRESS, "password": "wrong"}, is_signed_in=True
    ),
    "delete": Place("sign-in", "/account/delete", {"proof": "wrong"}, is_signed_in=True),
    "confirm": Place("sign-in", "/confirm", {"password": "wrong"}, is_signed_in=True),
    "passkey": Place("passkey", "/sign-in/passkey", {}),
    "options of a passkey": Place("passkey-options", "/sign-in/passkey/options", {}, is_api=True),
    "provider": Place("provider", "/oauth/google/login", {}),
    "token": Place("sign-in", "/api/v1/auth/token", {**ADDRESS, "password": "wrong"}, is_api=True),
    "link by API": Place("magic-link", "/api/v1/auth/magic-link", ADDRESS, is_api=True),
}


def sent(place: Place, browser: Client, language: str, fields: dict[str, str]) -> HttpResponse:
    options: dict[str, Any] = {"headers": {"accept-language": language}}
    if place.is_api or place.scope == "passkey":
        options["content_type"] = "application/json"
    answer: HttpResponse = browser.post(place.path, fields, **options)
    return answer


def waiting_browser(viewer: User) -> Client:
    """A browser whose sign-in waits for the second factor."""
    set_up_app(viewer)
    browser = Client()
    answer = browser.post("/sign-in", {"login": viewer.email, "password": PASSWORD})
    assert answer["Location"] == "/second-factor"
    return browser


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("language", TEXTS)
def test_a_limit_says_how_long_to_wait(
    name: str,
    language: str,
    settings: Any,
    make_user: MakeUser,
    browser_of: BrowserOf,
) -> None:
    place = PLACES[name]
    viewer = make_user("viewer", "vera@example.com", is_verified=name != "verify again")
    make_user("owner")  # so that the first sign-up needs no code
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    google = SignInSource("google", "Google")
    settings.SIGN_IN_PROVIDERS = (Provider(google, kind="google", client_id="x"),)
    browser = browser_of(viewer) if place.is_signed_in else Client()
    if place.scope == "second-factor":
        browser = waiting_browser(viewer)
    settings.LIMITS = settings.LIMITS | {place.scope: (1, WINDOW)}

    for turn in range(3):
        # The same form again would be answered by the first answer.
        fields = place.fields | ({"again": str(turn)} if not place.is_api else {})
        answer = sent(place, browser, language, fields)

    with translation.override(language):
        span = format_span(WINDOW).replace("\xa0", " ")
    assert language != "en" or span == "in 4 minutes"
    expected = TEXTS[language].format(span)
    content = answer.content.decode()
    if "json" in answer["Content-Type"]:
        content = answer.json()["detail"]  # type: ignore[attr-defined]  # of the test client
    assert answer.status_code == 429, content
    assert expected in content.replace("\xa0", " ")
    wait = int(answer["Retry-After"])
    assert 0 < wait <= WINDOW.total_seconds()


@pytest.mark.parametrize("page", ["reset", "invitation"])
def test_a_secret_link_needs_no_limit(
    page: str, make_user: MakeUser, mails: Callable[[], list[Any]], settings: Any
) -> None:
    """Its token of 256 bits cannot be guessed, and a password that is refused costs no hash."""
    owner = make_user("owner")
    if page == "reset":
        viewer = make_user("viewer", "vera@example.com")
        path = start_reset(actor=owner, user=viewer)
    else:
        path = invite(actor=owner, email="vera@example.com").url
    path = "/" + path.split("/", 3)[3]
    settings.LIMITS = dict.fromkeys(settings.LIMITS, (1, WINDOW))
    browser = Client()

    refused = [browser.post(path, {"password": "short", "turn": turn}) for turn in range(4)]
    accepted = browser.post(path, {"password": "violet umbrella marathon kettle"})

    assert {answer.status_code for answer in refused} == {400}
    assert accepted.status_code in (302, 303)


def test_a_mail_that_is_not_sent_again_is_not_announced(
    make_user: MakeUser, browser_of: BrowserOf, mails: Callable[[], list[Any]], settings: Any
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    settings.LIMITS = settings.LIMITS | {"verify-email": (1, WINDOW)}
    browser = browser_of(make_user("viewer", "vera@example.com", is_verified=False))

    statuses = [browser.post("/verify-email/", {"turn": turn}).status_code for turn in "ab"]

    assert statuses == [200, 429]
    assert len([mail for mail in mails() if mail.kind == "verify-email"]) == 1
