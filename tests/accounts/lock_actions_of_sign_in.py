"""Actions on sign-in methods: factors, passkeys, trusted browsers, sessions, external tokens."""

import random
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Group, User
from accounts.services import (
    invitations,
    passwords,
    second_factors,
    sessions,
    signup,
    users,
    verification,
)
from accounts.sessions import known_devices
from accounts.sessions.store import SessionStore
from api.external_jwt import users as external_users
from api.external_jwt.verify import ExternalClaims
from api.tokens import password_grant, refresh_tokens
from core.errors import RecordInvalid
from federation.oidc.errors import SignInFailed
from federation.providers import Provider
from federation.role_mapping import RoleMapping
from federation.services import identities, sign_in_tests
from forward_auth.services import cookies
from magiclinks import services as links
from mfa import trusted_browsers
from mfa.services import authenticators, passkeys, recovery_codes
from tests.accounts.lock_actions import keep_an_authenticator
from tests.accounts.lock_table import LOCAL, PHRASE, act, person, source, with_local_settings
from tests.mfa.passkeys.device import Device

with_local_settings(authenticators, external_users, signup)


def request_of_a_stranger() -> HttpRequest:
    """From another address each time, because only so much may come from one."""
    request = RequestFactory().post("/", REMOTE_ADDR=f"198.18.{random.randrange(256)}.7")
    request.META["REMOTE_ADDR"] = f"2001:db8:{random.randrange(65536):x}::7"
    request.user = AnonymousUser()
    return request


def signed_in(name: str) -> Client:
    client = Client(headers={"host": "localhost:8000"})
    client.post("/sign-in", {"login": f"{name}@example.com", "password": PHRASE})
    return client


@act
def ask_for_another_address() -> None:
    user = person("bert")
    new = f"{uuid.uuid4().hex}@example.com"
    for email in (new, "anna@example.com"):
        verification.request_email_change(
            request_of_a_stranger(), user=user, password=PHRASE, new=email
        )
    verification.send_verification(request_of_a_stranger(), user)
    verification.resend_verification(request_of_a_stranger(), user)


@act
def add_and_remove_a_passkey() -> None:
    user, device, session = person("anna"), Device(), SessionStore()
    answer = device.create(passkeys.begin_registration(session, user))
    row = passkeys.add(session, user, answer, name="Device").passkey
    try:
        passkeys.rename(user=user, passkey_id=row.pk, name="Other")
        answer = device.get(passkeys.begin_verification(session, user, passkeys.STEP_UP))
        passkeys.verify_passkey(session, user, answer, passkeys.STEP_UP)
        with suppress(passkeys.PasskeyExpired):  # answered already
            passkeys.verify_passkey(session, user, answer, passkeys.STEP_UP)
        answer = device.get(passkeys.begin_sign_in(session))
        passkeys.authenticate_passkey(session, answer)
        with suppress(passkeys.PasskeyExpired):
            passkeys.authenticate_passkey(session, answer)
    finally:
        if user.authenticators.filter(pk=row.pk).exists():
            passkeys.remove(user=user, passkey_id=row.pk, ends_sessions=True)


@act
def use_an_app() -> None:
    user = person("bert")
    with suppress(RecordInvalid):
        authenticators.check_first_code(user, authenticators.begin_totp_setup(user).secret, "wrong")
    keep_an_authenticator(user)
    authenticators.rename_totp(user, "Other")
    codes = recovery_codes.make_codes(user)
    authenticators.verify_second_factor(user, codes[0])
    authenticators.record_wrong_code(user, "account:session:start")
    with LOCAL.using(MFA_REQUIRED_ROLES=(user.role,)):
        keep_an_authenticator(user)
        with suppress(second_factors.FactorNeeded):
            authenticators.remove_totp(user)
    authenticators.remove_totp(user)


@act
def remember_and_forget_browsers() -> None:
    anna, bert, cookie = person("anna"), person("bert"), HttpResponse()
    request = request_of_a_stranger()
    for user in (anna, bert):
        known_devices.remember(request, cookie, user)
        request.COOKIES[settings.DEVICE_COOKIE_NAME] = cookie.cookies[
            settings.DEVICE_COOKIE_NAME
        ].value
        trusted_browsers.remember(request, cookie, user)
        request.COOKIES[settings.REMEMBERED_COOKIE_NAME] = cookie.cookies[
            settings.REMEMBERED_COOKIE_NAME
        ].value
    # The other way round, so that the rows of both move on once more.
    trusted_browsers.remember(request, cookie, anna)
    for user in (bert, anna):
        for row in trusted_browsers.browsers_of(user)[:2]:
            trusted_browsers.forget(actor=user, user=user, browser_id=row.pk)


