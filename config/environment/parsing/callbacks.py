"""Callbacks of providers: `/oauth/google/callback`, or a URL with such a path. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from config.environment.errors import Unreadable
from core.text.plain_text import echo

_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+){1,12}")
# Paths of our own pages.
TAKEN = ("account", "admin", "api/v1", "branding", "health", "magic-link", "password", "scim",
         "settings", "sign-in", "sign-out", "sign-up", "static", "verify-email",
         ".well-known")  # fmt: skip
FIX = "write a path such as /oauth/openid/callback, or the address that the provider has"


def check_callback(text: str) -> str:
    """A path, or an address of this site with such a path, as it was written."""
    path = path_of(text)
    if _PATH.fullmatch(path) is None or len(path) > 200:
        raise Unreadable(f"{echo(text)} has no plain path", FIX)
    if any(path == f"/{taken}" or path.startswith(f"/{taken}/") for taken in TAKEN):
        raise Unreadable(f"{echo(text)} is the path of another page", FIX)
    return text


def path_of(text: str) -> str:
    """The path of a callback setting."""
    return text if text.startswith("/") else urlsplit(text).path.rstrip("/")


def is_elsewhere(text: str, values: Mapping[str, Any]) -> bool:
    """Is it an address of another site than PUBLIC_URL?"""
    if text.startswith("/"):
        return False
    there, here = urlsplit(text), urlsplit(values["PUBLIC_URL"])
    return (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc)
