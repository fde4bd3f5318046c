"""What a provider says of itself: asked when needed, kept ten minutes, longer while it is down."""

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
# After a failure nobody asks again for so long.
RETRY_AFTER_SECONDS = 5.0
# Asymmetric alone: the client secret must not make tokens (A097).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA")  # fmt: skip
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The parts of a discovery document that are used here; addresses are checked.

    issuer: as written there, with its slash; tokens have to say exactly that. names_issuer: it
    says who it is in each answer (RFC 9207). "" where it has no such endpoint.
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
    """The document of `issuer` (without slash). Raises FetchError when it is none of his."""
    named = document.get("issuer")
    if not isinstance(named, str) or normalize_issuer(named) != issuer:
        raise FetchError(f"the discovery document is of another issuer: {str(named)[:200]!r}")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    further = ("userinfo_endpoint", "end_session_endpoint")
    addresses = {name: _address(document, name, issuer) for name in (*needed, *further)}
    for name in needed:
        if not addresses[name]:
            raise FetchError(f"the discovery document names no {name}")
    methods = _str_list(document, "token_endpoint_auth_methods_supported")
    algorithms = _str_list(document, "id_token_signing_alg_values_supported") or ("RS256",)
    return Metadata(
        issuer=named,
        **addresses,
        returns_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=methods or ("client_secret_basic",),
        algorithms=tuple(name for name in algorithms if name in ALGORITHMS),
    )


def _address(document: dict[str, Any], name: str, issuer: str) -> str:
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
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


class Discovery:
    """The documents and keys of all providers; one for each process, safe for many threads."""

    def __init__(self, fetch: Fetch = fetch_json, clock: Clock = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._issuers: dict[str, _Issuer] = {}
        self._keys: dict[tuple[str, str], FetchedKeys] = {}

    def metadata(self, issuer: str) -> Metadata:
        """What `issuer` says of itself. Raises SignInFailed when it never has."""
        with self._lock:
            known = self._issuers.setdefault(issuer, _Issuer(issuer))
        known.refresh(self._fetch, self._clock)
        if known.metadata is None:
            raise SignInFailed("provider_unreachable", "no discovery document")
        return known.metadata

    def keys(self, metadata: Metadata) -> FetchedKeys:
        """The keys of that provider; asked for at most every five seconds."""
        place = (metadata.issuer, metadata.jwks_uri)
        with self._lock:
            if place not in self._keys:
                self._keys[place] = FetchedKeys(
                    normalize_issuer(metadata.issuer),
                    metadata.jwks_uri,
                    pause=RETRY_AFTER_SECONDS,
                    unknown_for=RETRY_AFTER_SECONDS,
                    fetch=self._fetch,
                    clock=self._clock,
                )
            return self._keys[place]

    def forget(self) -> None:
        """Start from nothing, as after a restart."""
        with self._lock:
            self._issuers, self._keys = {}, {}


class _Issuer:
    """The last good document of one issuer, and when it was asked for."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.metadata: Metadata | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def refresh(self, fetch: Fetch, clock: Clock) -> None:
        """Ask anew when it is time. Waits for another thread that asks only while there is none."""
        if clock() - self._fetched_at < FRESH_SECONDS:
            return
        if not self._lock.acquire(blocking=self.metadata is None):
            return
        try:
            if clock() - max(self._tried_at, self._fetched_at) >= RETRY_AFTER_SECONDS:
                self._ask(fetch, clock)
        finally:
            self._lock.release()

    def _ask(self, fetch: Fetch, clock: Clock) -> None:
        try:
            document = fetch(f"{self.issuer}{DISCOVERY}", False)
            self.metadata = read_metadata(document, self.issuer)
            self._fetched_at = clock()
        except FetchError as error:
            logger.warning("The provider %s cannot be asked: %s", self.issuer, error)
        self._tried_at = clock()


DISCOVERED = Discovery()
