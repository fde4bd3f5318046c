"""Is this the access token of a listed issuer, for us, and valid now? RFC 8725, ASVS 9.

Nothing in a token says where its key is: `jku`, `jwk`, `x5u` and `x5c` are not even read.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.utils import timezone
from django.utils.translation import gettext as _

from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.external_jwt.policy import Policy
from core.email_addresses import AddressError, parse_email
from core.plain_text import clean_name
from federation.oidc.issuers import normalize_issuer
from federation.oidc.keys import FetchedKeys, FixedKey, KeySource

LONGEST_TOKEN = 16 * 1024
LONGEST_NAME = 255
LONGEST_LIFE_SECONDS = 366 * 86_400
# Seconds since 1970 in the year 2999: what is later is no time but an attack on arithmetic.
LATEST = 32_503_680_000
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
# Headers that change what the rest means; none is understood, so none is let pass.
_REFUSED_HEADERS = ("crit", "enc", "zip", "b64", "cty")
_JWS = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class ExternalClaims:
    """What a verified token says. email: in our stored form, None when there is none to use.

    issuer: as in the settings. email_verified: the issuer vouches for the address. claims: all.
    """

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str
    issued_at: datetime
    expires_at: datetime
    claims: dict[str, Any] = field(repr=False)


def issuer_named_by(token: str) -> str:
    """The issuer that `token` claims, "" when it claims none that can be read. Verifies nothing."""
    try:
        return _issuer(_parts(token)[1])
    except AccessTokenInvalid:
        return ""


@lru_cache(maxsize=8)
def verifier_of(policy: Policy | None) -> "Verifier":
    """The verifier of this policy; one for each process, because it keeps the keys."""
    if policy is None:
        raise AccessTokenInvalid
    issuers = set(policy.issuers)
    if len(issuers) > 1 and (policy.pem or policy.jwks_url):
        # Keys that are not bound to one issuer are nobody's: each could sign for the others.
        return Verifier(policy, {})
    if policy.pem:
        return Verifier(policy, dict.fromkeys(issuers, FixedKey(_key_in(policy.pem))))
    urls = dict.fromkeys(issuers, policy.jwks_url) | dict(policy.jwks_urls)
    used = [url for url in urls.values() if url]
    shared = {url for url in used if used.count(url) > 1}
    return Verifier(
        policy,
        {
            issuer: FetchedKeys(issuer, urls.get(issuer, ""), allows_http=policy.allows_http)
            for issuer in issuers
            if urls.get(issuer) not in shared
        },
    )


def _key_in(pem: str) -> Any:
    if "BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem.encode()).public_key()
    return load_pem_public_key(pem.encode())


class Verifier:
    """Checks tokens by one policy and the keys of its issuers."""

    def __init__(self, policy: Policy, sources: Mapping[str, KeySource]) -> None:
        self.policy, self.sources = policy, sources

    def verify(self, token: str) -> ExternalClaims:
        """What `token` says. Raises AccessTokenInvalid, AccessTokenExpired."""
        header, unverified = _parts(token)
        issuer = _issuer(unverified)
        source = self.sources.get(issuer)
        if source is None:
            _refuse()
        algorithm = self._check_header(header)
        claims = _signed_claims(token, header, algorithm, source)
        if _issuer(claims) != issuer:
            _refuse()
        _check_kind(claims)
        self._check_audience(claims)
        issued_at, expires_at = self._check_times(claims)
        return _told(claims, issuer, issued_at, expires_at)

    def _check_header(self, header: dict[str, Any]) -> str:
        """The algorithm, which is one of the list."""
        algorithm, kind = header.get("alg"), header.get("typ", "")
        if algorithm not in self.policy.algorithms or not isinstance(algorithm, str):
            _refuse()
        if any(name in header for name in _REFUSED_HEADERS):
            _refuse()
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            _refuse(_("This is another kind of token; send an access token."))
        return algorithm

    def _check_audience(self, claims: dict[str, Any]) -> None:
        if not self.policy.audience_of(claims) & set(self.policy.audiences):
            _refuse(_("This token was made for another service."))

    def _check_times(self, claims: dict[str, Any]) -> tuple[datetime, datetime]:
        """When it was issued and when it ends."""
        now, leeway = timezone.now().timestamp(), self.policy.leeway
        expires, issued = _time(claims.get("exp")), _time(claims.get("iat"))
        begins = _time(claims["nbf"]) if "nbf" in claims else issued
        if expires <= now - leeway:
            raise AccessTokenExpired
        if max(begins, issued) > now + leeway:
            _refuse(_("This token is not valid yet."))
        if expires - issued > LONGEST_LIFE_SECONDS:
            _refuse()
        return datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)


def _refuse(message: str | None = None) -> NoReturn:
    raise AccessTokenInvalid(message)


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified. Raises AccessTokenInvalid."""
    if len(token) > LONGEST_TOKEN or _SHAPE.fullmatch(token) is None:
        _refuse()
    header, payload, _signature = token.split(".")
    return _object(_decoded(header)), _object(_decoded(payload))


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        _refuse()


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8, without the numbers that JSON does not have, each name once."""
    try:
        found = json.loads(
            raw.decode(), parse_constant=_no_number, object_pairs_hook=_without_repetition
        )
    except (ValueError, RecursionError):
        _refuse()
    if not isinstance(found, dict):
        _refuse()
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _issuer(claims: dict[str, Any]) -> str:
    named = claims.get("iss")
    return normalize_issuer(named) if isinstance(named, str) else ""


def _signed_claims(
    token: str, header: dict[str, Any], algorithm: str, source: KeySource
) -> dict[str, Any]:
    """The claims, once one of the issuer's keys has proved the signature."""
    kid = header.get("kid", "")
    if not isinstance(kid, str) or len(kid) > LONGEST_NAME:
        _refuse()
    for key in source.find(kid, algorithm):
        try:
            return _object(_JWS.decode(token, key.key, algorithms=[algorithm]))
        except jwt.PyJWTError:
            continue
    _refuse()


