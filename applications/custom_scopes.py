"""Names and descriptions of scopes that owners make, as they are stored. Pure."""

import re
from collections.abc import Iterable

from django.utils.translation import gettext as _

MAX_NAME, MAX_DESCRIPTION = 60, 200
# So a request and a grant may name all of them, and the page of consent stays readable.
MAX_SCOPES = 50
# Those of OpenID Connect Core, sections 5.4 and 11, whether or not we have them, and `groups`.
STANDARD = ("openid", "profile", "email", "address", "phone", "groups", "offline_access")
# Of API keys: introspection tells both in `scope`, and a backend could take one for the other.
OF_KEYS = ("read", "write", "users", "moderation", "service", "scim")
# RFC 6749, section 3.3: printable ASCII without a space, a quotation mark and a backslash.
_NAME = re.compile(r"[!#-\[\]-~]+", re.ASCII)


def name_of(text: str) -> str:
    """Raises ValueError with a message for the user, as do all functions below."""
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise ValueError(
            _("Enter a name such as books:read: ASCII without spaces, quotation marks and \\.")
        )
    if len(name) > MAX_NAME:
        raise ValueError(_("This is too long: at most %(most)d characters.") % {"most": MAX_NAME})
    if name.lower() in STANDARD:
        raise ValueError(_("“%(name)s” is a scope of OpenID Connect.") % {"name": name})
    if name.lower() in OF_KEYS:
        raise ValueError(
            _("“%(name)s” is a scope of API keys. Name what it is for: books:%(name)s.")
            % {"name": name}
        )
    return name


def description_of(text: str) -> str:
    """One line."""
    line = " ".join(text.split())
    if not line or not line.isprintable():
        raise ValueError(_("Describe what the app may do, such as “read your books”."))
    if len(line) > MAX_DESCRIPTION:
        raise ValueError(
            _("This is too long: at most %(most)d characters.") % {"most": MAX_DESCRIPTION}
        )
    return line


def names_of(typed: Iterable[str]) -> list[str]:
    """Names of scopes in the order of the alphabet, each once."""
    names = sorted(set(map(str, typed)))
    if len(names) > MAX_SCOPES:
        raise ValueError(_("At most %(most)d scopes.") % {"most": MAX_SCOPES})
    return names
