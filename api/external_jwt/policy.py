"""The requirements for tokens of other issuers, read from the settings."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """Requirements for tokens of other issuers.

    issuers: without a trailing slash. pem: the key of the only issuer, "" to fetch keys.
    jwks_url: URL of the keys of the only issuer, "" to use its discovery document. jwks_urls:
    pairs of issuer and URL of its keys; for other issuers the discovery document is used. No key
    source may serve two issuers (RFC 8725, 3.8). leeway: seconds. allows_http: keys may be fetched
    from other hosts without TLS (DEBUG).
    """

    issuers: tuple[str, ...]
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256",)
    pem: str = field(default="", repr=False)
    jwks_url: str = ""
    jwks_urls: tuple[tuple[str, str], ...] = ()
    leeway: int = 30
    allows_http: bool = False

    @staticmethod
    def audience_of(claims: dict[str, Any]) -> set[str]:
        """Return the audience of a token; for Cognito's access tokens this is the client."""
        named = claims.get("aud")
        if named is None and claims.get("token_use") == "access":
            named = claims.get("client_id")
        names = named if isinstance(named, list) else [named]
        return {name for name in names if isinstance(name, str)}


def current_policy() -> Policy | None:
    """Return the policy of the settings; None unless AUTH_BACKEND is jwt."""
    if settings.AUTH_BACKEND != "jwt":
        return None
    return Policy(
        issuers=settings.AUTH_JWT_ISSUER,
        audiences=settings.AUTH_JWT_AUDIENCE,
        algorithms=settings.AUTH_JWT_ALGORITHM,
        pem=settings.AUTH_JWT_PUBLIC_KEY,
        jwks_url=settings.AUTH_JWT_JWKS_URL,
        jwks_urls=tuple(sorted(settings.AUTH_JWT_JWKS_URLS.items())),
        leeway=int(settings.AUTH_JWT_LEEWAY.total_seconds()),
        allows_http=settings.DEBUG,
    )
