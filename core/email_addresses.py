"""Email addresses and user names: what is accepted, what is stored, what is counted. Pure."""

import hashlib
import re
import unicodedata
from functools import lru_cache

import idna

from core.plain_text import normal_forms, trim

MAX_EMAIL_LENGTH, MAX_DOMAIN_LENGTH = 254, 253
# RFC 2606: no mail reaches these domains. Placeholders for accounts without an address; the
# anonymous user.
PLACEHOLDER_DOMAIN = "users.invalid"
RESERVED_DOMAIN = "gatehouse.invalid"
# RFC 5321 dot-atom in ASCII. Quoted local parts, lists, comments and look-alike signs are how
# one mail gets delivered to two people (CVE-2022-35924), so nothing but the plain form passes.
_LOCAL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)", re.ASCII)
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC")
_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


def gettext_noop(message: str) -> str:
    """Marks a message for translators; Django's own would load all of Django into this module."""
    return message


NOT_AN_ADDRESS = gettext_noop("Enter one email address, like name@example.com.")
NOT_A_USERNAME = gettext_noop("Use letters, digits, dots, hyphens and underscores, at most 64.")


class AddressError(ValueError):
    """The text is not an address we accept; in English, to be translated where it is shown."""


def ascii_domain(raw: str) -> str:
    """The form in which a domain is stored, compared and asked for: ASCII, in lower case.

    International names by IDNA 2008 (`münchen.de` is `xn--mnchen-3ya.de`), after the mapping that
    browsers do too. A label that mixes alphabets, such as Latin with Cyrillic, is refused with
    AddressError. What is ASCII already comes back as it is, to be judged by its caller.
    """
    if raw.isascii():
        return raw.lower()
    if len(raw) > MAX_DOMAIN_LENGTH:
        raise AddressError(NOT_AN_ADDRESS)
    try:
        ascii_form = idna.encode(raw, uts46=True, std3_rules=True).decode()
        labels = idna.decode(ascii_form).split(".")
    except UnicodeError:  # idna.IDNAError is one
        raise AddressError(NOT_AN_ADDRESS) from None
    if any(_mixes_alphabets(label) for label in labels):
        raise AddressError(NOT_AN_ADDRESS)
    return ascii_form


def _mixes_alphabets(label: str) -> bool:
    """Two alphabets in one label look like one; Japanese, Chinese and Korean use several."""
    alphabets = {unicodedata.name(sign, "?").partition(" ")[0] for sign in label if sign.isalpha()}
    return len({alphabet for alphabet in alphabets if not alphabet.startswith(_EAST_ASIAN)}) > 1


def parse_email(raw: str) -> str:
    """The stored form of an address: trimmed, lower case, plain ASCII; see ascii_domain().

    Raises AddressError for anything but local@domain, and for the domains of our own accounts
    without a mailbox, which nobody types; length is checked before the pattern.
    """
    text = raw.strip(" \t")
    if not text or len(text) > MAX_EMAIL_LENGTH:
        raise AddressError(NOT_AN_ADDRESS)
    local, sign, domain = text.rpartition("@")
    # Before lower(): the Kelvin sign would become a k.
    if not local.isascii():
        raise AddressError(NOT_AN_ADDRESS)
    text = f"{local.lower()}{sign}{ascii_domain(domain)}"
    match = _EMAIL.fullmatch(text)
    is_too_long = len(text) > MAX_EMAIL_LENGTH or len(local) > 64
    if match is None or is_too_long or match["domain"] in (RESERVED_DOMAIN, PLACEHOLDER_DOMAIN):
        raise AddressError(NOT_AN_ADDRESS)
    return text


def parse_allowed(raw: str) -> str:
    """An entry of an allow-list in the form that is_allowed() compares: an address or a domain.

    Raises AddressError.
    """
    local, _sign, domain = raw.strip(" \t").rpartition("@")
    if local:
        return parse_email(raw)
    found = ascii_domain(domain)
    if len(found) > MAX_DOMAIN_LENGTH or _DOMAIN.fullmatch(found) is None:
        raise AddressError(NOT_AN_ADDRESS)
    return found


@lru_cache(maxsize=256)
def search_forms(text: str) -> tuple[str, ...]:
    """The texts under which a typed text may be stored: composed or decomposed, and with its domain
    in ASCII."""
    local, sign, domain = text.rpartition("@")
    forms = normal_forms(text)
    try:
        # A beginning or an end of a domain is searched for, too.
        labels = [ascii_domain(label) if label else "" for label in domain.split(".")]
    except AddressError:
        return forms
    return tuple(dict.fromkeys((*forms, f"{local}{sign}{'.'.join(labels)}")))


def parse_username(raw: str) -> str:
    """The stored form of a user name: lower case, 1-64 of a-z 0-9 . _ -, no sign at the ends."""
    text = raw.strip(" \t").lower()
    if len(text) > 64 or _USERNAME.fullmatch(text) is None:
        raise AddressError(NOT_A_USERNAME)
    return text


def limit_key(raw: str) -> str:
    """The name under which tries against a login are counted: one bucket for all spellings.

    `ANY\\user` is `user`: a made-up domain in front is no other account.
    """
    plain = trim(unicodedata.normalize("NFKC", raw[:1024])).rstrip(".")
    plain = plain.partition("\\")[2] or plain
    try:
        return parse_email(plain)
    except AddressError:
        return plain.casefold()[:320]


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
    return any(_allowed(entry) in (email, domain) for entry in allowed)


@lru_cache(maxsize=1024)
def _allowed(entry: str) -> str:
    """parse_allowed() of an entry; what is none admits nobody."""
    try:
        return parse_allowed(entry)
    except AddressError:
        return ""


def is_reserved(email: str) -> bool:
    """Is it an address of Gatehouse's own, of which no mail can be delivered?"""
    return email.endswith(f"@{RESERVED_DOMAIN}")
