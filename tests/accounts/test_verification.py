"""Proving an address, and what dies when it is proved late (A023)."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import AuditEvent, OutboxMail, User
from accounts.services.passwords import handle_reset_requests
from accounts.services.signup import handle_sign_up_requests
from tests.accounts.test_passwords import NEW, asked_reset
from tests.conftest import PASSWORD, text_of

pytestmark = pytest.mark.django_db
EMAIL = "new@example.com"


def mailed_path(kind: str) -> str:
    mail = OutboxMail.objects.filter(kind=kind).latest("id")
    body = text_of(mail)
    found = re.search(r"http://localhost:8000(/verify-email/[\w-]+)", body)
    assert found is not None
    return found[1]


@pytest.fixture
def signed_up(owner: User, stranger: Client) -> str:
    """Somebody has signed up in the browser `stranger`; the path of the mailed link."""
    stranger.post("/sign-up", {"email": EMAIL, "name": "Nina", "password": PASSWORD})
    handle_sign_up_requests()
    return mailed_path("verify-email")


def test_an_unproved_address_does_not_sign_in(signed_up: str, stranger: Client) -> None:
    answer = stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})

    assert answer.status_code == 200
    assert stranger.get("/account/").status_code == 302
    assert User.objects.get(email=EMAIL).role == "viewer"


def test_an_unproved_address_signs_in_where_the_operator_says_so(
    signed_up: str, stranger: Client, settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True

    stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})

    assert stranger.get("/account/").status_code == 200


def test_the_browser_that_signed_up_proves_the_address_with_one_click(
    signed_up: str, stranger: Client
) -> None:
    assert stranger.get(signed_up).status_code == 200
    assert not User.objects.get(email=EMAIL).is_verified

    answer = stranger.post(signed_up)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=email-verified")
    user = User.objects.get(email=EMAIL)
    assert user.is_verified
    assert user.check_password(PASSWORD)
    assert AuditEvent.objects.filter(action="account:email:verify", target_id=user.pk).exists()


def test_another_browser_needs_the_password_that_was_chosen(signed_up: str) -> None:
    victim = Client()

    assert victim.post(signed_up).status_code == 400
    assert victim.post(signed_up, {"password": "not the chosen one"}).status_code == 400
    assert not User.objects.get(email=EMAIL).is_verified

    assert victim.post(signed_up, {"password": PASSWORD}).status_code == 303
    assert User.objects.get(email=EMAIL).is_verified


def test_a_reset_by_the_true_owner_ends_what_a_stranger_set_up(
    signed_up: str, stranger: Client, settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})
    assert stranger.get("/account/").status_code == 200

    Client().post(asked_reset(User.objects.get(email=EMAIL)), {"password": NEW})

    assert stranger.get("/account/").status_code == 302
    assert stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD}).status_code == 401
    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=email-verified"


def test_the_link_works_once_and_for_a_day(
    signed_up: str, stranger: Client, at_time: Callable[[timedelta], object]
) -> None:
    stranger.post(signed_up)
    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=link-unknown"


def test_an_expired_link_says_so(
    signed_up: str, stranger: Client, at_time: Callable[[timedelta], object]
) -> None:
    at_time(timedelta(hours=24, seconds=1))

    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=link-expired"
    assert not User.objects.get(email=EMAIL).is_verified


def test_a_person_moves_to_another_address(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)

    browser.post("/account/email", {"email": "moved@example.com", "password": PASSWORD})
    viewer.refresh_from_db()
    assert viewer.email == "viewer@example.com"
    browser.post(mailed_path("change-email"))

    viewer.refresh_from_db()
    assert (viewer.email, viewer.is_verified) == ("moved@example.com", True)
    told = OutboxMail.objects.filter(kind="email-changed").values_list("recipient", flat=True)
    assert set(told) == {"viewer@example.com", "moved@example.com"}
    assert AuditEvent.objects.filter(action="account:email:change").count() == 1


def test_a_new_address_needs_the_password(
    viewer: User, browser_of: Callable[[User], Client], mails: Callable[[], list]
) -> None:
    answer = browser_of(viewer).post(
        "/account/email", {"email": "moved@example.com", "password": "wrong"}
    )

    assert answer.status_code == 400
    assert mails() == []


def test_a_taken_address_answers_the_same_and_moves_nothing(
    viewer: User, editor: User, browser_of: Callable[[User], Client], mails: Callable[[], list]
) -> None:
    browser = browser_of(viewer)

    free = browser.post("/account/email", {"email": "moved@example.com", "password": PASSWORD})
    taken = browser.post("/account/email", {"email": editor.email, "password": PASSWORD})

    assert (free.status_code, taken.status_code) == (200, 200)
    assert [mail.kind for mail in mails()] == ["change-email", "account-exists"]


def test_a_closed_registration_makes_nothing(stranger: Client, settings: Settings) -> None:
    settings.ALLOW_REGISTRATION = False

    answer = stranger.post("/sign-up", {"email": EMAIL, "name": "", "password": PASSWORD})

    assert answer.status_code == 403
    assert handle_sign_up_requests() == 0
    assert not User.objects.filter(email=EMAIL).exists()


def test_the_allow_list_holds_for_sign_up(
    owner: User, stranger: Client, settings: Settings
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)

    refused = stranger.post("/sign-up", {"email": EMAIL, "name": "", "password": PASSWORD})
    taken = stranger.post("/sign-up", {"email": "u@corp.com", "name": "", "password": PASSWORD})

    assert (refused.status_code, taken.status_code) == (403, 200)
    handle_sign_up_requests()
    assert User.objects.filter(email="u@corp.com").exists()
    assert not User.objects.filter(email=EMAIL).exists()


def test_the_verification_mail_can_be_sent_again(
    owner: User, viewer: User, browser_of: Callable[[User], Client], settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    User.objects.filter(pk=viewer.pk).update(email_verified_at=None)
    browser = browser_of(viewer)

    assert browser.post("/verify-email/").status_code == 200

    assert browser.post(mailed_path("verify-email")).status_code == 303
    viewer.refresh_from_db()
    assert viewer.is_verified
    assert handle_reset_requests() == 0
