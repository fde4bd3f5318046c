"""Email addresses and user names: validation, stored form, keys of rate limits. Pure."""

import hashlib
import re
import unicodedata
from functools import lru_cache

import idna

from core.text.plain_text import normal_forms, trim

MAX_EMAIL_LENGTH, MAX_DOMAIN_LENGTH = 254, 253
# RFC 2606: no mail reaches these domains. For accounts without an address, and for the anonymous
# user.
PLACEHOLDER_DOMAIN = "users.invalid"
RESERVED_DOMAIN = "gatehouse.invalid"
# RFC 5321 dot-atom in ASCII. Quoted local parts, lists, comments and look-alike characters are how
# one mail gets delivered to two users (CVE-2022-35924), so only the plain form is accepted.
_LOCAL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)", re.ASCII)
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC")
_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


def gettext_noop(message: str) -> str:
    """Mark a message for translation. Django's own function would make this module load Django."""
    return message


NOT_AN_ADDRESS = gettext_noop("Enter one email address, like name@example.com.")
NOT_A_USERNAME = gettext_noop("Use letters, digits, dots, hyphens and underscores, at most 64.")


class AddressError(ValueError):
    """The text is not an accepted address. The message is English; translate it where shown."""


def ascii_domain(raw: str) -> str:
    """The form in which a domain is stored, compared and looked up: ASCII, in lower case.

    International names are encoded by IDNA 2008 (`münchen.de` is `xn--mnchen-3ya.de`), after the
    same mapping as in browsers. Raises AddressError for a label that mixes alphabets, such as Latin
    and Cyrillic. ASCII input is only lowercased; the caller validates it.
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
    """Whether a label mixes alphabets that look alike. East Asian scripts may be mixed."""
    alphabets = {unicodedata.name(sign, "?").partition(" ")[0] for sign in label if sign.isalpha()}
    return len({alphabet for alphabet in alphabets if not alphabet.startswith(_EAST_ASIAN)}) > 1


def parse_email(raw: str) -> str:
    """The stored form of an address: trimmed, lower case, plain ASCII; see ascii_domain().

    Raises AddressError for anything but local@domain, and for the domains of Gatehouse's own
    accounts without a mailbox. The length is checked before the pattern.
    """
    text = raw.strip(" \t")
    if not text or len(text) > MAX_EMAIL_LENGTH:
        raise AddressError(NOT_AN_ADDRESS)
    local, sign, domain = text.rpartition("@")
    # Check before lower(), which turns the Kelvin sign into a k.
    if not local.isascii():
        raise AddressError(NOT_AN_ADDRESS)
    text = f"{local.lower()}{sign}{ascii_domain(domain)}"
    match = _EMAIL.fullmatch(text)
    is_too_long = len(text) > MAX_EMAIL_LENGTH or len(local) > 64
    if match is None or is_too_long or match["domain"] in (RESERVED_DOMAIN, PLACEHOLDER_DOMAIN):
        raise AddressError(NOT_AN_ADDRESS)
    return text


def parse_allowed(raw: str) -> str:
    """An entry of an allow-list, as is_allowed() compares it: an address or a domain.

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
    """The forms in which a search text may be stored: composed, decomposed, domain in ASCII."""
    local, sign, domain = text.rpartition("@")
    forms = normal_forms(text)
    try:
        # The text may be only the start or the end of a domain.
        labels = [ascii_domain(label) if label else "" for label in domain.split(".")]
    except AddressError:
        return forms
    return tuple(dict.fromkeys((*forms, f"{local}{sign}{'.'.join(labels)}")))


def parse_username(raw: str) -> str:
    """The stored form of a user name: lower case, 1-64 of a-z 0-9 . _ -, no sign at the ends.

    Raises AddressError.
    """
    text = raw.strip(" \t").lower()
    if len(text) > 64 or _USERNAME.fullmatch(text) is None:
        raise AddressError(NOT_A_USERNAME)
    return text


def limit_key(raw: str) -> str:
    """The key that counts attempts against a login: one for all spellings.

    `ANY\\user` is `user`: a made-up domain in front does not make it another account.
    """
    plain = trim(unicodedata.normalize("NFKC", raw[:1024])).rstrip(".")
    plain = plain.partition("\\")[2] or plain
    try:
        return parse_email(plain)
    except AddressError:
        return plain.casefold()[:320]


def placeholder(authority: str, subject: str) -> str:
    """A placeholder for a user whose provider supplies no email; the same for each subject."""
    name = hashlib.sha256(f"{authority}\n{subject}".encode()).hexdigest()[:32]
    return f"{name}@{PLACEHOLDER_DOMAIN}"


def is_placeholder(email: str) -> bool:
    """Whether no mail can be delivered: one of placeholder(), or the name of a service account."""
    return "@" not in email or email.endswith(f"@{PLACEHOLDER_DOMAIN}")


def mask_email(email: str) -> str:
    """`anna@example.com` as `a•••@example.com`, for public pages."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}•••@{domain}"


def is_allowed(email: str, allowed: tuple[str, ...]) -> bool:
    """Whether a list of addresses and exact domains allows `email`. An empty list allows all."""
    if not allowed:
        return True
    domain = email.rpartition("@")[2]
    return any(_allowed(entry) in (email, domain) for entry in allowed)


@lru_cache(maxsize=1024)
def _allowed(entry: str) -> str:
    """parse_allowed() of an entry; "", which matches no address, for an invalid one."""
    try:
        return parse_allowed(entry)
    except AddressError:
        return ""


def is_reserved(email: str) -> bool:
    """Whether it is the name of a service account, or the address of the anonymous user."""
    return "@" not in email or email.endswith(f"@{RESERVED_DOMAIN}")
