"""Verification of an address, and what ends if it is verified late (A023)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import AccountToken, User
from accounts.services import users, verification
from accounts.services.email_tokens import issue_token, usable_token
from accounts.services.passwords import handle_reset_requests, set_password
from accounts.services.sessions import end_sessions
from accounts.services.signup import SignUp, check_sign_up, handle_sign_up_requests
from accounts.services.users import Profile
from audit.models import AuditEvent
from core.errors import RecordInvalid, TokenInvalid
from mail.models import OutboxMail
from moderation.services import bans
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
    """Sign up in the browser `stranger`; returns the path of the mailed link."""
    stranger.post("/sign-up", {"email": EMAIL, "name": "Nina", "password": PASSWORD})
    handle_sign_up_requests()
    return mailed_path("verify-email")


def test_an_unverified_address_cannot_sign_in(signed_up: str, stranger: Client) -> None:
    answer = stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})

    assert answer.status_code == 200
    assert stranger.get("/account/").status_code == 302
    assert User.objects.get(email=EMAIL).role == "viewer"


def test_an_unverified_address_can_sign_in_if_configured(
    signed_up: str, stranger: Client, settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True

    stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})

    assert stranger.get("/account/").status_code == 200


def test_the_browser_that_signed_up_verifies_with_one_click(
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


def test_another_browser_needs_the_chosen_password(signed_up: str) -> None:
    victim = Client()

    assert victim.post(signed_up).status_code == 400
    assert victim.post(signed_up, {"password": "not the chosen one"}).status_code == 400
    assert not User.objects.get(email=EMAIL).is_verified

    assert victim.post(signed_up, {"password": PASSWORD}).status_code == 303
    assert User.objects.get(email=EMAIL).is_verified


def test_a_reset_by_the_true_owner_ends_the_credentials_of_a_stranger(
    signed_up: str, stranger: Client, settings: Settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD})
    assert stranger.get("/account/").status_code == 200

    Client().post(asked_reset(User.objects.get(email=EMAIL)), {"password": NEW})

    assert stranger.get("/account/").status_code == 302
    assert stranger.post("/sign-in", {"login": EMAIL, "password": PASSWORD}).status_code == 401
    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=link-ended"


def test_the_verification_link_works_once_and_for_a_day(
    signed_up: str, stranger: Client, at_time: Callable[[timedelta], object]
) -> None:
    stranger.post(signed_up)
    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=verify-used"


def test_an_expired_link_says_so(
    signed_up: str, stranger: Client, at_time: Callable[[timedelta], object]
) -> None:
    at_time(timedelta(hours=24, seconds=1))

    assert stranger.post(signed_up)["Location"] == "/sign-in?notice=link-expired"
    assert not User.objects.get(email=EMAIL).is_verified


def test_a_user_changes_their_address(viewer: User, browser_of: Callable[[User], Client]) -> None:
    browser = browser_of(viewer)

    browser.post("/account/email", {"email": "moved@example.com", "password": PASSWORD})
    viewer.refresh_from_db()
    assert viewer.email == "viewer@example.com"
    browser.post(mailed_path("change-email"))

    viewer.refresh_from_db()
    assert (viewer.email, viewer.is_verified) == ("moved@example.com", True)
    recipients = OutboxMail.objects.filter(kind="email-changed").values_list("recipient", flat=True)
    assert set(recipients) == {"viewer@example.com", "moved@example.com"}
    assert AuditEvent.objects.filter(action="account:email:change").count() == 1


def test_a_new_address_needs_the_password(
    viewer: User, browser_of: Callable[[User], Client], mails: Callable[[], list]
) -> None:
    answer = browser_of(viewer).post(
        "/account/email", {"email": "moved@example.com", "password": "wrong"}
    )

    assert answer.status_code == 400
    assert mails() == []


def test_a_taken_address_gets_the_same_answer_and_changes_nothing(
    viewer: User, editor: User, browser_of: Callable[[User], Client], mails: Callable[[], list]
) -> None:
    browser = browser_of(viewer)

    free = browser.post("/account/email", {"email": "moved@example.com", "password": PASSWORD})
    taken = browser.post("/account/email", {"email": editor.email, "password": PASSWORD})

    assert (free.status_code, taken.status_code) == (200, 200)
    assert [mail.kind for mail in mails()] == ["change-email", "account-exists"]


def test_a_closed_registration_creates_nothing(stranger: Client, settings: Settings) -> None:
    settings.ALLOW_REGISTRATION = False

    answer = stranger.post("/sign-up", {"email": EMAIL, "name": "", "password": PASSWORD})

    assert answer.status_code == 403
    assert handle_sign_up_requests() == 0
    assert not User.objects.filter(email=EMAIL).exists()


def test_the_allow_list_applies_to_sign_up(
    owner: User, stranger: Client, settings: Settings
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)

    refused = stranger.post("/sign-up", {"email": EMAIL, "name": "", "password": PASSWORD})
    taken = stranger.post("/sign-up", {"email": "u@corp.com", "name": "", "password": PASSWORD})

    assert (refused.status_code, taken.status_code) == (403, 200)
    handle_sign_up_requests()
    assert User.objects.filter(email="u@corp.com").exists()
    assert not User.objects.filter(email=EMAIL).exists()


def test_only_without_password_sign_in_no_password_is_needed(settings: Settings) -> None:
    with pytest.raises(RecordInvalid) as refusal:
        check_sign_up(SignUp(EMAIL, "Nina", None))
    assert refusal.value.errors == {"password": ["This field is required."]}

    settings.ALLOW_EMAIL_LOGIN = False
    check_sign_up(SignUp(EMAIL, "Nina", None))


@pytest.mark.parametrize(
    "change",
    [
        {"is_active": False},
        {"email": "other@example.com"},
        {"credentials_valid_from": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_an_account_that_changes_meanwhile_is_not_verified(
    signed_up: str, stranger: Client, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    """Another request commits the change while this one waits for the lock."""
    key = User.objects.get(email=EMAIL).pk

    def lock_late(*_keys: object) -> None:
        User.objects.filter(pk=key).update(**change)

    monkeypatch.setattr(verification, "lock_users", lock_late)

    answer = stranger.post(signed_up)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-ended")
    assert not User.objects.get(pk=key).is_verified


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


# A link to a new address lives no longer than what it is about


@pytest.fixture
def change_link(viewer: User, browser_of: Callable[[User], Client]) -> str:
    """`viewer` has asked for another address; the path of the link that was mailed to it."""
    browser_of(viewer).post("/account/email", {"email": "moved@example.com", "password": PASSWORD})
    return mailed_path("change-email")


def _administrator_changes_email(actor: User, user: User) -> None:
    users.edit_profile(actor=actor, user=user, profile=Profile(email="right@example.com"))


def _administrator_ends_sessions(actor: User, user: User) -> None:
    end_sessions(actor=actor, user=user)


def _administrator_sets_password(actor: User, user: User) -> None:
    set_password(actor=actor, user=user, new=NEW)


def _another_user_takes_email(_actor: User, user: User) -> None:
    """As a sync of the directory may, without an end of sessions."""
    User.objects.filter(pk=user.pk).update(email="right@example.com")


def _administrator_bans_for_a_minute(actor: User, user: User) -> None:
    bans.lift(actor=actor, ban=bans.ban(actor=actor, user=user, duration=None, reason="spam"))


@pytest.mark.parametrize(
    "act",
    [
        _administrator_changes_email,
        _administrator_ends_sessions,
        _administrator_sets_password,
        _another_user_takes_email,
        _administrator_bans_for_a_minute,
    ],
)
def test_a_link_to_a_new_address_ends_with_the_access_of_its_user(
    owner: User, viewer: User, change_link: str, stranger: Client, act: Callable[..., None]
) -> None:
    act(owner, viewer)
    before = User.objects.filter(pk=viewer.pk).values().get()
    browser = Client()
    browser.post("/sign-in", {"login": before["email"], "password": PASSWORD})
    browser.post("/sign-in", {"login": before["email"], "password": NEW})
    now = User.objects.filter(pk=viewer.pk).values().get()

    for client, form in ((browser, {}), (stranger, {"password": PASSWORD})):
        answer = client.post(change_link, form, follow=True)
        assert answer.status_code == 200
        assert b"This link does not work any more" in answer.content

    assert User.objects.filter(pk=viewer.pk).values().get() == now
    assert not User.objects.filter(email="moved@example.com").exists()
    assert AccountToken.objects.get(purpose="change-email").used_at is None


@pytest.mark.parametrize("purpose", list(AccountToken.Purpose))
def test_tokens_of_a_user_end_with_their_access(
    make_user: Callable[..., User], owner: User, purpose: AccountToken.Purpose
) -> None:
    user = make_user("viewer", "somebody@example.com")
    token = issue_token(user, purpose, lifetime=timedelta(hours=1)).token
    assert usable_token(purpose, token).user == user

    end_sessions(actor=owner, user=user)

    with pytest.raises(TokenInvalid):
        usable_token(purpose, token)
    newer = issue_token(User.objects.get(pk=user.pk), purpose, lifetime=timedelta(hours=1)).token
    assert usable_token(purpose, newer).user == user


@pytest.mark.parametrize("purpose", list(AccountToken.Purpose))
def test_tokens_of_a_user_end_with_their_address(
    make_user: Callable[..., User], purpose: AccountToken.Purpose
) -> None:
    user = make_user("viewer", "somebody@example.com")
    token = issue_token(user, purpose, lifetime=timedelta(hours=1), email="new@example.com").token

    User.objects.filter(pk=user.pk).update(email="other@example.com")

    with pytest.raises(TokenInvalid):
        usable_token(purpose, token)
