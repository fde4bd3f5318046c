"""Security headers of responses that are sent before Django, and so pass no middleware."""

from functools import cache

from django.conf import settings

# Such a document loads nothing and may not be framed.
BARE = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


@cache
def bare_headers() -> tuple[tuple[str, str], ...]:
    """BARE, plus HSTS as configured for Django."""
    if not settings.SECURE_HSTS_SECONDS:
        return BARE
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        value += "; includeSubDomains"
    return (*BARE, ("Strict-Transport-Security", value))
