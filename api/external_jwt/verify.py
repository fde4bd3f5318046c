"""Verify access tokens of configured issuers (RFC 8725, ASVS 9).

A token never determines the source of its key: `jku`, `jwk`, `x5u` and `x5c` are not read.
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
from core.text.email_addresses import AddressError, parse_email
from core.text.plain_text import clean_name
from federation.oidc.issuers import normalize_issuer
from federation.oidc.keys import FetchedKeys, FixedKey, KeySource

MAX_TOKEN_LENGTH = 16 * 1024
MAX_NAME_LENGTH = 255
MAX_LIFETIME_SECONDS = 366 * 86_400
# The end of the year 2999. Larger values could overflow datetime arithmetic.
MAX_TIMESTAMP = 32_503_680_000
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
# Headers that change how a token is read. None is supported, so a token with one is refused.
_REFUSED_HEADERS = ("crit", "enc", "zip", "b64", "cty")
_JWS = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class ExternalClaims:
    """The claims of a verified token.

    email: normalized, None if missing or invalid. issuer: as in the settings. claims: all claims.
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
    """Return the issuer that `token` names, "" if there is none. Verifies nothing."""
    try:
        return _issuer(_parts(token)[1])
    except AccessTokenInvalid:
        return ""


@lru_cache(maxsize=8)
def verifier_of(policy: Policy | None) -> "Verifier":
    """Return the verifier of this policy. Cached, because it holds the fetched keys."""
    if policy is None:
        raise AccessTokenInvalid
    issuers = set(policy.issuers)
    if len(issuers) > 1 and (policy.pem or policy.jwks_url):
        # Keys must be bound to one issuer; otherwise each issuer could sign for the others.
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
    """Verifies tokens against a policy and the keys of its issuers."""

    def __init__(self, policy: Policy, sources: Mapping[str, KeySource]) -> None:
        self.policy, self.sources = policy, sources

    def verify(self, token: str) -> ExternalClaims:
        """Return the claims of `token`. Raises AccessTokenInvalid, AccessTokenExpired."""
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
        return _external_claims(claims, issuer, issued_at, expires_at)

    def _check_header(self, header: dict[str, Any]) -> str:
        """Check the header; returns the algorithm."""
        algorithm, kind = header.get("alg"), header.get("typ", "")
        if algorithm not in self.policy.algorithms or not isinstance(algorithm, str):
            _refuse()
        if any(name in header for name in _REFUSED_HEADERS):
            _refuse()
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            _refuse(_("This is not an access token. Send an access token."))
        return algorithm

    def _check_audience(self, claims: dict[str, Any]) -> None:
        if not self.policy.audience_of(claims) & set(self.policy.audiences):
            _refuse(_("This token was issued for another service."))

    def _check_times(self, claims: dict[str, Any]) -> tuple[datetime, datetime]:
        """Check the times; returns `iat` and `exp`."""
        now, leeway = timezone.now().timestamp(), self.policy.leeway
        expires, issued = _time(claims.get("exp")), _time(claims.get("iat"))
        begins = _time(claims["nbf"]) if "nbf" in claims else issued
        if expires <= now - leeway:
            raise AccessTokenExpired
        if max(begins, issued) > now + leeway:
            _refuse(_("This token is not valid yet."))
        if expires - issued > MAX_LIFETIME_SECONDS:
            _refuse()
        return datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)


def _refuse(message: str | None = None) -> NoReturn:
    raise AccessTokenInvalid(message)


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, unverified. Raises AccessTokenInvalid."""
    if len(token) > MAX_TOKEN_LENGTH or _SHAPE.fullmatch(token) is None:
        _refuse()
    header, payload, _signature = token.split(".")
    return _object(_decoded(header)), _object(_decoded(payload))


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        _refuse()


def _object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object; rejects NaN, Infinity and repeated names."""
    try:
        found = json.loads(
            raw.decode(), parse_constant=_reject_constant, object_pairs_hook=_reject_duplicates
        )
    except (ValueError, RecursionError):
        _refuse()
    if not isinstance(found, dict):
        _refuse()
    return found


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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
    """Verify the signature with the issuer's keys; returns the claims."""
    kid = header.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_NAME_LENGTH:
        _refuse()
    for key in source.find(kid, algorithm):
        try:
            return _object(_JWS.decode(token, key.key, algorithms=[algorithm]))
        except jwt.PyJWTError:
            continue
    _refuse()


def _check_kind(claims: dict[str, Any]) -> None:
    """Refuse ID tokens and other tokens that are not access tokens (RFC 8725, 3.12)."""
    use = claims.get("token_use")  # Cognito
    kind = claims.get("typ")  # Keycloak
    is_other = (use is not None and use != "access") or kind in ("ID", "Refresh", "Offline")
    has_hash = "at_hash" in claims or "c_hash" in claims
    # Authentik's access tokens contain the nonce of the sign-in; unlike its ID tokens they have
    # `azp` and `uid`. ID tokens have no scope.
    is_for_access = any(name in claims for name in ("scope", "scp")) or {"azp", "uid"} <= set(
        claims
    )
    if is_other or has_hash or "events" in claims or ("nonce" in claims and not is_for_access):
        _refuse(_("This is not an access token. Send an access token."))


def _time(value: object) -> float:
    """Return a Unix timestamp. Raises AccessTokenInvalid if it is missing or not a valid number."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < MAX_TIMESTAMP
    ):
        _refuse()
    return value


def _external_claims(
    claims: dict[str, Any], issuer: str, issued_at: datetime, expires_at: datetime
) -> ExternalClaims:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_NAME_LENGTH or "\0" in subject:
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
    """Some issuers (Cognito) send the text "true"."""
    return value is True or value == "true"


def _email(claims: dict[str, Any]) -> str | None:
    given = claims.get("email")
    try:
        return parse_email(given) if isinstance(given, str) else None
    except AddressError:
        return None


def _name(claims: dict[str, Any]) -> str:
    """Return the full name in our stored form."""
    given = claims.get("name")
    return clean_name(given) if isinstance(given, str) else ""
