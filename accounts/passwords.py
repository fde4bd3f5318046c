"""What a password may be, and how typed text becomes what is hashed."""

import unicodedata
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from core.errors import RecordInvalid

MAX_PASSWORD_LENGTH = 256


def normalise(raw: str) -> str:
    """NFKC, so that one password on two keyboards is one (NIST 800-63B); no trimming."""
    return unicodedata.normalize("NFKC", raw)


def asks_password(user: Any) -> bool:
    """Is the person asked for a local password where one is a proof?

    Not where nobody has to know one, because ALLOW_EMAIL_LOGIN is off.
    """
    return bool(settings.ALLOW_EMAIL_LOGIN) and user.has_usable_password()


def password_problems(raw: str, user: Any) -> list[str]:
    """What speaks against this password for this person; empty when nothing does."""
    if len(raw) > MAX_PASSWORD_LENGTH * 4:
        raw = raw[: MAX_PASSWORD_LENGTH * 4]
    try:
        validate_password(raw, user)
    except ValidationError as error:
        return list(error.messages)
    return []


def check_password_rules(raw: str, user: Any, field: str = "password") -> None:
    """Raise RecordInvalid naming `field` when the password breaks a rule."""
    problems = password_problems(raw, user)
    if problems:
        raise RecordInvalid({field: problems})
