"""Reads the cookies of a check from the raw header, with the same results as Django. Pure."""

from collections.abc import Mapping
from typing import Any

from django.http import parse_cookie

from forward_auth.conf import options

# The purpose that the digest of a ForwardAuthCookie is bound to.
PURPOSE = "gate"


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie `name`, or "". Of several, the last one counts, as in Django."""
    value = ""
    if name not in header:
        return value
    if '"' in header or not header.isascii():
        text = header.encode("latin-1", "replace").decode(errors="replace")
        return str(parse_cookie(text).get(name, ""))
    for part in header.split(";"):
        found, equals, text = part.partition("=")
        if equals and found.strip() == name:
            value = text.strip()
    return value


def forward_auth_cookie(environ: Mapping[str, Any]) -> str:
    """The cookie for apps on other hosts; "" when it is missing or not in use.

    It counts only without a session cookie. Beside a key or token it must belong to the same user.
    """
    name = options().forward_auth_cookie
    return cookie_value(environ.get("HTTP_COOKIE", ""), name) if name else ""
