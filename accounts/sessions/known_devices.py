"""Known devices: a signed cookie that lists the accounts this browser has signed in to.

It is no credential. Attempts from a known device have a rate limit of their own, so that someone
who guesses passwords neither slows the owner of the account down nor locks them out.
"""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from accounts.models import User, login_column
from core import sql
from core.web.cookies import set_cookie

SALT = "accounts.known_devices"
MAX_AGE = timedelta(days=180)
# Enough for a shared browser; more would make the cookie long.
MAX_ACCOUNTS = 5
MAX_LOGIN_LENGTH = 254


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie that makes this browser a known device of `user`."""
    name, versions = _read(request)
    versions.pop(str(user.pk), None)
    versions[str(user.pk)] = _version(user)
    newest = dict(list(versions.items())[-MAX_ACCOUNTS:])
    value = signing.dumps([name or secrets.token_urlsafe(12), newest], salt=SALT)
    set_cookie(response, settings.DEVICE_COOKIE_NAME, value, MAX_AGE)


def known_device(request: HttpRequest, login: str) -> str:
    """A name for this browser if it is a known device of the account `login`, else "".

    The address and the user name of an account give the same name, so they share one rate limit.
    A device is forgotten when all sessions of the account end, as after a password change.
    """
    name, versions = _read(request)
    if not versions:
        return ""
    user = sql.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    if user is None or versions.get(str(user.pk)) != _version(user):
        return ""
    return f"{name}:{user.pk}"


def users_of(request: HttpRequest) -> list[User]:
    """The users who have signed in with this browser, the last one first.

    Not authenticated: use it only to choose which message to show.
    """
    _name, versions = _read(request)
    users = (sql.find(User, "id", uuid.UUID(key)) for key in reversed(versions))
    return [user for user in users if user is not None]


def _version(user: User) -> str:
    return user.credentials_valid_from.isoformat()


def _read(request: HttpRequest) -> tuple[str, dict[str, Any]]:
    """(name of the browser, {account id: version}); empty for a missing or invalid cookie."""
    value = request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
    if not value:
        return "", {}
    try:
        name, versions = signing.loads(value, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return "", {}
    return name, versions
