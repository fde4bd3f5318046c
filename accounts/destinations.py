"""Where a sign-in may lead to: our own pages, and the apps below FORWARD_AUTH_DOMAIN (A143)."""

import re
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect

# A path and query of 8 kB, as much as servers take, with a scheme and a host in front.
MAX_LENGTH = 8192 + 300
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A path of ours: no second slash or backslash, which would make a host of what follows.
_PATH = re.compile(r"/(?![/\\])[ -\[\]-~]*", re.ASCII)
# Plain ASCII without spaces and backslashes, no user name: what every browser reads alike.
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?P<port>:[0-9]{1,5})?"
    r"(?:[/?][!-\[\]-~]*)?",
    re.ASCII,
)


def safe_destination(url: str) -> str:
    """`url` in ASCII, as browsers send it, when it may be gone to; else "" (ASVS 3.7.2).

    It is a path of ours, an address below PUBLIC_URL, or one of an app that asks here.
    """
    if not url or len(url) > MAX_LENGTH or _CONTROL.search(url):
        return ""
    try:
        text = url if url.isascii() else quote(url, safe=_PRINTABLE)
    except UnicodeEncodeError:
        return ""
    if len(text) > MAX_LENGTH:
        return ""
    if text.startswith("/"):
        return text.replace(" ", "%20") if _PATH.fullmatch(text) else ""
    found = _ADDRESS.fullmatch(text)
    if found is None or found["scheme"] != settings.PUBLIC_SCHEME:
        return ""
    is_own = found["host"] + (found["port"] or "") == settings.PUBLIC_HOST
    return text if is_own or _is_of_an_app(found["host"]) else ""


def is_safe_destination(url: str) -> bool:
    """May a sign-in lead there?"""
    return bool(safe_destination(url))


def _is_of_an_app(host: str) -> bool:
    domain = settings.FORWARD_AUTH_DOMAIN
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def see_other(url: str) -> HttpResponse:
    """303, so that reloading the next page never repeats the act."""
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response
