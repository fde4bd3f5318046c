"""Email addresses and user names: what is accepted, what is stored, what is counted. Pure."""

import hashlib
import re
import unicodedata

from accounts.anonymous import RESERVED_DOMAIN

MAX_EMAIL_LENGTH = 254
# RFC 2606: nobody ever gets mail there.
PLACEHOLDER_DOMAIN = "users.invalid"
# RFC 5321 dot-atom in ASCII. Quoted local parts, lists, comments and look-alike signs are how
# one mail gets delivered to two people (CVE-2022-35924), so nothing but the plain form passes.
_LOCAL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)", re.ASCII)
_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


def gettext_noop(message: str) -> str:
    """Marks a message for translators; Django's own would load all of Django into this module."""
    return message


NOT_AN_ADDRESS = gettext_noop("Enter one email address, like name@example.com.")
NOT_A_USERNAME = gettext_noop("Use letters, digits, dots, hyphens and underscores, at most 64.")


class AddressError(ValueError):
    """The text is not an address we accept; in English, to be translated where it is shown."""


def parse_email(raw: str) -> str:
    """The stored form of an address: trimmed, lower case, plain ASCII.

    Raises AddressError for anything but local@domain; length is checked before the pattern.
    """
    text = raw.strip(" \t").lower()
    if not text or len(text) > MAX_EMAIL_LENGTH:
        raise AddressError(NOT_AN_ADDRESS)
    match = _EMAIL.fullmatch(text)
    if match is None or len(match["local"]) > 64 or match["domain"] == RESERVED_DOMAIN:
        raise AddressError(NOT_AN_ADDRESS)
    return text


def parse_username(raw: str) -> str:
    """The stored form of a user name: lower case, 1-64 of a-z 0-9 . _ -, no sign at the ends."""
    text = raw.strip(" \t").lower()
    if len(text) > 64 or _USERNAME.fullmatch(text) is None:
        raise AddressError(NOT_A_USERNAME)
    return text


def limit_key(raw: str) -> str:
    """The name under which tries against a login are counted: one bucket for all spellings."""
    folded = unicodedata.normalize("NFKC", raw[:1024]).strip().casefold().rstrip(".")
    return folded[:320]


def placeholder(authority: str, subject: str) -> str:
    """An address of ours for somebody of whom `authority` tells none; always the same one."""
    name = hashlib.sha256(f"{authority}\n{subject}".encode()).hexdigest()[:32]
    return f"{name}@{PLACEHOLDER_DOMAIN}"


def is_placeholder(email: str) -> bool:
    """Does mail to this stored address never arrive, because it is one of placeholder()?"""
    return email.endswith(f"@{PLACEHOLDER_DOMAIN}")


def mask_email(email: str) -> str:
    """`anna@example.com` as `a•••@example.com`, for pages that anybody may see."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}•••@{domain}"


def is_allowed(email: str, allowed: tuple[str, ...]) -> bool:
    """Does an allow-list of addresses and exact domains admit `email`? An empty list admits all."""
    if not allowed:
        return True
    domain = email.rpartition("@")[2]
    return any(entry.lstrip("@").lower() in (email, domain) for entry in allowed)
