"""Addresses, names and hosts of apps as they are stored."""

import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.utils.text import slugify
from django.utils.translation import gettext as _

from applications.client_keys import keys_of, keys_url_of
from applications.custom_scopes import names_of
from applications.opening_hours import hours_of
from applications.redirect_uris import notice_uri_of, uris_of
from core.text.cleaning import clean_each
from core.text.networks import networks_of

MAX_NAME, MAX_SLUG, MAX_URL, MAX_DESCRIPTION, MAX_INITIALS, MAX_UPSTREAM = 80, 50, 500, 200, 2, 200
MAX_HOST = 253
MAX_PEOPLE = 200
MAX_GROUPS = 50
USUAL_PORTS = {"https": 443, "http": 80}
PROXY_NAMES = ("nginx", "caddy", "traefik", "haproxy", "backend")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@+-]+)*")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_WORD = re.compile(r"[^\W_]+")


class Address(NamedTuple):
    """scheme: http or https. port: "" for the usual one. path: "" at the root of the host."""

    scheme: str
    host: str
    port: str
    path: str

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def split_address(url: str) -> Address:
    """The parts of a stored address."""
    scheme, _colon, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = netloc, ""
    return Address(scheme, host, port, f"{slash}{path}".rstrip("/"))


def clean_app(typed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(values to store, error messages by field). Use the values only if there are no errors."""
    return clean_each(typed, _CLEANERS)


def name_of(text: str) -> str:
    """Raises ValueError with a message for the user, as do all functions below."""
    name = " ".join(text.split())
    if not name:
        raise ValueError(_("Enter a name for the app."))
    if not name.isprintable():
        raise ValueError(_("The name contains characters that cannot be shown."))
    return _short(name, MAX_NAME)


def slug_of(text: str) -> str:
    """The short name; "" stands for one that is made from the name."""
    slug = text.strip().lower()
    if slug and not _SLUG.fullmatch(slug):
        raise ValueError(_("Use lower-case letters, digits and single hyphens, as in team-wiki."))
    return _short(slug, MAX_SLUG)


def url_of(text: str) -> str:
    """An address without user, query and fragment, and without a slash at its end."""
    typed = text.strip()
    scheme, host, port, path = _parts(typed if "://" in typed else f"https://{typed}")
    if scheme not in USUAL_PORTS or not host:
        raise ValueError(_no_address())
    if not host.isascii():
        raise ValueError(_("Enter the name as browsers send it: in ASCII, starting with xn--."))
    shown = f"[{host}]" if ":" in host else host.rstrip(".")
    if not _HOST.fullmatch(shown) or len(shown) > MAX_HOST:
        raise ValueError(_no_address())
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(_("Use only letters, digits and - . _ ~ @ + in the path."))
    suffix = f":{port}" if port and port != USUAL_PORTS[scheme] else ""
    return _short(f"{scheme}://{shown}{suffix}{path}", MAX_URL)


def _parts(url: str) -> tuple[str, str, int | None, str]:
    """(scheme, host, port, path without a slash at its end)."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError(_no_address()) from None
    if "@" in parts.netloc:
        raise ValueError(_("Enter the address without a user name and a password."))
    if parts.query or parts.fragment:
        raise ValueError(_("Enter the address without what follows ? or #."))
    return parts.scheme.lower(), host, port, parts.path.rstrip("/")


def upstream_of(text: str) -> str:
    """Host and port; "" while it is not known."""
    typed = text.strip().lower()
    if not typed:
        return ""
    if "://" in typed:
        raise ValueError(_("Enter host and port only, without http:// and without a path."))
    found = split_address(f"http://{typed}")
    is_port = found.port.isdecimal() and 0 < int(found.port[:6]) < 65536
    if found.path or not is_port or not _HOST.fullmatch(found.host):
        raise ValueError(_("Enter host and port, as in 127.0.0.1:9000."))
    return _short(f"{found.host}:{int(found.port)}", MAX_UPSTREAM)


def description_of(text: str) -> str:
    """One line."""
    return _short(" ".join(text.split()), MAX_DESCRIPTION)


def typed_initials_of(text: str) -> str:
    """At most two characters; "" for those of the name."""
    initials = text.strip()
    if not initials.isprintable():
        raise ValueError(_("Use one or two letters or digits."))
    return _short(initials, MAX_INITIALS)


def proxy_of(text: str) -> str:
    """A value of App.PROXIES, or ""."""
    if text and text not in PROXY_NAMES:
        raise ValueError(_("Choose a proxy from the list."))
    return text


def user_ids_of(typed: Iterable[str]) -> list[str]:
    """Ids of users, each once."""
    try:
        keys = [str(uuid.UUID(str(text))) for text in typed]
    except ValueError:
        raise ValueError(_("Name people by their ids.")) from None
    if len(keys) > MAX_PEOPLE:
        raise ValueError(_("At most %(most)d people.") % {"most": MAX_PEOPLE})
    return list(dict.fromkeys(keys))


def group_ids_of(values: Iterable[str]) -> list[str]:
    """Ids of groups, each once; [] asks for none."""
    found = list(dict.fromkeys(map(str, values)))
    if len(found) > MAX_GROUPS:
        raise ValueError(_("At most %(most)d groups.") % {"most": MAX_GROUPS})
    return found


def account_id_of(text: str) -> str:
    """The id of a user; "" for none."""
    return user_ids_of([text])[0] if text else ""


def initials_of(name: str) -> str:
    """The first letters of the first two words, else of the one word."""
    words: list[str] = _WORD.findall(unicodedata.normalize("NFC", name))
    if len(words) > 1:
        return (words[0][0] + words[1][0]).upper()
    return words[0][:1].upper() if words else "?"


def slug_for(name: str, taken: set[str]) -> str:
    """A short name from a name, with a number if it is taken."""
    base = str(slugify(name))[: MAX_SLUG - 4].strip("-_").replace("_", "-") or "app"
    if base not in taken:
        return base
    number = 2
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


def _short(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(_("This is too long: at most %(most)d characters.") % {"most": most})
    return text


def _no_address() -> str:
    return _("Enter the address of the app, such as https://wiki.example.com.")


_CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": name_of,
    "slug": slug_of,
    "url": url_of,
    "description": description_of,
    "initials": typed_initials_of,
    "proxy": proxy_of,
    "upstream": upstream_of,
    "redirect_uris": uris_of,
    "logout_uris": uris_of,
    "backchannel_logout_uri": notice_uri_of,
    "frontchannel_logout_uri": notice_uri_of,
    "openid_people": user_ids_of,
    "openid_group_ids": group_ids_of,
    "openid_networks": networks_of,
    "openid_hours": hours_of,
    "service_account": account_id_of,
    "custom_scopes": names_of,
    "client_keys": keys_of,
    "client_keys_url": keys_url_of,
}
