"""Passwords: rules, change, reset. ATTACKS' ASVS rows 6.2 and 6.4."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import AccountToken, User
from accounts.passwords import password_problems
from accounts.services.passwords import handle_reset_requests, start_reset
from audit.models import AuditEvent
from mail.models import OutboxMail
from tests.conftest import PASSWORD, text_of

pytestmark = pytest.mark.django_db
NEW = "nine green lanterns by the sea"


@pytest.mark.parametrize(
    "password",
    [
        "purple otter juggles lamps",
        "84916 20457 73025 19486",
        "🦦🌊🎸🧊🪁🦉🍋🛰🧩🦔🥨🪐🐌🧵🪵",
        "x7$k" * 3 + "pQ9!vR",
        "correcthorse" + "battery staple" * 3,
        "Tr0ub4dor and three more words",
        "z" + "q9ßö" * 32,
    ],
)
def test_long_and_uncommon_passwords_are_accepted(password: str) -> None:
    assert password_problems(password, User(email="anna@example.com")) == []


@pytest.mark.parametrize(
    "password",
    [
        "fourteen-chars",
        "passwordpassword",
        "123456789012345",
        "qwertyuiopasdfghjkl",
        "aaaaaaaaaaaaaaaaaaaa",
        "iloveyouiloveyou",
        "gatehousegatehouse",
        "gatehouse password",
        "annabelle.example",
        "abcdefghijklmnopqrstuvwxyz",
        "x" * 257,
    ],
)
def test_short_common_and_personal_passwords_are_rejected(password: str) -> None:
    assert password_problems(password, User(email="annabelle@example.com")) != []


def test_a_password_is_checked_exactly_as_typed(make_user: Callable[..., User]) -> None:
    long = "k" * 72
    user = make_user(password=long + "A ")

    assert user.check_password(long + "A ")
    assert not user.check_password(long + "A")
    assert not user.check_password(long + "B ")
    assert not user.check_password(long + "a ")
    assert not user.check_password(long)


def test_unicode_forms_of_one_password_are_equal(make_user: Callable[..., User]) -> None:
    user = make_user(password="cafe\u0301 under the old bridge")

    assert user.check_password("caf\u00e9 under the old bridge")


@pytest.mark.parametrize("size", [257, 10_000_000])
def test_an_overlong_password_is_refused_before_it_is_hashed(
    viewer: User, stranger: Client, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    hashed = []
    monkeypatch.setattr(User, "check_password", lambda *_args: hashed.append(1))

    answer = stranger.post("/sign-in", {"login": viewer.email, "password": "x" * size})

    assert answer.status_code == 400
    assert hashed == []


def test_a_new_password_needs_the_current_one(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)

    wrong = browser.post("/account/password", {"current_password": "no", "password": NEW})
    none = browser.post("/account/password", {"password": NEW})

    assert (wrong.status_code, none.status_code) == (400, 400)
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_a_changed_password_ends_other_sessions_and_sends_a_mail(
    viewer: User, browser_of: Callable[[User], Client], mails: Callable[[], list]
) -> None:
    here, phone = browser_of(viewer), browser_of(viewer)

    answer = here.post("/account/password", {"current_password": PASSWORD, "password": NEW})

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=password-changed")
    assert here.get("/account/").status_code == 200
    assert phone.get("/account/").status_code == 302
    assert [mail.kind for mail in mails()] == ["password-changed"]
    assert AuditEvent.objects.filter(action="account:password:change").count() == 1


def asked_reset(user: User) -> str:
    """The path of the reset link in the mail that `user` gets."""
    Client().post("/password/forgot", {"email": user.email})
    handle_reset_requests()
    mail = OutboxMail.objects.filter(kind="reset-password").latest("id")
    body = text_of(mail)
    found = re.search(r"http://localhost:8000(/password/reset/[\w-]+)", body)
    assert found is not None
    return found[1]


def test_a_mailed_link_resets_a_forgotten_password(
    viewer: User, stranger: Client, browser_of: Callable[[User], Client]
) -> None:
    phone = browser_of(viewer)
    path = asked_reset(viewer)

    page = stranger.get(path)
    answer = stranger.post(path, {"password": NEW})

    assert (page.status_code, page["Referrer-Policy"]) == (200, "strict-origin")
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=password-changed")
    viewer.refresh_from_db()
    assert viewer.check_password(NEW)
    assert phone.get("/account/").status_code == 302
    assert stranger.get("/account/").status_code == 302


def test_a_reset_link_works_once(viewer: User, stranger: Client) -> None:
    path = asked_reset(viewer)
    stranger.post(path, {"password": NEW})

    answer = stranger.post(path, {"password": "another phrase that is long enough"})

    assert answer["Location"] == "/sign-in?notice=reset-used"
    viewer.refresh_from_db()
    assert viewer.check_password(NEW)


def test_a_rejected_password_leaves_the_reset_link_usable(viewer: User, stranger: Client) -> None:
    path = asked_reset(viewer)

    assert stranger.post(path, {"password": "short"}).status_code == 400

    assert stranger.post(path, {"password": NEW}).status_code == 303


@pytest.mark.parametrize(("seconds", "status"), [(595, 200), (601, 303)])
def test_a_reset_link_ends_after_ten_minutes(
    viewer: User,
    stranger: Client,
    at_time: Callable[[timedelta], object],
    seconds: int,
    status: int,
) -> None:
    path = asked_reset(viewer)

    at_time(timedelta(seconds=seconds))

    assert stranger.get(path).status_code == status


@pytest.mark.parametrize("change", [{"is_active": False}, {"setup_completed": False}])
def test_a_reset_link_sets_no_password_of_an_account_that_may_not_act(
    viewer: User, stranger: Client, change: dict[str, bool]
) -> None:
    path = asked_reset(viewer)
    User.objects.filter(pk=viewer.pk).update(**change)

    answer = stranger.post(path, {"password": NEW})

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-ended")
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)
    assert not AuditEvent.objects.filter(action="account:password:reset").exists()


def test_opening_a_reset_link_does_not_consume_it(viewer: User, stranger: Client) -> None:
    path = asked_reset(viewer)

    stranger.get(path)
    stranger.head(path)
    stranger.options(path)

    assert stranger.post(path, {"password": NEW}).status_code == 303


def test_a_newer_reset_link_replaces_the_older(viewer: User, stranger: Client) -> None:
    first = asked_reset(viewer)
    asked_reset(viewer)

    assert stranger.get(first)["Location"] == "/sign-in?notice=link-replaced"


def test_a_reset_token_is_not_accepted_for_another_purpose(viewer: User, stranger: Client) -> None:
    token = asked_reset(viewer).rpartition("/")[2]

    for path in (f"/verify-email/{token}", f"/set-up/{token}", f"/magic-link/{token}"):
        assert stranger.post(path, {"password": NEW}).status_code == 303
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)
    assert stranger.get("/account/").status_code == 302


def test_an_administrator_starts_a_reset_without_learning_the_password(
    owner: User, viewer: User, stranger: Client
) -> None:
    url = start_reset(actor=owner, user=viewer)

    viewer.refresh_from_db()
    assert not viewer.has_usable_password()
    answer = stranger.post(url.removeprefix("http://localhost:8000"), {"password": NEW})
    assert answer.status_code == 303
    viewer.refresh_from_db()
    assert viewer.check_password(NEW)
    assert AccountToken.objects.get(purpose="reset-password").used_at is not None


def test_an_empty_password_is_only_reported_as_too_short(make_user: Callable[..., User]) -> None:
    assert password_problems("", make_user()) == [
        "Use at least 15 characters. A few words in a row are easy to remember."
    ]