def _check_kind(claims: dict[str, Any]) -> None:
    """Refuse ID tokens and whatever else an issuer signs for other ends (RFC 8725, 3.12)."""
    use = claims.get("token_use")  # Cognito
    kind = claims.get("typ")  # Keycloak
    is_other = (use is not None and use != "access") or kind in ("ID", "Refresh", "Offline")
    has_hash = "at_hash" in claims or "c_hash" in claims
    # Authentik repeats the sign-in's nonce in its access tokens, which name their client and
    # themselves; an ID token says nothing of a scope either.
    is_for_access = any(name in claims for name in ("scope", "scp")) or {"azp", "uid"} <= set(
        claims
    )
    if is_other or has_hash or "events" in claims or ("nonce" in claims and not is_for_access):
        _refuse(_("This is another kind of token; send an access token."))


def _time(value: object) -> float:
    """Seconds since 1970. Raises AccessTokenInvalid for what is missing or no such number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LATEST:
        _refuse()
    return value


def _told(
    claims: dict[str, Any], issuer: str, issued_at: datetime, expires_at: datetime
) -> ExternalClaims:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_NAME or "\0" in subject:
        _refuse()
    return ExternalClaims(
        issuer=issuer,
        subject=subject,
        email=_email(claims),
        email_verified=_is_true(claims.get("email_verified")),
        name=_name(claims),
        issued_at=issued_at,
        expires_at=expires_at,
        claims=claims,
    )


def _is_true(value: object) -> bool:
    """Some issuers (Cognito) write the word instead of the value."""
    return value is True or value == "true"


def _email(claims: dict[str, Any]) -> str | None:
    given = claims.get("email")
    try:
        return parse_email(given) if isinstance(given, str) else None
    except AddressError:
        return None


def _name(claims: dict[str, Any]) -> str:
    """The full name, as names are stored here."""
    given = claims.get("name")
    return clean_name(given) if isinstance(given, str) else ""
