"""Security headers: of every response, and of those sent before Django, without its middleware."""

from collections.abc import Iterable
from functools import cache

from django.conf import settings

# Of every response; Django does not set them by itself.
COMMON = (
    ("X-Frame-Options", "DENY"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# A document of the server itself: it loads nothing and may not be framed.
BARE = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    *COMMON,
)


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as an ASGI message has them; text is sent as UTF-8."""
    return [(name.encode(), value.encode()) for name, value in headers]


@cache
def bare_headers() -> tuple[tuple[str, str], ...]:
    """BARE, plus HSTS as configured for Django."""
    if not settings.SECURE_HSTS_SECONDS:
        return BARE
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        value += "; includeSubDomains"
    return (*BARE, ("Strict-Transport-Security", value))
