"""Keys of a configured issuer: fetched when needed, cached, and fetched again when they change.

A token with an unknown key id causes a fetch. So fetches are limited to one a minute, and go to the
URLs of the settings alone. While the provider does not answer, its last keys stay valid.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from core.http import Fetch, FetchError, fetch_json
from federation.oidc.issuers import normalize_issuer
from federation.oidc.jwk import PublicKey, keys_in

logger = logging.getLogger(__name__)

DISCOVERY = "/.well-known/openid-configuration"
# Least time between two fetches from one issuer, whatever their result.
RETRY_AFTER_SECONDS = 60.0
# Older keys are fetched again, so that withdrawn keys stop working here, too.
FRESH_SECONDS = 600.0
UNKNOWN_SECONDS = 300.0
MAX_UNKNOWN = 1000
# A longer key id is treated as unknown.
MAX_KEY_ID_LENGTH = 500

Clock = Callable[[], float]


class KeySource(Protocol):
    """A source of the keys of one issuer."""

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        """Candidate keys for a signature of `algorithm` with the key id `kid`."""
        ...


class FixedKey:
    """The single key of AUTH_JWT_PUBLIC_KEY; tokens may have any key id."""

    def __init__(self, key: Any) -> None:
        self.key = PublicKey("", "", key)

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        return (self.key,) if self.key.can_verify(algorithm) else ()


class FetchedKeys:
    """Keys from the JWK set of an issuer. Thread-safe; one for each process."""

    def __init__(
        self,
        issuer: str,
        jwks_url: str = "",
        *,
        allows_http: bool = False,
        pause: float = RETRY_AFTER_SECONDS,
        unknown_for: float = UNKNOWN_SECONDS,
        fetch: Fetch = fetch_json,
        clock: Clock = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.given_url, self.jwks_url = jwks_url, jwks_url
        self.allows_http = allows_http
        self.pause, self.unknown_for = pause, unknown_for
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._keys: tuple[PublicKey, ...] = ()
        self._tried_at: float | None = None
        self._fetched_at: float | None = None
        self._unknown: dict[str, float] = {}

    @property
    def has_fetched(self) -> bool:
        """Were the keys fetched at least once?"""
        return self._fetched_at is not None

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        """See KeySource; may fetch, or wait for a fetch of another thread."""
        start = self._clock()
        if not self._is_fresh():
            self._refresh(waits=not self._keys)
        found = self._known(kid, algorithm)
        if found or self._is_known_as_unknown(kid):
            return found
        self._refresh(waits=True)
        found = self._known(kid, algorithm)
        if not found and self._fetched_at is not None and self._fetched_at >= start:
            self._remember_unknown(kid)
        return found

    def _known(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        fitting = [key for key in self._keys if key.can_verify(algorithm)]
        if kid:
            # Key ids must match; a key without id may be any.
            return tuple(key for key in fitting if key.kid in (kid, ""))
        return tuple(fitting[:3])

    def _is_fresh(self) -> bool:
        return self._fetched_at is not None and self._clock() - self._fetched_at < FRESH_SECONDS

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self.pause

    def _refresh(self, *, waits: bool) -> None:
        """Fetch the JWK set, unless that was done a moment ago.

        waits: wait for a thread that is fetching, instead of using the present keys.
        """
        if not self._may_fetch() and not self._lock.locked():
            return
        if not self._lock.acquire(blocking=waits):
            return
        try:
            if self._may_fetch():
                self._fetch_keys()
        finally:
            self._lock.release()

    def _fetch_keys(self) -> None:
        """Call it with the lock held. A failure keeps the present keys."""
        self._tried_at = self._clock()
        try:
            self._keys = self._download()
            self._fetched_at = self._clock()
        except FetchError as error:
            # The URL may have changed; the next attempt discovers it again.
            self.jwks_url = self.given_url
            logger.warning("Cannot fetch keys of %s: %s", self.issuer, error)

    def _download(self) -> tuple[PublicKey, ...]:
        """The published keys, which may be none. Raises FetchError."""
        if not self.jwks_url:
            self.jwks_url = self._discover()
        keys = keys_in(self._fetch(self.jwks_url, self.allows_http))
        if keys is None:
            raise FetchError(f"{self.jwks_url}: the answer is no set of keys")
        return keys

    def _discover(self) -> str:
        document = self._fetch(f"{self.issuer}{DISCOVERY}", self.allows_http)
        named, url = document.get("issuer"), document.get("jwks_uri")
        if not isinstance(named, str) or normalize_issuer(named) != self.issuer:
            raise FetchError(f"its discovery document is of another issuer: {str(named)[:200]!r}")
        if not isinstance(url, str):
            raise FetchError("its discovery document names no keys")
        return url

    def _is_known_as_unknown(self, kid: str) -> bool:
        if len(kid) > MAX_KEY_ID_LENGTH:
            return True
        until = self._unknown.get(kid)
        return until is not None and self._clock() < until

    def _remember_unknown(self, kid: str) -> None:
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown = {}
        self._unknown[kid] = self._clock() + self.unknown_for
