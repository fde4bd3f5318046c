"""The keys of one listed issuer: fetched when needed, kept, and fetched anew when they change.

A token can make us look for a key that we do not know, and so cause a fetch; therefore at most one
fetch happens in a minute, whatever comes, and only from the addresses of the settings. While the
provider does not answer, its last keys stay good.
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
# Between two fetches from one issuer, whatever their cause and result.
RETRY_AFTER_SECONDS = 60.0
# Keys older than this are fetched again in passing, so that a withdrawn key ends here too.
FRESH_SECONDS = 600.0
UNKNOWN_SECONDS = 300.0
MAX_UNKNOWN = 1000
# No provider has longer names; such a one is neither asked for nor remembered.
MAX_NAME_LENGTH = 500

Clock = Callable[[], float]


class KeySource(Protocol):
    """Where the keys of an issuer are from."""

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        """The keys that may have made a signature of `algorithm` under the name `kid`."""
        ...


class FixedKey:
    """The one key of AUTH_JWT_PUBLIC_KEY; its token may call it what it likes."""

    def __init__(self, key: Any) -> None:
        self.key = PublicKey("", "", key)

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        return (self.key,) if self.key.can_verify(algorithm) else ()


class FetchedKeys:
    """Keys from an issuer's key set. Safe for many threads; one set for each process."""

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
        """Has the provider handed out its keys at least once?"""
        return self._fetched_at is not None

    def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        """See KeySource; may fetch, and waits for a fetch that is already under way."""
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
            # A provider that names its keys means the name; a nameless key may be any.
            return tuple(key for key in fitting if key.kid in (kid, ""))
        return tuple(fitting[:3])

    def _is_fresh(self) -> bool:
        return self._fetched_at is not None and self._clock() - self._fetched_at < FRESH_SECONDS

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self.pause

    def _refresh(self, *, waits: bool) -> None:
        """Fetch the key set, unless somebody just has.

        waits: for the thread that fetches now, instead of going on with the keys there are.
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
        """Call it with the lock. A failure keeps the keys there are."""
        self._tried_at = self._clock()
        try:
            self._keys = self._download()
            self._fetched_at = self._clock()
        except FetchError as error:
            # The address may have changed; the next try asks for it again.
            self.jwks_url = self.given_url
            logger.warning("The keys of %s cannot be fetched: %s", self.issuer, error)

    def _download(self) -> tuple[PublicKey, ...]:
        """The keys that are published now; raises FetchError. An empty set is believed."""
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
        if len(kid) > MAX_NAME_LENGTH:
            return True
        until = self._unknown.get(kid)
        return until is not None and self._clock() < until

    def _remember_unknown(self, kid: str) -> None:
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown = {}
        self._unknown[kid] = self._clock() + self.unknown_for
