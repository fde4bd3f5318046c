"""Password hashes of other systems, as far as Gatehouse can verify them. Pure.

A file may come from anyone, so the cost of a hash is bounded: a client with an address could start
its verification again and again (CWE-400). A hash is replaced by Argon2id at the next sign-in.
"""

import base64
import binascii
import re

from core.text.email_addresses import gettext_noop

# LibreChat and Mage have 10, others up to 12. Each step doubles the time: 14 takes about a second.
MIN_BCRYPT_COST, MAX_BCRYPT_COST = 4, 14
# bcrypt reads no more. Other systems cut a longer password; here it is not verified at all, because
# a password must match exactly as typed (ASVS 6.2.8).
BCRYPT_BYTES = 72
# Django 6.0 has 1,200,000.
MAX_PBKDF2_ITERATIONS = 2_000_000
MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_TIME, MAX_ARGON2_LANES = 128 * 1024, 10, 8
# The column of the database.
MAX_LENGTH = 128

_PBKDF2 = re.compile(r"pbkdf2_sha256\$([0-9]{1,9})\$([!-#%-~]{1,64})\$([A-Za-z0-9+/]{43}=)")
_ARGON2 = re.compile(
    r"(?:argon2)?(\$argon2id\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,4}),p=([0-9]{1,3})"
    r"\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,86})"
)
_BCRYPT = re.compile(r"(?:bcrypt\$)?(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53})")
# Django writes such a value for an account without a password.
_NO_PASSWORD = re.compile(r"!\w*")

UNKNOWN_HASH = gettext_noop(
    "This is not a password hash that can be imported (PBKDF2 of Django, Argon2id, bcrypt). "
    "Passwords in clear are never imported."
)
TOO_COSTLY = gettext_noop("Verifying this password hash would take too long: its cost is too high.")


class HashRefused(ValueError):
    """The hash cannot be imported. The message never contains it."""


def parse_hash(text: str) -> str:
    """The form in which a hash is stored; "" for an account without a password.

    Raises HashRefused for an unknown scheme, a broken hash, and a cost beyond the bounds.
    """
    text = text.strip()
    if not text or (len(text) <= MAX_LENGTH and _NO_PASSWORD.fullmatch(text)):
        return ""
    if len(text) > MAX_LENGTH:
        raise HashRefused(UNKNOWN_HASH)
    stored = _pbkdf2(text) or _argon2(text) or _bcrypt(text)
    if stored is None or len(stored) > MAX_LENGTH:
        raise HashRefused(UNKNOWN_HASH)
    return stored


def _pbkdf2(text: str) -> str | None:
    found = _PBKDF2.fullmatch(text)
    if found is None:
        return None
    try:
        base64.b64decode(found[3], validate=True)
    except binascii.Error:
        return None
    _require_between(int(found[1]), 1, MAX_PBKDF2_ITERATIONS)
    return text


def _argon2(text: str) -> str | None:
    found = _ARGON2.fullmatch(text)
    if found is None:
        return None
    memory, time, lanes = (int(found[place]) for place in (2, 3, 4))
    _require_between(lanes, 1, MAX_ARGON2_LANES)
    _require_between(memory, 8 * lanes, MAX_ARGON2_MEMORY_KIB)
    _require_between(time, 1, MAX_ARGON2_TIME)
    return f"argon2{found[1]}"


def _bcrypt(text: str) -> str | None:
    found = _BCRYPT.fullmatch(text)
    if found is None:
        return None
    _require_between(int(found[2]), MIN_BCRYPT_COST, MAX_BCRYPT_COST)
    return f"bcrypt${found[1]}"


def _require_between(cost: int, least: int, most: int) -> None:
    if cost > most:
        raise HashRefused(TOO_COSTLY)
    if cost < least:
        raise HashRefused(UNKNOWN_HASH)
