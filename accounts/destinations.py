"""Where a sign-in may lead to: our own pages, and the apps below FORWARD_AUTH_DOMAIN (A143)."""

import re

from django.conf import settings
from django.utils.http import url_has_allowed_host_and_scheme

MAX_LENGTH = 2000
# Plain ASCII without spaces and backslashes, no user name: what every browser reads alike.
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?P<port>:[0-9]{1,5})?"
    r"(?:[/?][!-\[\]-~]*)?",
    re.ASCII,
)


def is_safe_destination(url: str) -> bool:
    """A path of ours, an address below PUBLIC_URL, or one of an app that asks here (ASVS 3.7.2)."""
    if not url or len(url) > MAX_LENGTH:
        return False
    if url.startswith("/"):
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None)
    found = _ADDRESS.fullmatch(url)
    if found is None or found["scheme"] != settings.PUBLIC_SCHEME:
        return False
    is_own = found["host"] + (found["port"] or "") == settings.PUBLIC_HOST
    return is_own or _is_of_an_app(found["host"])


def _is_of_an_app(host: str) -> bool:
    domain = settings.FORWARD_AUTH_DOMAIN
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
