"""How the user of a session has authenticated: `auth_time`, `amr` and `acr`.

Told is what was really done in the session, never what a client asked for.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts.models import User
from accounts.sessions.reauthentication import AUTHENTICATED_AT
from accounts.sessions.store import DEVICE, SIGNED_IN_AT
from accounts.sign_in.methods import SignInMethod
from core.web.client_ip import client_ip

SINGLE_FACTOR, MULTI_FACTOR = "urn:gatehouse:acr:1fa", "urn:gatehouse:acr:2fa"
ACR_VALUES = (SINGLE_FACTOR, MULTI_FACTOR)
# RFC 8176 where it has a value. A mailed link and another provider have none there.
_AMR = {
    SignInMethod.PASSWORD: ("pwd",),
    SignInMethod.LDAP: ("pwd",),
    SignInMethod.PASSKEY: ("pop", "user", "mfa"),
    SignInMethod.MAGIC_LINK: ("email",),
    SignInMethod.INVITATION: ("email",),
    SignInMethod.SET_UP: ("email",),
    SignInMethod.PROVIDER: ("fed",),
    SignInMethod.TOTP: ("otp",),
    SignInMethod.RECOVERY_CODE: ("otp",),
    SignInMethod.SECOND_FACTOR: ("pop",),
}
_NAMES = frozenset(SignInMethod)
_SECOND = frozenset({SignInMethod.TOTP, SignInMethod.RECOVERY_CODE, SignInMethod.SECOND_FACTOR})


@dataclass(frozen=True, slots=True)
class SessionAuthentication:
    """session_id: the public id of the browser session. methods: values of `amr`. ip: whence the
    browser asks now, "" if that is not known.

    has_second_factor: two factors were verified in this session. A trusted browser, which is asked
    for one only, does not count.
    """

    session_id: uuid.UUID
    at: datetime
    methods: list[str]
    has_second_factor: bool
    ip: str = ""


def authentication_of(request: HttpRequest, user: User) -> SessionAuthentication | None:
    """Of the signed-in user; None for a session that was not begun by a sign-in."""
    return authentication_in(request.session, user, client_ip(request))


def authentication_in(session: SessionBase, user: User, ip: str) -> SessionAuthentication | None:
    """See authentication_of(); without a request. ip: whence the browser asks."""
    device, signed_in_at = session.get(DEVICE), session.get(SIGNED_IN_AT)
    if not isinstance(device, dict) or not isinstance(signed_in_at, str):
        return None
    confirmed_at = session.get(AUTHENTICATED_AT) or signed_in_at
    times = [datetime.fromisoformat(text) for text in (signed_in_at, confirmed_at)]
    asked: Any = SimpleNamespace(session=session)
    methods = [str(record.get("method")) for record in get_authentication_records(asked, user)]
    amr = amr_of(methods)
    return SessionAuthentication(
        session_id=uuid.UUID(device["id"]),
        at=max(times),
        methods=amr,
        has_second_factor="mfa" in amr,
        ip=ip,
    )


def amr_of(methods: list[str]) -> list[str]:
    """Values of `amr` for sign-in methods, each once. Pure."""
    done = [SignInMethod(name) for name in methods if name in _NAMES]
    found = [value for method in done for value in _AMR.get(method, ())]
    if _SECOND & {*done} and len({*done} - {SignInMethod.REMEMBERED}) > 1:
        found.append("mfa")
    return list(dict.fromkeys(found))


def acr_of(*, has_second_factor: bool) -> str:
    """The value of `acr`."""
    return MULTI_FACTOR if has_second_factor else SINGLE_FACTOR
