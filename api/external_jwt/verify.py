"""Verify access tokens of configured issuers (RFC 8725, ASVS 9).

A token never determines the source of its key: `jku`, `jwk`, `x5u` and `x5c` are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.tokens import Token

from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.external_jwt.policy import Policy, current_policy
from api.tokens.jws import ParsedToken, parse, unverified_claims
from core.text.email_addresses import AddressError, parse_email
from core.text.plain_text import clean_name
from federation.oidc.issuers import normalize_issuer
from federation.oidc.keys import FetchedKeys, FixedKey, KeySource

MAX_TOKEN_LENGTH = 16 * 1024
MAX_NAME_LENGTH = 255
MAX_LIFETIME_SECONDS = 366 * 86_400
# The end of the year 2999. Larger values could overflow datetime arithmetic.
MAX_TIMESTAMP = 32_503_680_000
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
# Headers that change how a token is read. None is supported, so a token with one is refused.
_REFUSED_HEADERS = ("crit", "enc", "zip", "b64", "cty")


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

    @classmethod
    def read(cls, claims: dict[str, Any]) -> Self:
        """Return what verified claims say. Raises AccessTokenInvalid without a usable subject."""
        subject = claims.get("sub")
        is_text = isinstance(subject, str) and "\0" not in subject
        if not is_text or not 0 < len(str(subject)) <= MAX_NAME_LENGTH:
            _refuse()
        return cls(
            issuer=_issuer(claims),
            subject=str(subject),
            email=_email(claims),
            email_verified=_is_true(claims.get("email_verified")),
            name=_name(claims),
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            claims=claims,
        )


def issuer_named_by(token: str) -> str:
    """Return the issuer that `token` names, "" if there is none. Verifies nothing."""
    return _issuer(unverified_claims(token, MAX_TOKEN_LENGTH))


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


class ExternalToken(Token):
    """A verified access token of a configured issuer, as a token of simplejwt."""

    token_type, lifetime = "external", timedelta(0)  # required by the parent

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the verified token. Raises AccessTokenInvalid, AccessTokenExpired."""
        return cls(text)  # type: ignore[arg-type]  # simplejwt takes a text here

    def get_token_backend(self) -> "Verifier":
        return verifier_of(current_policy())

    def verify(self) -> None:
        """Set `claims`; the backend has checked them. Raises AccessTokenInvalid."""
        self.claims = ExternalClaims.read(self.payload)


class Verifier(TokenBackend):
    """A token backend of simplejwt over a policy and the keys of its issuers."""

    def __init__(self, policy: Policy, sources: Mapping[str, KeySource]) -> None:
        super().__init__(policy.algorithms[0])  # not used: the policy may name several
        self.policy, self.sources = policy, sources

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that meets the policy.

        `verify` is ignored: unverified claims are never returned. Raises AccessTokenInvalid,
        AccessTokenExpired.
        """
        parsed = parse(token, MAX_TOKEN_LENGTH)
        claims = parsed.read_claims()
        source = self.sources.get(_issuer(claims))
        if source is None:
            _refuse()
        _require_signature(parsed, self._check_header(parsed.header), source)
        _check_kind(claims)
        self._check_audience(claims)
        self._check_times(claims)
        return claims

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

    def _check_times(self, claims: dict[str, Any]) -> None:
        now, leeway = timezone.now().timestamp(), self.policy.leeway
        expires, issued = _time(claims.get("exp")), _time(claims.get("iat"))
        begins = _time(claims["nbf"]) if "nbf" in claims else issued
        if expires <= now - leeway:
            raise AccessTokenExpired
        if max(begins, issued) > now + leeway:
            _refuse(_("This token is not valid yet."))
        if expires - issued > MAX_LIFETIME_SECONDS:
            _refuse()


def _refuse(message: str | None = None) -> NoReturn:
    raise AccessTokenInvalid(message)


def _issuer(claims: dict[str, Any]) -> str:
    named = claims.get("iss")
    return normalize_issuer(named) if isinstance(named, str) else ""


def _require_signature(parsed: ParsedToken, algorithm: str, source: KeySource) -> None:
    """Raise AccessTokenInvalid unless one of the issuer's keys verifies the signature."""
    kid = parsed.header.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_NAME_LENGTH:
        _refuse()
    if not any(parsed.is_signed_by(found.key, algorithm) for found in source.find(kid, algorithm)):
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
