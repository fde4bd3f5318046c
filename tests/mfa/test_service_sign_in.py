"""A service account signs in by no method, whatever it had as a person. Each row is one method."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AccountToken, BrowserSession, EmailRequest, Invitation, User
from accounts.services import passwords
from accounts.services.email_tokens import issue_token
from accounts.services.invitations import invite
from accounts.services.passwords import handle_reset_requests
from accounts.services.verification import mark_verified
from api.tokens import refresh_tokens
from audit.models import AuditEvent
from core.errors import RecordInvalid
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests, issue_link
from mail.models import OutboxMail
from tests.conftest import PASSWORD
from tests.mfa.passkeys.conftest import add
from tests.mfa.passkeys.conftest import sign_in as sign_in_by_passkey
from tests.mfa.passkeys.device import Device
from tests.mfa.sign_in_methods import SIGN_IN_METHODS

pytestmark = pytest.mark.django_db
Attempt = Callable[[Client], Any]


def as_service(user: User) -> None:
    """Make the row a service account, as no page can: what it was entered with is left behind."""
    AccountToken.objects.filter(user=user).update(email="bot")
    LoginLink.objects.filter(user=user).update(email="bot")
    User.objects.filter(pk=user.pk).update(
        kind="service", email="bot", username="bot", password="!left", email_verified_at=None,
        last_login=None, setup_completed=True, role="viewer", responsible_id=user.pk,
    )  # fmt: skip


def by_name(_user: User) -> Attempt:
    return lambda client: client.post("/sign-in", {"login": "bot", "password": PASSWORD})


def by_requested_link(_user: User) -> Attempt:
    def attempt(client: Client) -> None:
        client.post("/magic-link", {"email": "bot"})
        row = EmailRequest.objects.create(kind="magic-link", email="bot", language="en")
        handle_link_requests()
        assert not EmailRequest.objects.filter(pk=row.pk).exists()
        assert not LoginLink.objects.exists()

    return attempt


def by_requested_reset(_user: User) -> Attempt:
    def attempt(client: Client) -> None:
        client.post("/password/forgot", {"email": "bot"})
        EmailRequest.objects.create(kind="reset-password", email="bot", language="en")
        handle_reset_requests()
        assert not AccountToken.objects.exists()

    return attempt


def by_passkey(user: User) -> Attempt:
    device, home = Device(), Client()
    home.post("/sign-in", {"login": user.email, "password": PASSWORD})
    add(home, device)
    return lambda client: sign_in_by_passkey(client, device)


def by_live_session(user: User) -> Attempt:
    User.objects.filter(pk=user.pk).update(password="!left")  # the session is bound to it
    home = Client()
    home.force_login(User.objects.get(pk=user.pk))
    assert home.get("/account/").status_code == 200

    def attempt(client: Client) -> None:
        client.cookies = home.cookies

    return attempt


def by_verification_link(user: User) -> Attempt:
    mark = AccountToken.Purpose.VERIFY_EMAIL
    token = issue_token(user, mark, lifetime=timedelta(hours=1)).token
    return lambda client: client.post(f"/verify-email/{token}")


def by_invitation(_user: User) -> Attempt:
    issued = invite(actor=SYSTEM, email="new@example.com", role="editor")
    Invitation.objects.update(email="bot")
    path = issued.url.removeprefix("http://localhost:8000")
    form = {"name": "", "password": "a quite different phrase of words"}
    return lambda client: client.post(path, form)


def by_api_password(_user: User) -> Attempt:
    body = {"login": "bot", "password": PASSWORD}
    return lambda client: client.post("/api/v1/auth/token", body, "application/json")


def by_refresh_token(user: User) -> Attempt:
    pair = refresh_tokens.start_by_password(user, timezone.now())

    def attempt(client: Client) -> None:
        path = "/api/v1/auth/token/refresh"
        answer = client.post(path, {"refresh": pair.refresh}, "application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "service_account")
        bearer = {"authorization": f"Bearer {pair.access}"}
        answer = client.get("/api/v1/me", headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "service_account")
        answer = client.get("/auth/check", headers=bearer)
        assert answer.status_code == 403

    return attempt


METHODS: dict[str, Callable[[User], Attempt]] = {
    **SIGN_IN_METHODS,
    "its name and a password": by_name,
    "a requested link": by_requested_link,
    "a requested reset": by_requested_reset,
    "a passkey": by_passkey,
    "a live session": by_live_session,
    "a link that verifies its address": by_verification_link,
    "an invitation": by_invitation,
    "a password at the API": by_api_password,
    "a refresh token": by_refresh_token,
}


@pytest.mark.parametrize("method", METHODS)
def test_a_service_account_signs_in_by_no_method(
    editor: User, stranger: Client, method: str
) -> None:
    attempt = METHODS[method](editor)
    as_service(editor)
    started = AuditEvent.objects.filter(action="account:session:start", result="success").count()

    attempt(stranger)

    assert stranger.get("/account/").status_code == 302
    assert stranger.get("/admin/").status_code == 302
    stored = User.objects.get(pk=editor.pk)
    assert (stored.kind, stored.is_verified, stored.last_login) == ("service", False, None)
    assert not stored.has_usable_password()
    now = AuditEvent.objects.filter(action="account:session:start", result="success").count()
    assert now == started
    assert not OutboxMail.objects.filter(recipient="bot").exists()


def test_nobody_hands_a_service_account_a_way_to_sign_in(owner: User, editor: User) -> None:
    as_service(editor)
    service = User.objects.get(pk=editor.pk)
    before = AuditEvent.objects.count()
    for hand_out in (
        lambda: issue_link(service, actor=owner, lifetime=timedelta(hours=1), source="admin"),
        lambda: passwords.begin_reset(actor=owner, user=service),
        lambda: passwords.set_password(actor=owner, user=service, new="a phrase of many words"),
        lambda: mark_verified(actor=owner, user=service),
    ):
        with pytest.raises(RecordInvalid):
            hand_out()

    assert AuditEvent.objects.count() == before
    assert not BrowserSession.objects.filter(user=service).exists()
