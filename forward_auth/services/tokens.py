"""Remote-Token: who passed, as a signed token for the app behind the proxy (?token=1).

Its type and audience are its own, so that our API never takes it; see api.tokens.jwt.
"""

import secrets
import time
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from django.conf import settings

from api.tokens.jwt import Backend
from api.tokens.signing_keys import AccessKeys
from forward_auth.authentication import Pass
from forward_auth.checker import Checked
from forward_auth.ttl_cache import Memo

HEADER = "Remote-Token"
TYPE = "fa+jwt"
# It is handed out again for checking.TOKEN_SECONDS, so never with less than forty to go.
LIFE_SECONDS = 60
PORTS = {"http": ":80", "https": ":443"}
_backend = Backend(TYPE, AccessKeys())


def wants_token(query: str) -> bool:
    """Does the proxy ask for the header? query: of its own request."""
    return "token" in query and ("token", "1") in parse_qsl(query)


def token_headers(
    checked: Checked, query: str, remembered: Memo[str] | None = None
) -> list[tuple[str, str]]:
    """The header of a 204 when the proxy asks for it, empty without a person or an app; else none.

    remembered: where a token may be found that was made a moment ago.
    """
    if not wants_token(query):
        return []
    bearer, audience = checked.verdict.bearer, origin_of(checked.target.url)
    if bearer is None or not audience:
        return [(HEADER, "")]
    place = (bearer, audience)
    token = remembered.get(place) if remembered is not None else None
    if token is None:
        token = _backend.encode(_claims(bearer, audience))
        if remembered is not None:
            remembered.put(place, token, float("inf"), len(audience))
    return [(HEADER, token)]


def origin_of(url: str) -> str:
    """scheme://host[:port] as browsers write it; "" for no address."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(PORTS.get(parts.scheme, ""))
    return f"{parts.scheme}://{host}" if parts.scheme and host else ""


def _sid(bearer: Pass) -> str:
    written = bearer.credential_id
    return written if bearer.kind == "key" or not written else str(UUID(written))


def _claims(bearer: Pass, audience: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": settings.PUBLIC_URL,
        "aud": audience,
        "sub": bearer.user_id,
        "sid": _sid(bearer),
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "jti": secrets.token_urlsafe(12),
        "email": bearer.email,
        "name": bearer.name,
        "role": str(bearer.role),
    }
