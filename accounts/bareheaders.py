"""The security headers of answers that are given before Django: they pass no middleware."""

from functools import cache

from django.conf import settings

# Said of every answer, whoever gives it; what Django does not set by itself.
EVERYWHERE = (
    ("X-Frame-Options", "DENY"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# A document of the server's own: it loads nothing, and nobody frames it.
BARE = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    *EVERYWHERE,
)


@cache
def bare_headers() -> tuple[tuple[str, str], ...]:
    """BARE, and HSTS where Django says it, too."""
    if not settings.SECURE_HSTS_SECONDS:
        return BARE
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        value += "; includeSubDomains"
    return (*BARE, ("Strict-Transport-Security", value))
