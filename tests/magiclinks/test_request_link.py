"""Requests for a link on the sign-in page: who gets one, and what the response reveals."""

import logging
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import EmailRequest, User
from audit.models import AuditEvent
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.magiclinks.conftest import Ask

pytestmark = pytest.mark.django_db


def test_a_request_mails_one_link_to_the_address(
    stranger: Client,
    viewer: User,
    owner: User,
    ask_link: Ask,
    mails: Callable[[], list[OutboxMail]],
) -> None:
    path = ask_link(stranger, "  Viewer@Example.com ")

    (mail,) = mails()
    link = LoginLink.objects.get()
    assert path.startswith("/magic-link/")
    assert (mail.kind, mail.recipient, mail.user) == ("magic-link", "viewer@example.com", viewer)
    assert (link.user, link.source, link.email) == (viewer, "request", "viewer@example.com")
    assert mail.expires_at == link.expires_at
    event = AuditEvent.objects.get(action="link:login:issue")
    assert (event.actor_id, event.target_id) == (None, viewer.pk)
    assert event.detail == {"source": "request", "link": str(link.pk)}


def test_the_token_is_stored_nowhere_in_plain_text(
    stranger: Client, viewer: User, ask_link: Ask, mails: Callable[[], list[OutboxMail]]
) -> None:
    token = ask_link(stranger, viewer.email).removeprefix("/magic-link/")

    assert len(token) == 43
    kept = str(list(LoginLink.objects.values())) + str(list(OutboxMail.objects.values()))
    assert token not in kept + str(list(AuditEvent.objects.values()))
    assert repr(mails()[0]).find(token) == -1


def test_a017_response_and_log_contain_no_token(
    stranger: Client, viewer: User, ask_link: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = stranger.post("/magic-link", {"email": viewer.email})
    token = ask_link(stranger, viewer.email).removeprefix("/magic-link/")

    assert b"/magic-link/" not in answer.content
    assert token not in caplog.text


@pytest.mark.parametrize("is_open", [True, False])
def test_an_unknown_address_gets_an_account_only_when_registration_is_open(
    stranger: Client, owner: User, ask_link: Ask, settings, is_open: bool
) -> None:
    settings.ALLOW_REGISTRATION = is_open

    path = ask_link(stranger, "new@example.com")

    assert bool(path) is is_open
    made = User.objects.filter(email="new@example.com").first()
    assert (made is not None) is is_open
    if made is not None:
        assert (made.role, made.is_verified, made.has_usable_password()) == ("viewer", False, False)
    else:
        refused = AuditEvent.objects.get(action="link:login:request")
        assert (refused.result, refused.detail) == ("refused", {"reason": "no account"})


def test_an_address_outside_the_allow_list_gets_no_account(
    stranger: Client, owner: User, ask_link: Ask, settings
) -> None:
    settings.ALLOWED_EMAILS = ("example.org",)

    assert ask_link(stranger, "new@example.com") == ""
    assert ask_link(stranger, "new@example.org") != ""


@pytest.mark.parametrize(
    "typed",
    [
        "viewer@evil.example,viewer@example.com",
        "viewer@example.com\r\nBcc: a@evil.example",
        '"a@evil.example"@example.com',
        "viewer@example.com<a@evil.example>",
        "viewer\uff20example.com",
        "viewer@example.com@evil.example",
        "",
    ],
)
def test_a009_invalid_addresses_are_reported_beside_the_field(
    stranger: Client, viewer: User, typed: str
) -> None:
    answer = stranger.post("/magic-link", {"email": typed})

    handle_link_requests()
    assert answer.status_code == 400
    assert "email" in answer.context["form"].errors
    assert (OutboxMail.objects.count(), User.objects.count()) == (0, 1)


def test_a007_a_rejected_request_invalidates_no_link(
    stranger: Client, viewer: User, ask_link: Ask, settings
) -> None:
    settings.LIMITS = {**settings.LIMITS, "magic-link": (2, settings.LIMITS["magic-link"][1])}
    ask_link(stranger, viewer.email)
    last = ask_link(stranger, viewer.email)

    answer = stranger.post("/magic-link", {"email": viewer.email})
    handle_link_requests()

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert stranger.get(last).status_code == 302


def test_a007_a_flood_from_many_clients_keeps_the_last_link_valid(
    stranger: Client, viewer: User, ask_link: Ask, settings
) -> None:
    settings.LIMITS = {**settings.LIMITS, "recipient": (5, settings.LIMITS["recipient"][1])}
    attackers = [Client(REMOTE_ADDR=f"198.51.{number}.7") for number in range(4)]
    for attacker in attackers:
        ask_link(attacker, viewer.email)
    path = ask_link(stranger, viewer.email)

    late = Client(REMOTE_ADDR="198.51.100.7")

    assert ask_link(late, viewer.email) == ""
    assert stranger.get(path).status_code == 302
    refused = AuditEvent.objects.get(action="link:login:request")
    assert refused.detail == {"reason": "rate_limited"}


@pytest.mark.parametrize("state", [{"is_active": False}, {"setup_completed": False}])
def test_a_user_who_may_not_sign_in_gets_no_link(
    stranger: Client, make_user: Callable[..., User], ask_link: Ask, state: dict[str, bool]
) -> None:
    user = make_user("editor", **state)

    assert ask_link(stranger, user.email) == ""
    assert LoginLink.objects.count() == 0


def test_each_browser_reads_the_page_in_its_language(stranger: Client, owner: User) -> None:
    for language in ("en", "de", "en"):
        answer = stranger.post(
            "/magic-link", {"email": owner.email}, headers={"accept-language": language}
        )
        assert f'<html lang="{language}"' in answer.content.decode()


def test_magic_links_can_be_switched_off(stranger: Client, viewer: User, settings) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False

    assert stranger.get("/magic-link").status_code == 403
    assert stranger.post("/magic-link", {"email": viewer.email}).status_code == 403
    assert EmailRequest.objects.count() == 0
    assert b'action="/magic-link"' not in stranger.get("/sign-in").content


def test_a_newer_link_replaces_the_older_one(stranger: Client, viewer: User, ask_link: Ask) -> None:
    first, second = ask_link(stranger, viewer.email), ask_link(stranger, viewer.email)

    answer = stranger.get(first)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-replaced")
    assert stranger.get(second).status_code == 302


@pytest.mark.parametrize(
    ("query", "location"),
    [("", "/account/"), ("?next=/account/email", "/account/email"),
     ("?next=https://evil.example.com/", "/account/")],
)  # fmt: skip
def test_a_signed_in_user_is_redirected(
    viewer: User, browser_of: Callable[[User], Client], query: str, location: str
) -> None:
    answer = browser_of(viewer).get(f"/magic-link{query}")

    assert (answer.status_code, answer["Location"]) == (302, location)
