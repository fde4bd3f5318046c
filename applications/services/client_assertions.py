"""Apps that prove to be themselves by a signed assertion (RFC 7523, section 3; private_key_jwt).

The audience has to be our issuer alone, as one text. draft-ietf-oauth-rfc7523bis demands it, since
an assertion for the address of an endpoint can be had by another server that names this address as
its own (RFC 9700 names the class of attacks). Each assertion is accepted once.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import timezone

from api.errors import AccessTokenInvalid
from api.tokens.jws import ParsedToken, parse
from api.tokens.keyset import CLOCK_SKEW
from applications.client_keys import ALGORITHMS, fitting
from applications.errors import InvalidClient
from applications.models import ASSERTION, App, UsedAssertion
from applications.secret_format import MAX_CLIENT_ID_LENGTH
from core.crypto.tokens import digest
from core.locks import delete_free
from federation.oidc.jwk import PublicKey
from federation.oidc.keys import FetchedKeys

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPE_FIELD, ASSERTION_FIELD = "client_assertion_type", "client_assertion"
PURPOSE = "client-assertion"
MAX_LENGTH, MAX_ID = 8192, 255
# How long an assertion may be valid. Authlib's are valid for an hour.
MAX_LIFETIME_SECONDS = 3600
_TYPES = ("", "jwt", "client-authentication+jwt")
# Headers that change how a token is read. Those that name keys (jku, jwk, x5u, x5c) are not read.
_REFUSED_HEADERS = ("crit", "enc", "zip", "b64", "cty")
Claims = Mapping[str, Any]


def app_of_assertion(form: Mapping[str, str]) -> App:
    """The app that has signed the assertion of the form. Uses the assertion up.

    Raises InvalidClient, whatever is wrong.
    """
    if form.get(TYPE_FIELD) != TYPE:
        raise InvalidClient
    try:
        parsed = parse(form.get(ASSERTION_FIELD, ""), MAX_LENGTH)
        claims = parsed.read_claims()
    except AccessTokenInvalid:
        raise InvalidClient from None
    app = _named_app(claims, form)
    if app is None or not _is_signed(parsed, app) or not _is_for_us(claims):
        raise InvalidClient
    ends = _end_of(claims)
    if ends is None or not _use_up(app, claims.get("jti"), ends):
        raise InvalidClient
    return app


def claimed_client(form: Mapping[str, str]) -> str:
    """The client id that an assertion names; "" if it cannot be read. Nothing is verified."""
    try:
        named = parse(form.get(ASSERTION_FIELD, ""), MAX_LENGTH).read_claims().get("sub")
    except AccessTokenInvalid:
        return ""
    return named if isinstance(named, str) else ""


def purge_assertions() -> int:
    """Forget used assertions that have expired by themselves."""
    return delete_free(UsedAssertion.objects.filter(expires_at__lt=timezone.now() - CLOCK_SKEW))


def _named_app(claims: Claims, form: Mapping[str, str]) -> App | None:
    """The app that is issuer, subject, and the client of the form if that names one."""
    name = claims.get("sub")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_CLIENT_ID_LENGTH or "\0" in name:
        return None
    if claims.get("iss") != name or form.get("client_id", name) != name:
        return None
    return App.objects.filter(client_id=name, client_authentication=ASSERTION).first()


def _is_signed(parsed: ParsedToken, app: App) -> bool:
    algorithm, kid = parsed.header.get("alg"), parsed.header.get("kid", "")
    typ = parsed.header.get("typ", "")
    if algorithm not in ALGORITHMS or not isinstance(kid, str) or not isinstance(typ, str):
        return False
    if any(name in parsed.header for name in _REFUSED_HEADERS):
        return False
    if typ.lower().removeprefix("application/") not in _TYPES:
        return False
    keys = _candidates(app, kid, algorithm)
    return any(parsed.is_signed_by(found.key, algorithm) for found in keys)


def _candidates(app: App, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
    if app.client_keys_url:
        return _published(app.pk, app.client_keys_url).find(kid, algorithm)
    return fitting(app.client_keys, kid, algorithm)


@lru_cache(maxsize=256)
def _published(_app_id: uuid.UUID, url: str) -> FetchedKeys:
    """The keys at the address of an app; fetched when needed, and kept for ten minutes."""
    return FetchedKeys("", url)


def _is_for_us(claims: Claims) -> bool:
    """Whether our issuer is the only audience, and the assertion has begun to be valid."""
    latest = (timezone.now() + CLOCK_SKEW).timestamp()
    begins = [_seconds(claims[name]) for name in ("iat", "nbf") if name in claims]
    if not all(time is not None and time <= latest for time in begins):
        return False
    return bool(claims.get("aud") == settings.PUBLIC_URL)


def _end_of(claims: Claims) -> datetime | None:
    """When the assertion ends; None if it has ended, or ends too late."""
    ends, now = _seconds(claims.get("exp")), timezone.now().timestamp()
    if ends is None:
        return None
    longest = MAX_LIFETIME_SECONDS + CLOCK_SKEW.total_seconds()
    return datetime.fromtimestamp(ends, UTC) if now < ends <= now + longest else None


def _use_up(app: App, name: Any, ends: datetime) -> bool:
    """Whether the assertion with this `jti` is sent for the first time. One INSERT decides."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
        return False
    used = digest(PURPOSE, f"{app.pk.hex}:{name}")
    return UsedAssertion.objects.get_or_create(digest=used, defaults={"expires_at": ends})[1]


def _seconds(value: Any) -> float | None:
    """A time in seconds since 1970; bool is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