@act
def forget_the_browsers_of_another() -> None:
    """By an administrator: one, then the others."""
    anna, owner = person("anna"), person("owner")
    for _number in range(2):
        trusted_browsers.remember(request_of_a_stranger(), HttpResponse(), anna)
    row = trusted_browsers.browsers_of(anna)[0]
    trusted_browsers.forget(actor=owner, user=anna, browser_id=row.pk)
    trusted_browsers.forget_all(actor=owner, user=anna)


@act
def sign_out_and_end_sessions() -> None:
    for _device in range(2):
        signed_in("anna")
    user = person("anna")
    for row in sessions.own_sessions(user)[:1]:
        sessions.end_own_session(user, row.public_id)
    for row in sessions.own_sessions(user)[:1]:
        sessions.end_session(actor=person("owner"), session=row)


@act
def sign_out_by_the_page() -> None:
    client = signed_in("bert")
    session = client.cookies.get(settings.SESSION_COOKIE_NAME)
    if session is not None:
        cookies.issue_forward_auth_cookie(session.value)
    client.post("/confirm", {"password": "wrong"})
    client.post("/confirm", {"password": PHRASE})
    client.post("/sign-out")


@act
def renew_a_session() -> None:
    request = request_of_a_stranger()
    request.session = SessionStore()
    user = person("anna")
    sessions.sign_in(request, user)
    sessions.end_sessions(actor=user, user=user)
    sessions.renew(request, user)


@act
def tokens_by_the_api() -> None:
    pair = password_grant.sign_in_by_password(
        request_of_a_stranger(), "bert@example.com", PHRASE, ""
    )
    refresh_tokens.end_family(actor=person("owner"), user=person("bert"), family_id=pair.family.pk)


@act
def sign_in_by_external_token() -> None:
    now = timezone.now()
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    claims: dict[str, Any] = {"email": email, "email_verified": True, "name": "Foreign"}
    token = ExternalClaims(
        issuer="https://other.example", subject=uuid.uuid4().hex, **claims,
        issued_at=now, expires_at=now + timedelta(hours=1), claims={},
    )  # fmt: skip
    with LOCAL.using(AUTH_JWT_REGISTRATION=True):
        user = external_users.find_or_create_user(token)
        external_users.find_or_create_user(token)
    users.delete_user(actor=SYSTEM, user=user)
    assert issued.invitation.pk


@act
def sign_in_by_provider_when_invited() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    info = identities.ExternalUserInfo(
        subject=email, issuer="https://id.example", email=email, email_verified=True
    )
    user = identities.resolve_user(source(mapping=RoleMapping()), info)
    other = invitations.invite(actor=person("owner"), email=f"other-{email}", role="editor")
    verification.mark_email_verified(user)
    users.delete_user(actor=SYSTEM, user=user)
    invitations.withdraw(actor=person("owner"), invitation=other.invitation)
    assert issued.invitation.pk


@act
def rehearse_sign_ins_by_provider() -> None:
    """Of a new person, of one who is known, and of one whose role the mapping changes."""
    for name in ("nobody-yet", "anna", "carl"):
        info = identities.ExternalUserInfo(
            subject=f"test-{name}",
            issuer="https://id.example",
            email=f"{name}@example.com",
            email_verified=True,
        )
        provider = Provider(source(mapping=RoleMapping()), "oidc", "gatehouse")
        sign_in_tests.preview_sign_in(actor=person("owner"), provider=provider, info=info)
        failed = SignInFailed("cancelled")
        sign_in_tests.note_failure(actor=person("owner"), provider=provider, error=failed)


@act
def accept_as_the_owner_of_the_address() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    group = Group.objects.create(name=uuid.uuid4().hex[:12])
    issued = invitations.invite(
        actor=person("owner"), email=email, role="editor", group_ids=[str(group.pk)]
    )
    user = User.objects.create(email=email, role="viewer")
    invitations.accept_as(issued.url.rstrip("/").rpartition("/")[2], user)
    users.delete_user(actor=SYSTEM, user=user)
    group.delete()


@act
def set_a_password() -> None:
    passwords.set_password(actor=SYSTEM, user=person("anna"), new=PHRASE)


@act
def first_sign_in_by_link_or_form() -> None:
    user = person("bert")
    links.record_refusal(links.LinkRefused(user, "x"))
    with suppress(RecordInvalid):
        signup.check_code("wrong")
    with LOCAL.using(ALLOW_REGISTRATION=True):
        made = signup.create_unverified_user(f"{uuid.uuid4().hex}@example.com")
        details = signup.SignUp(
            f"{uuid.uuid4().hex}@example.com", "New", "nine quiet rivers under glass"
        )
        signup.request_sign_up(details, binding="")
    assert made is not None
    users.delete_user(actor=SYSTEM, user=made)
