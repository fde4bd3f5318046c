"""What would happen if this person, or this key, asked for that? Nothing is written or counted."""

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
from forward_auth.authentication import Outcome, Pass, Refusal, by_key_id
from forward_auth.checker import NOBODY, is_here
from forward_auth.decisions import as_wsgi
from forward_auth.request_target import target_of
from forward_auth.services.rules import load_rules
from forward_auth.trace import Case, Explanation, explain


class Bearer(NamedTuple):
    """Who asks. note: why the credential is worth nothing, "" when it is or is not known."""

    outcome: Outcome
    user: User | None = None
    key: ApiKey | None = None
    note: str = ""


NOBODY_AT_ALL = Bearer(NOBODY)


class Asked(NamedTuple):
    """What is asked for. method "": not said. ip "": not known. raised: the proxy's ?role=."""

    url: str
    method: str = "GET"
    ip: str = ""
    raised: Role | None = None


def bearer_named(text: str) -> Bearer | None:
    """A person by address, user name or id, or an API key by its id; "" is nobody.

    None when nothing has that name.
    """
    name = text.strip()
    if not name:
        return NOBODY_AT_ALL
    user = _user(name)
    if user is not None:
        return signed_in(user)
    key_id = shown_id(name)
    key = ApiKey.objects.select_related("user").filter(pk=key_id).first() if key_id else None
    return with_key(key) if key is not None else None


def signed_in(user: User) -> Bearer:
    """The person with a session that began this moment."""
    refusal = access_policy.get_denial(user)
    if refusal is not None:
        return Bearer(Refusal("session", "not_authenticated"), user, None, refusal.message)
    found = Pass(
        kind="session",
        user_id=str(user.pk),
        email=user.email,
        name=user.name,
        role=Role(user.role),
        is_verified=user.is_verified,
        until=0.0,
    )
    return Bearer(found, user)


def with_key(key: ApiKey) -> Bearer:
    """Whoever holds that key."""
    return Bearer(by_key_id(key.pk, time.time()), key.user, key, _key_note(key))


def try_request(asked: Asked, bearer: Bearer) -> Explanation:
    """Every step of the check, by the rules of now."""
    said = {"HTTP_X_ORIGINAL_URL": as_wsgi(asked.url), "HTTP_X_ORIGINAL_METHOD": asked.method}
    target = target_of(said)
    case = Case(
        rules=load_rules(),
        target=target,
        ip=asked.ip,
        outcome=bearer.outcome,
        raised=asked.raised,
        is_here=is_here(bearer.outcome, asked.ip),
        needs_proof=not settings.ALLOW_UNVERIFIED_EMAIL_LOGIN,
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
