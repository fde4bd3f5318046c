"""Validates ID tokens (OpenID Connect Core 1.0, section 3.1.3.7).

A token never decides where its key comes from: `jku`, `jwk`, `x5u` and `x5c` are not read.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jwt
from django.utils import timezone

from federation.oidc.discovery import Metadata
from federation.oidc.errors import SignInFailed
from federation.oidc.keys import FetchedKeys
from federation.providers import Provider

MAX_TOKEN_LENGTH = 32 * 1024
MAX_SUBJECT_LENGTH = 255
# The token comes straight from the token endpoint, so it must be recent.
MAX_AGE_SECONDS = 600
MAX_TIMESTAMP = 32_503_680_000  # the year 3000
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REFUSED_HEADERS = ("crit", "enc", "zip", "b64", "cty")
_JWS = jwt.PyJWS()
Claims = Mapping[str, Any]


def reject(detail: str) -> NoReturn:
    raise SignInFailed("token_refused", detail)


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """Validates the tokens of one sign-in. nonce: "" if none was sent."""

    provider: Provider
    metadata: Metadata
    keys: FetchedKeys
    nonce: str = ""

    def id_claims(self, token: str, *, access_token: str) -> Claims:
        """The claims of the ID token. Raises SignInFailed."""
        header, claims = self._signed(token)
        if claims.get("iss") != self.metadata.issuer:
            reject("issued by another issuer")
        self._check_audience(claims)
        self._check_times(claims)
        if self.nonce and not _is_equal(claims.get("nonce"), self.nonce):
            reject("issued for another sign-in")
        _check_subject(claims)
        _check_access_hash(claims, header["alg"], access_token)
        return claims

    def access_claims(self, token: str, subject: str) -> Claims:
        """The claims of an access token that is a signed JWT of `subject`, otherwise {}.

        For the role mapping alone; many providers issue opaque access tokens.
        """
        try:
            _header, claims = self._signed(token)
            _check_expiry(claims, self._now(), self._leeway())
        except SignInFailed:
            return {}
        is_theirs = claims.get("iss") == self.metadata.issuer and claims.get("sub") == subject
        return claims if is_theirs else {}

    def _signed(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims, after one of the provider's keys has verified the signature."""
        if len(token) > MAX_TOKEN_LENGTH or _SHAPE.fullmatch(token) is None:
            reject("no signed token")
        header = _json_object(_decoded(token.partition(".")[0]))
        algorithm, kid = header.get("alg"), header.get("kid", "")
        if not isinstance(algorithm, str) or algorithm not in self.metadata.algorithms:
            reject("signed with an unsupported algorithm")
        if any(name in header for name in _REFUSED_HEADERS) or not isinstance(kid, str):
            reject("an unsupported header")
        for key in self.keys.find(kid[:MAX_SUBJECT_LENGTH], algorithm):
            try:
                return header, _json_object(_JWS.decode(token, key.key, algorithms=[algorithm]))
            except jwt.PyJWTError:
                continue
        if not self.keys.has_fetched:
            raise SignInFailed("provider_unreachable", "the keys cannot be fetched")
        reject("signed by none of the provider's keys")

    def _check_audience(self, claims: Claims) -> None:
        named = claims.get("aud")
        audiences = named if isinstance(named, list) else [named]
        party = claims.get("azp")
        if self.provider.client_id not in audiences:
            reject("issued to another client")
        if len(audiences) > 1 and party is None:
            reject("issued to several clients without azp")
        if party is not None and party != self.provider.client_id:
            reject("issued to another party")

    def _check_times(self, claims: Claims) -> None:
        now, leeway = self._now(), self._leeway()
        _check_expiry(claims, now, leeway)
        issued = _time(claims.get("iat"))
        if issued > now + leeway:
            reject("issued in the future; the clocks differ")
        if issued < now - leeway - MAX_AGE_SECONDS:
            reject("issued long ago; an old token, or the clocks differ")
        if "nbf" in claims and _time(claims["nbf"]) > now + leeway:
            reject("not valid yet; the clocks differ")

    def _now(self) -> float:
        return timezone.now().timestamp()

    def _leeway(self) -> float:
        return self.provider.leeway.total_seconds()


def _check_expiry(claims: Claims, now: float, leeway: float) -> None:
    if _time(claims.get("exp")) <= now - leeway:
        reject("expired, or the clocks differ")


def _check_subject(claims: Claims) -> None:
    subject = claims.get("sub")
    is_usable = isinstance(subject, str) and 0 < len(subject) <= MAX_SUBJECT_LENGTH
    if not is_usable or not str(subject).isprintable():
        reject("has no valid subject")


def _check_access_hash(claims: Claims, algorithm: str, access_token: str) -> None:
    """`at_hash`, if present, binds both tokens to each other."""
    claimed = claims.get("at_hash")
    sizes = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
    digest = sizes.get(algorithm[-3:])
    if claimed is None or digest is None or not access_token:
        return
    half = digest(access_token.encode()).digest()
    expected = base64.urlsafe_b64encode(half[: len(half) // 2]).decode().rstrip("=")
    if not _is_equal(claimed, expected):
        reject("of another access token")


def _is_equal(claimed: object, expected: str) -> bool:
    return isinstance(claimed, str) and hmac.compare_digest(claimed.encode(), expected.encode())


def _time(value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < MAX_TIMESTAMP
    ):
        reject("has no valid time")
    return value


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except ValueError:
        reject("no base64")


def _json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object without duplicate names, which other parsers could read differently."""
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        reject("no JSON")
    if not isinstance(found, dict):
        reject("no JSON object")
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
