"""Redirect URIs of OpenID clients: what may be stored, and which requested one is a stored one."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

MAX_URIS, MAX_URI = 20, 500
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
# Unreserved and reserved characters of RFC 3986 without the fragment, and percent escapes.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
# RFC 8252, section 7.1: the reverse of a domain name, so that no other app claims it by accident.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+", re.ASCII)


def uris_of(typed: Iterable[str]) -> list[str]:
    """The URIs in their order, each once. Raises ValueError with a message for the user."""
    uris = list(dict.fromkeys(text.strip() for text in typed if text.strip()))
    if len(uris) > MAX_URIS:
        raise ValueError(_("At most %(most)d addresses, one on each line.") % {"most": MAX_URIS})
    for uri in uris:
        _require_valid(uri)
    return uris


def notice_uri_of(typed: str) -> str:
    """The one URI at which an app is told of a sign-out; "" for none. Raises ValueError."""
    uri = typed.strip()
    if not uri:
        return ""
    _require_valid(uri)
    if private_schemes([uri]):
        raise ValueError(_("“%(uri)s” has to start with https://.") % {"uri": uri})
    return uri


def private_schemes(uris: Iterable[str]) -> list[str]:
    """The URIs that only a program on the device of a person can receive."""
    return [uri for uri in uris if urlsplit(uri).scheme not in ("http", "https")]


def is_registered(requested: str, registered: Iterable[str], *, any_port: bool) -> bool:
    """Whether an answer may be sent to `requested`: it is equal to a registered URI.

    any_port: of an address of this machine the port may differ, because programs take a free one
    (RFC 8252, section 7.3). Nothing else is compared loosely (RFC 9700, section 4.1.3).
    """
    wanted = _without_port(requested) if any_port else ""
    return any(
        uri == requested or (bool(wanted) and _without_port(uri) == wanted) for uri in registered
    )


def origin_of(uri: str) -> str:
    """Scheme, host and port of a web address; "" for another scheme."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else ""


def _without_port(uri: str) -> str:
    """A loopback URI without its port; "" for any other URI."""
    found = re.fullmatch(
        r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?([/?].*)?", uri
    )
    return f"{found[1]}{found[2] or ''}" if found else ""


def _require_valid(uri: str) -> None:
    if len(uri) > MAX_URI or not _URI.fullmatch(uri):
        raise ValueError(
            _("“%(uri)s” is no address that can be stored: no # and no *, at most %(most)d ASCII "
              "characters.") % {"uri": uri[:80], "most": MAX_URI}
        )  # fmt: skip
    parts = _split(uri)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname:
        _require_http_allowed(parts, uri)
    elif not _PRIVATE_SCHEME.fullmatch(parts.scheme):
        raise ValueError(
            _("“%(uri)s” has to start with https://, or with a scheme such as com.example.app:/.")
            % {"uri": uri}
        )


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _port = parts.port
    except ValueError:
        raise ValueError(_("“%(uri)s” is no address.") % {"uri": uri}) from None
    if "@" in parts.netloc:
        raise ValueError(_("Enter the address without a user name and a password."))
    return parts


def _require_http_allowed(parts: SplitResult, uri: str) -> None:
    """Codes are not sent over plain http (RFC 9700, section 2.6), but to this machine.

    An instance that is itself reached by http has nothing that https could protect.
    """
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if settings.IS_HTTPS and host not in LOOPBACK:
        raise ValueError(_("“%(uri)s” has to start with https://.") % {"uri": uri})
