"""Access tokens, verified offline with the published keys of Gatehouse (RFC 9068)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from gatehouse_client.errors import NotAuthenticated, Unavailable
from gatehouse_client.http import Connections

KEY_SET = "/.well-known/jwks.json"
TYPE = "at+jwt"
HEADER = {"alg", "kid", "typ"}
# Keys are published a day before they sign, so a set may be as old as this.
FRESH_SECONDS = 300.0
# An unknown key id fetches the set at most this often, so that forged tokens cause no flood.
RETRY_SECONDS = 30.0
# While Gatehouse does not answer, known keys are used for this long.
STALE_SECONDS = 3600.0
MAX_TOKEN = 8192


class KeySet:
    """The keys by id. fetch: returns the document, or raises Unavailable. clock: in seconds."""

    def __init__(
        self, fetch: Callable[[], Mapping[str, Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._clock, self._lock = fetch, clock, threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id; None if there is none. Raises Unavailable."""
        age = self._clock() - self._fetched_at
        if age < FRESH_SECONDS and kid in self._keys:
            return self._keys[kid]
        with self._lock:
            self._refresh(kid)
        if self._clock() - self._fetched_at > STALE_SECONDS:
            raise Unavailable
        return self._keys.get(kid)

    def _refresh(self, kid: str) -> None:
        """Fetch the set, if it is old or lacks the key, and not just tried."""
        now = self._clock()
        is_fresh = now - self._fetched_at < FRESH_SECONDS and kid in self._keys
        if is_fresh or now - self._tried_at < RETRY_SECONDS:
            return
        self._tried_at = now
        try:
            self._keys, self._fetched_at = _keys_of(self._fetch()), now
        except Unavailable:
            if now - self._fetched_at > STALE_SECONDS:
                # The next request tries again, because there is nothing to use meanwhile.
                self._tried_at = float("-inf")
                raise


class TokenVerifier:
    """Verifies access tokens of one Gatehouse.

    issuer: PUBLIC_URL of Gatehouse, exactly. audience: its JWT_AUDIENCE, by default the same.
    algorithms: those of its keys. A ban counts only when a token expires; an Introspector knows
    it at once.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str = "",
        algorithms: tuple[str, ...] = ("ES256",),
        timeout: float = 5.0,
        keys: KeySet | None = None,
    ) -> None:
        if not algorithms or any(name == "none" or name.startswith("HS") for name in algorithms):
            raise ValueError("Only algorithms with a public key can be verified offline.")
        self.issuer, self.audience = issuer, audience or issuer
        self.algorithms = algorithms
        self._connections = Connections(issuer, timeout)
        self._keys = keys or KeySet(self._fetch)

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token. Raises NotAuthenticated, Unavailable."""
        algorithm, kid = self._read_header(token)
        key = self._keys.find(kid)
        if key is None or key.algorithm_name != algorithm:
            raise NotAuthenticated
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
            )
        except jwt.PyJWTError:
            raise NotAuthenticated from None
        return claims

    def _read_header(self, token: str) -> tuple[str, str]:
        """(algorithm, key id) of the header, of which nothing is verified yet."""
        if len(token) > MAX_TOKEN:
            raise NotAuthenticated
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise NotAuthenticated from None
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        is_known = isinstance(algorithm, str) and algorithm in self.algorithms
        if not is_known or not isinstance(kid, str) or not header.keys() <= HEADER:
            raise NotAuthenticated
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") != TYPE:
            raise NotAuthenticated
        return str(algorithm), kid

    def _fetch(self) -> Mapping[str, Any]:
        answer = self._connections.request("GET", KEY_SET)
        if answer.status != 200:
            raise Unavailable
        try:
            found = json.loads(answer.body)
        except ValueError:
            raise Unavailable from None
        if not isinstance(found, dict):
            raise Unavailable
        return found


def _keys_of(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The public keys for signatures. Others, also of kinds that are not known here, are left out.

    Raises Unavailable if there is no list of keys.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise Unavailable
    found: dict[str, jwt.PyJWK] = {}
    for each in listed:
        if not isinstance(each, dict) or each.get("kty") == "oct" or "d" in each:
            continue
        if each.get("use", "sig") != "sig" or not isinstance(each.get("kid"), str):
            continue
        try:
            found[each["kid"]] = jwt.PyJWK(each)
        except jwt.PyJWTError:
            continue
    return found
