"""Simulates a check for a user or an API key. Nothing is written or counted."""

import time
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.models import User
from accounts.roles import Role
from api.apikeys.key_format import shown_id
from api.models import ApiKey
from forward_auth.decisions import AuthFailure, AuthResult, Principal, as_wsgi
from forward_auth.fastpath.authentication import authenticate_key_id
from forward_auth.fastpath.checker import NOT_AUTHENTICATED, ip_allowed
from forward_auth.request_target import target_of
from forward_auth.services.rules import load_rules
from forward_auth.trace import Explanation, Scenario, explain


class Subject(NamedTuple):
    """Who makes the request. note: why the credential is invalid; "" if it is valid or unknown."""

    auth_result: AuthResult
    user: User | None = None
    key: ApiKey | None = None
    note: str = ""


NO_SUBJECT = Subject(NOT_AUTHENTICATED)


class SimulatedRequest(NamedTuple):
    """The request. method, ip: "" for unknown. override: the proxy's ?role=…"""

    url: str
    method: str = "GET"
    ip: str = ""
    override: Role | None = None


def find_subject(text: str) -> Subject | None:
    """A user by email, user name or id, or an API key by its id; "" is no one.

    None when there is no such user or key.
    """
    name = text.strip()
    if not name:
        return NO_SUBJECT
    user = _user(name)
    if user is not None:
        return subject_for_user(user)
    key_id = shown_id(name)
    key = ApiKey.objects.select_related("user").filter(pk=key_id).first() if key_id else None
    return subject_for_key(key) if key is not None else None


def subject_for_user(user: User) -> Subject:
    """The user with a new session."""
    refusal = access_policy.get_denial(user)
    if refusal is not None:
        return Subject(AuthFailure("session", "not_authenticated"), user, None, refusal.message)
    found = Principal(
        kind="session",
        user_id=str(user.pk),
        email=user.email,
        name=user.name,
        role=Role(user.role),
        is_verified=user.is_verified,
        until=0.0,
    )
    return Subject(found, user)


def subject_for_key(key: ApiKey) -> Subject:
    """The client that sends this key."""
    return Subject(authenticate_key_id(key.pk, time.time()), key.user, key, _key_note(key))


def simulate(asked: SimulatedRequest, subject: Subject) -> Explanation:
    """Explain the check by the current rules."""
    said = {"HTTP_X_ORIGINAL_URL": as_wsgi(asked.url), "HTTP_X_ORIGINAL_METHOD": asked.method}
    target = target_of(said)
    case = Scenario(
        rules=load_rules(),
        target=target,
        ip=asked.ip,
        auth_result=subject.auth_result,
        override=asked.override,
        ip_allowed=ip_allowed(subject.auth_result, asked.ip),
        requires_verified_email=not settings.ALLOW_UNVERIFIED_EMAIL_LOGIN,
    )
    return explain(case)


def _user(name: str) -> User | None:
    try:
        found: User | None = User.objects.filter(pk=UUID(name)).first()
    except ValueError:
        found = User.objects.with_login(name).first()
    return found


def _key_note(key: ApiKey) -> str:
    match key.state(timezone.now()):
        case "revoked":
            return _("The key is revoked.")
        case "expired":
            return _("The key has expired.")
    refusal = access_policy.get_denial(key.user, credential_at=key.created_at, is_key=True)
    return refusal.message if refusal is not None else ""
