"""Where a sign-in may redirect: Gatehouse's pages, and apps below FORWARD_AUTH_DOMAIN (A143)."""

import re
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect

# 8 kB of path and query, as much as servers accept, plus scheme and host.
MAX_LENGTH = 8192 + 300
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A local path. A second slash or backslash would turn what follows into a host.
_PATH = re.compile(r"/(?![/\\])[ -\[\]-~]*", re.ASCII)
# ASCII without spaces, backslashes and user name, which all browsers parse alike.
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?P<port>:[0-9]{1,5})?"
    r"(?:[/?][!-\[\]-~]*)?",
    re.ASCII,
)


def safe_destination(url: str) -> str:
    """`url` in ASCII, as browsers send it, if a redirect to it is allowed; else "" (ASVS 3.7.2).

    Allowed are local paths, addresses below PUBLIC_URL, and apps below FORWARD_AUTH_DOMAIN.
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
    return text if is_own or _is_app_host(found["host"]) else ""


def is_safe_destination(url: str) -> bool:
    """Whether a sign-in may redirect there."""
    return bool(safe_destination(url))


def _is_app_host(host: str) -> bool:
    domain = settings.FORWARD_AUTH_DOMAIN
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def see_other(url: str) -> HttpResponse:
    """303, so that reloading the next page does not send the form again."""
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response
