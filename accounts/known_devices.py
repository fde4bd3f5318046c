"""Known devices: a signed cookie that says which accounts this browser has signed in to.

It opens nothing. Tries from a known device are counted apart, so that a stranger who guesses at
an account neither slows its owner down nor locks him out.
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

SALT = "accounts.known_devices"
MAX_AGE = timedelta(days=180)
# A browser that a whole family uses; more would make the cookie long.
MOST_ACCOUNTS = 5
MAX_LOGIN_LENGTH = 254


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie: from now on this browser is known to `user`'s account."""
    name, marks = _read(request)
    marks.pop(str(user.pk), None)
    marks[str(user.pk)] = _mark(user)
    kept = dict(list(marks.items())[-MOST_ACCOUNTS:])
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        signing.dumps([name or secrets.token_urlsafe(12), kept], salt=SALT),
        max_age=int(MAX_AGE.total_seconds()),
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )


def known_device(request: HttpRequest, login: str) -> str:
    """The name of this browser for the account that `login` names if it is known there, else "".

    The same for the address and the user name, so that both share what is counted.

    Forgotten when the account's sessions are ended everywhere, as after a change of password.
    """
    name, marks = _read(request)
    if not marks:
        return ""
    user = sql.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    if user is None or marks.get(str(user.pk)) != _mark(user):
        return ""
    return f"{name}:{user.pk}"


def people_of(request: HttpRequest) -> list[User]:
    """Whoever has signed in with this browser, the last one first; for what may be told to them."""
    _name, marks = _read(request)
    found = (sql.find(User, "id", uuid.UUID(key)) for key in reversed(marks))
    return [user for user in found if user is not None]


def _mark(user: User) -> str:
    return user.credentials_valid_from.isoformat()


def _read(request: HttpRequest) -> tuple[str, dict[str, Any]]:
    """(name of the browser, marks by account id); empty for no cookie and for a wrong one."""
    value = request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
    if not value:
        return "", {}
    try:
        name, marks = signing.loads(value, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return "", {}
    return name, marks
