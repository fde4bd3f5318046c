"""Remote-Token: names the user in a signed token for the app behind the proxy (?token=1).

Its type and audience keep our API from accepting it; see api.tokens.jwt.
"""

import secrets
import time
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from django.conf import settings

from api.tokens.jwt import KeySetBackend
from api.tokens.signing_keys import AccessKeys
from forward_auth.cache import CheckResult, TTLCache
from forward_auth.decisions import Principal, address_of

HEADER = "Remote-Token"
TYPE = "fa+jwt"
# A token is reused for cache.TOKEN_SECONDS, so at least forty seconds remain.
TTL_SECONDS = 60
PORTS = {"http": ":80", "https": ":443"}
_backend = KeySetBackend(TYPE, AccessKeys())


def wants_token(query: str) -> bool:
    """Whether the proxy asks for the header. query: of the proxy's own request."""
    return "token" in query and ("token", "1") in parse_qsl(query)


def token_headers(
    result: CheckResult, query: str, cache: TTLCache[str] | None = None
) -> list[tuple[str, str]]:
    """The header of a 204, if the proxy asks for it. Its value is empty without a user or an app.

    cache: of tokens that may be reused.
    """
    if not wants_token(query):
        return []
    principal, audience = result.decision.principal, origin_of(result.target.url)
    if principal is None or not audience:
        return [(HEADER, "")]
    key = (principal, audience)
    token = cache.get(key) if cache is not None else None
    if token is None:
        token = _backend.encode(_claims(principal, audience))
        if cache is not None:
            cache.put(key, token, principal.changes_at, len(audience))
    return [(HEADER, token)]


def origin_of(url: str) -> str:
    """scheme://host[:port] as browsers write it; "" for no URL."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(PORTS.get(parts.scheme, ""))
    return f"{parts.scheme}://{host}" if parts.scheme and host else ""


def _sid(principal: Principal) -> str:
    written = principal.credential_id
    return written if principal.kind == "key" or not written else str(UUID(written))


def _claims(principal: Principal, audience: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": settings.PUBLIC_URL,
        "aud": audience,
        "sub": principal.user_id,
        "sid": _sid(principal),
        "iat": now,
        # A role or a group, too, is told no longer than it holds.
        "exp": int(min(now + TTL_SECONDS, principal.changes_at)),
        "jti": secrets.token_urlsafe(12),
        "email": address_of(principal.email),
        "name": principal.name,
        "role": str(principal.role),
        "groups": list(principal.groups),
    }
