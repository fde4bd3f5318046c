"""Acts on the ways in: factors, passkeys, remembered browsers, sessions, tokens of others."""

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

from accounts import devices, remembered
from accounts.actors import SYSTEM
from accounts.errors import RecordInvalid
from accounts.models import User
from accounts.rolemaps import RoleMapping
from accounts.services import (
    authenticators,
    identities,
    invitations,
    passkeys,
    passwords,
    recovery,
    sessions,
    signup,
    users,
    verification,
)
from accounts.sessions import SessionStore
from api.foreign import people
from api.foreign.verify import ForeignClaims
from api.services import families, grants
from magiclinks import services as links
from sso.services import cookies
from tests.accounts.lock_acts import keep_an_app
from tests.accounts.lock_table import LOCAL, PHRASE, act, door, person, with_local_settings
from tests.accounts.passkeys.device import Device

with_local_settings(authenticators, people, signup)


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
    answer = device.create(passkeys.begin_adding(session, user))
    row = passkeys.add(session, user, answer, name="Device").passkey
    try:
        passkeys.rename(user=user, passkey_id=row.pk, name="Other")
        answer = device.get(passkeys.begin_proving(session, user, passkeys.STEP_UP))
        passkeys.prove(session, user, answer, passkeys.STEP_UP)
        with suppress(passkeys.PasskeyExpired):  # answered already
            passkeys.prove(session, user, answer, passkeys.STEP_UP)
        answer = device.get(passkeys.begin_signing_in(session))
        passkeys.who_signs_in(session, answer)
        with suppress(passkeys.PasskeyExpired):
            passkeys.who_signs_in(session, answer)
    finally:
        if user.authenticators.filter(pk=row.pk).exists():
            passkeys.remove(user=user, passkey_id=row.pk, ends_sessions=True)


@act
def use_an_app() -> None:
    user = person("bert")
    with suppress(RecordInvalid):
        authenticators.check_first_code(user, authenticators.begin_app(user).secret, "wrong")
    keep_an_app(user)
    authenticators.rename_app(user, "Other")
    codes = recovery.make_codes(user)
    authenticators.spend(user, codes[0])
    authenticators.note_wrong_code(user, "account:session:start")
    with LOCAL.using(MFA_REQUIRED_ROLES=(user.role,)):
        keep_an_app(user)
        with suppress(authenticators.FactorNeeded):
            authenticators.remove_app(user)
    authenticators.remove_app(user)


@act
def remember_and_forget_browsers() -> None:
    anna, bert, cookie = person("anna"), person("bert"), HttpResponse()
    request = request_of_a_stranger()
    for user in (anna, bert):
        devices.remember(request, cookie, user)
        request.COOKIES[settings.DEVICE_COOKIE_NAME] = cookie.cookies[
            settings.DEVICE_COOKIE_NAME
        ].value
        remembered.remember(request, cookie, user)
        request.COOKIES[settings.REMEMBERED_COOKIE_NAME] = cookie.cookies[
            settings.REMEMBERED_COOKIE_NAME
        ].value
    # The other way round, so that the rows of both move on once more.
    remembered.remember(request, cookie, anna)
    for user in (bert, anna):
        for row in remembered.browsers_of(user)[:2]:
            remembered.forget(user, row.pk)


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
        cookies.issue_gate_cookie(session.value)
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
    pair = grants.sign_in_by_password(request_of_a_stranger(), "bert@example.com", PHRASE, "")
    families.end_family(actor=person("owner"), user=person("bert"), family_id=pair.family.pk)


@act
def come_by_a_foreign_token() -> None:
    now = timezone.now()
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    claims: dict[str, Any] = {"email": email, "email_verified": True, "name": "Foreign"}
    token = ForeignClaims(
        issuer="https://other.example", subject=uuid.uuid4().hex, **claims,
        issued_at=now, expires_at=now + timedelta(hours=1), claims={},
    )  # fmt: skip
    with LOCAL.using(AUTH_JWT_REGISTRATION=True):
        user = people.person_of(token)
        people.person_of(token)
    users.delete_user(actor=SYSTEM, user=user)
    assert issued.invitation.pk


@act
def come_by_a_provider_when_invited() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    arrival = identities.Arrival(
        subject=email, issuer="https://id.example", email=email, email_verified=True
    )
    user = identities.arrive(door(mapping=RoleMapping()), arrival)
    other = invitations.invite(actor=person("owner"), email=f"other-{email}", role="editor")
    verification.prove_address(user)
    users.delete_user(actor=SYSTEM, user=user)
    invitations.withdraw(actor=person("owner"), invitation=other.invitation)
    assert issued.invitation.pk


@act
def accept_as_the_owner_of_the_address() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    user = User.objects.create(email=email, role="viewer")
    invitations.accept_as(issued.url.rstrip("/").rpartition("/")[2], user)
    users.delete_user(actor=SYSTEM, user=user)


@act
def set_a_password() -> None:
    passwords.set_password(actor=SYSTEM, user=person("anna"), new=PHRASE)


@act
def come_by_a_link_or_a_form_for_the_first_time() -> None:
    user = person("bert")
    links.note_refused(links.LinkRefused(user, "x"))
    with suppress(RecordInvalid):
        signup.check_code("wrong")
    with LOCAL.using(ALLOW_REGISTRATION=True):
        made = signup.open_account(f"{uuid.uuid4().hex}@example.com")
        details = signup.SignUp(
            f"{uuid.uuid4().hex}@example.com", "New", "nine quiet rivers under glass"
        )
        signup.request_sign_up(details, binding="")
    assert made is not None
    users.delete_user(actor=SYSTEM, user=made)
