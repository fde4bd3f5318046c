"""Discovery documents: fetched when needed, cached ten minutes, longer while a provider is down."""

import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.http import LOCAL_HOSTS, Fetch, FetchError, fetch_json, split_url
from federation.oidc.errors import SignInFailed
from federation.oidc.issuers import normalize_issuer
from federation.oidc.keys import DISCOVERY, FetchedKeys

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
# After a failure no thread tries again for so long.
RETRY_AFTER_SECONDS = 5.0
# Asymmetric algorithms only: the client secret must not be able to sign tokens.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA")  # fmt: skip
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The used parts of a discovery document; URLs are checked, "" for a missing endpoint.

    issuer: as written there, slash included; `iss` of tokens must be equal. returns_issuer: each
    authorization response names the issuer (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    returns_issuer: bool = False
    auth_methods: tuple[str, ...] = ("client_secret_basic",)
    algorithms: tuple[str, ...] = ("RS256",)


def read_metadata(document: dict[str, Any], issuer: str) -> Metadata:
    """The document of `issuer` (no trailing slash). Raises FetchError if it is not valid."""
    named = document.get("issuer")
    if not isinstance(named, str) or normalize_issuer(named) != issuer:
        raise FetchError(f"the discovery document is of another issuer: {str(named)[:200]!r}")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    further = ("userinfo_endpoint", "end_session_endpoint")
    urls = {name: _url(document, name, issuer) for name in (*needed, *further)}
    for name in needed:
        if not urls[name]:
            raise FetchError(f"the discovery document names no {name}")
    methods = _str_list(document, "token_endpoint_auth_methods_supported")
    algorithms = _str_list(document, "id_token_signing_alg_values_supported") or ("RS256",)
    return Metadata(
        issuer=named,
        **urls,
        returns_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=methods or ("client_secret_basic",),
        algorithms=tuple(name for name in algorithms if name in ALGORITHMS),
    )


def _url(document: dict[str, Any], name: str, issuer: str) -> str:
    url = document.get(name) or ""
    if not isinstance(url, str):
        raise FetchError(f"{name} is no address")
    if url:
        check_endpoint(url, issuer)
    return url


def check_endpoint(url: str, issuer: str) -> None:
    """Raise FetchError unless a document of `issuer` may name `url`.

    http is for an issuer on localhost alone. An IP address of a private network is refused unless
    the issuer has it too: a document must not direct requests into the own network (A099).
    """
    parts, home = split_url(url), split_url(issuer)
    if parts.scheme == "http" and home.scheme == "http" and home.hostname in LOCAL_HOSTS:
        is_safe = parts.hostname in LOCAL_HOSTS
    else:
        is_safe = parts.scheme == "https" and bool(parts.hostname)
    if not is_safe or (parts.hostname != home.hostname and _is_private(parts.hostname or "")):
        raise FetchError(f"names {url[:200]!r}, which may not be requested")


def _is_private(host: str) -> bool:
    """Is it an IP address that is not global, or localhost by name?"""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _str_list(document: dict[str, Any], name: str) -> tuple[str, ...]:
    found = document.get(name)
    return (
        tuple(value for value in found if isinstance(value, str)) if isinstance(found, list) else ()
    )


class Discovery:
    """Documents and keys of all providers; one for each process, thread-safe."""

    def __init__(self, fetch: Fetch = fetch_json, clock: Clock = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._issuers: dict[str, _Issuer] = {}
        self._keys: dict[tuple[str, str], FetchedKeys] = {}

    def metadata(self, issuer: str) -> Metadata:
        """The document of `issuer`. Raises SignInFailed if it was never fetched."""
        with self._lock:
            cached = self._issuers.setdefault(issuer, _Issuer(issuer))
        cached.refresh(self._fetch, self._clock)
        if cached.metadata is None:
            raise SignInFailed("provider_unreachable", "no discovery document")
        return cached.metadata

    def keys(self, metadata: Metadata) -> FetchedKeys:
        """The keys of that provider, fetched at most every five seconds."""
        key = (metadata.issuer, metadata.jwks_uri)
        with self._lock:
            if key not in self._keys:
                self._keys[key] = FetchedKeys(
                    normalize_issuer(metadata.issuer),
                    metadata.jwks_uri,
                    pause=RETRY_AFTER_SECONDS,
                    unknown_for=RETRY_AFTER_SECONDS,
                    fetch=self._fetch,
                    clock=self._clock,
                )
            return self._keys[key]

    def forget(self) -> None:
        """Clear the caches, as after a restart."""
        with self._lock:
            self._issuers, self._keys = {}, {}


class _Issuer:
    """The last valid document of one issuer, and when it was fetched."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.metadata: Metadata | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def refresh(self, fetch: Fetch, clock: Clock) -> None:
        """Fetch the document if it is due. Waits for another thread only while there is none."""
        if clock() - self._fetched_at < FRESH_SECONDS:
            return
        if not self._lock.acquire(blocking=self.metadata is None):
            return
        try:
            if clock() - max(self._tried_at, self._fetched_at) >= RETRY_AFTER_SECONDS:
                self._fetch(fetch, clock)
        finally:
            self._lock.release()

    def _fetch(self, fetch: Fetch, clock: Clock) -> None:
        try:
            document = fetch(f"{self.issuer}{DISCOVERY}", False)
            self.metadata = read_metadata(document, self.issuer)
            self._fetched_at = clock()
        except FetchError as error:
            logger.warning("Cannot fetch the discovery document of %s: %s", self.issuer, error)
        self._tried_at = clock()


DISCOVERED = Discovery()
