"""Cookies of a check, read from the header as Django reads them. Pure but for the settings."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

# What a gate cookie's digest is bound to.
PURPOSE = "gate"


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie `name`; the last one counts, as Django has it."""
    start, value = f"{name}=", ""
    if start not in header:
        return value
    for part in header.split(";"):
        stripped = part.strip()
        if stripped.startswith(start):
            value = stripped[len(start) :].strip()
    return value[1:-1] if value[:1] == value[-1:] == '"' and len(value) > 1 else value


def lone_gate_cookie(environ: Mapping[str, Any]) -> str:
    """The gate cookie of a request that has no other credential; "" when it does not count.

    It adds nothing to another credential: it is asked by itself, or not at all.
    """
    if not settings.FORWARD_AUTH_DOMAIN:
        return ""
    if "HTTP_X_API_KEY" in environ or "HTTP_AUTHORIZATION" in environ:
        return ""
    header = environ.get("HTTP_COOKIE", "")
    if cookie_value(header, settings.SESSION_COOKIE_NAME):
        return ""
    return cookie_value(header, settings.GATE_COOKIE_NAME)
