"""Normalising and validating passwords."""

import unicodedata
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from core.errors import RecordInvalid

MAX_PASSWORD_LENGTH = 256


def normalise(raw: str) -> str:
    """Apply NFKC, so that a password is the same from any keyboard (NIST 800-63B). No trimming."""
    return unicodedata.normalize("NFKC", raw)


def asks_password(user: Any) -> bool:
    """Whether forms that need proof of identity ask `user` for a local password.

    False while ALLOW_EMAIL_LOGIN is off, because no one has to know a password then.
    """
    return bool(settings.ALLOW_EMAIL_LOGIN) and user.has_usable_password()


def password_problems(raw: str, user: Any) -> list[str]:
    """Messages that say which rules the password breaks for `user`; empty if it breaks none."""
    if len(raw) > MAX_PASSWORD_LENGTH * 4:
        raw = raw[: MAX_PASSWORD_LENGTH * 4]
    try:
        validate_password(raw, user)
    except ValidationError as error:
        return list(error.messages)
    return []


def check_password_rules(raw: str, user: Any, field: str = "password") -> None:
    """Raise RecordInvalid for `field` if the password breaks a rule."""
    problems = password_problems(raw, user)
    if problems:
        raise RecordInvalid({field: problems})
