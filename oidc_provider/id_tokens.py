"""ID tokens: signed with the keys of the JWK set, and read again as a hint of who signs out."""

import base64
import hashlib
from typing import Any

from django.conf import settings

from accounts.models import User
from api.errors import AccessTokenInvalid
from api.tokens.jwt import KeySetBackend
from api.tokens.signing_keys import AccessKeys
from oidc_provider.authentication import SINGLE_FACTOR, acr_of
from oidc_provider.claims import claims_of
from oidc_provider.models import Grant
from oidc_provider.signing import TYP, algorithm_of, signed_for
from oidc_provider.subjects import session_of

_backend = KeySetBackend(TYP.lower(), AccessKeys())


def id_token(grant: Grant, user: User, *, now: int, ends: int, access: str, nonce: str = "") -> str:
    """now, ends: seconds since 1970. access: the access token beside it. nonce: of the request."""
    app = grant.app
    claims: dict[str, Any] = {
        "iss": settings.PUBLIC_URL,
        "aud": app.client_id,
        "iat": now,
        "exp": ends,
        "auth_time": int(grant.auth_time.timestamp()),
        "acr": _acr_of(grant),
        "amr": grant.methods,
        "sid": session_of(app, grant.sid),
        "at_hash": _half_hash(access, algorithm_of(app)),
        **({"nonce": nonce} if nonce else {}),
        **claims_of(app, user, grant.scope.split(), grant.claims.get("id_token", ())),
    }
    return signed_for(app, claims)


def read_hint(text: str) -> dict[str, Any]:
    """The claims of an ID token that we have signed, even an expired one; else {}."""
    if not text:
        return {}
    try:
        claims = _backend.decode(text)
    except AccessTokenInvalid:
        return {}
    return claims if claims.get("iss") == settings.PUBLIC_URL else {}


def _acr_of(grant: Grant) -> str:
    """What was reached; of several values that the app accepts, one of these."""
    reached, asked = acr_of(has_second_factor=grant.has_second_factor), grant.claims.get("acrs")
    return SINGLE_FACTOR if asked and reached not in asked else reached


def _half_hash(access: str, algorithm: str) -> str:
    """`at_hash` for an algorithm with SHA-256 (Core, section 3.1.3.6); Ed25519 has SHA-512."""
    hashing = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    hashed = hashing(access.encode()).digest()
    return base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).rstrip(b"=").decode()
