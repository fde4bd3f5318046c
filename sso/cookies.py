"""Cookies of a check, read from the header as Django reads them. Pure but for the settings."""

from collections.abc import Mapping
from typing import Any

from django.http import parse_cookie

from sso.options import options

# What a gate cookie's digest is bound to.
PURPOSE = "gate"


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie `name`; the last one counts, as Django has it."""
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


def gate_cookie(environ: Mapping[str, Any]) -> str:
    """The gate cookie of a request; "" without one, and where apps on other hosts have none.

    It counts when no session says who asks. Beside a key or token it has to be the same person's.
    """
    name = options().gate_cookie
    return cookie_value(environ.get("HTTP_COOKIE", ""), name) if name else ""
