"""The sign-in that an authorization request asks for, and how its answer finds the way back.

A request that asks for a sign-in gets a signed time, with which the sign-in page leads back to it.
An authentication after that time is the one that was asked for, so it is asked for once. The time
is bound to the parameters, and a client cannot make one.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.core import signing
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import User
from accounts.sessions.reauthentication import PAGE as CONFIRM
from core.web.redirects import see_other
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.parameters import STEP, AuthorizationRequest

SALT = "oidc_provider.step"
# As long as a sign-in may take, with a mailed link.
LIFETIME = timedelta(hours=1)
TOLERANCE = timedelta(seconds=1)


def needs_sign_in(
    asked: AuthorizationRequest,
    authentication: SessionAuthentication | None,
    given: Mapping[str, str],
) -> bool:
    """Whether the user has to sign in, or again: no session, `prompt=login`, `max_age`."""
    if authentication is None:
        return True
    asked_at = _asked_at(given)
    if asked_at is not None and authentication.at >= asked_at - TOLERANCE:
        return False
    if "login" in asked.prompts:
        return True
    if asked.max_age is None:
        return False
    return timezone.now() - authentication.at > timedelta(seconds=asked.max_age)


def to_sign_in(
    given: Mapping[str, str],
    asked: AuthorizationRequest,
    *,
    user: User | None,
    authentication: SessionAuthentication | None,
) -> HttpResponse:
    """To the sign-in page, or for a signed-in user to /confirm; both lead back here."""
    back = f"{reverse('oidc_provider:authorize')}?{urlencode(marked(given))}"
    query = {"next": back}
    if authentication is not None:
        return see_other(f"{reverse(CONFIRM)}?{urlencode(query)}")
    if user is not None:
        # A session that another app of the team has begun: nothing says how.
        return see_other(f"{reverse('account_logout')}?{urlencode(query)}")
    if asked.login_hint:
        query["login_hint"] = asked.login_hint
    return see_other(f"{reverse('account_login')}?{urlencode(query)}")


def marked(given: Mapping[str, str]) -> dict[str, str]:
    """The parameters with the signed time of now."""
    mark = signing.dumps([_digest(given), timezone.now().isoformat()], salt=SALT)
    return {**given, STEP: mark}


def came_from_form(given: Mapping[str, str]) -> bool:
    """Whether the browser comes back from one of our own pages."""
    return _asked_at(given) is not None


def _asked_at(given: Mapping[str, str]) -> datetime | None:
    try:
        found, time = signing.loads(given.get(STEP, ""), salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    return datetime.fromisoformat(time) if found == _digest(given) else None


def _digest(given: Mapping[str, str]) -> str:
    fields = sorted((name, value) for name, value in given.items() if name != STEP)
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()
