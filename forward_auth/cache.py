"""Step 2 of a check: what a process has cached, until the database changes.

A change begins a new CacheGeneration. A thread that still reads the old data then writes into the
old generation, which no one reads any more.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

from accounts.sessions.store import PURPOSE as SESSION
from api.tokens.signing_keys import key_set_cache
from core.crypto.tokens import digest
from core.invalidation.data_version import DataVersion
from forward_auth.decisions import AuthResult, Decision, Headers, Principal, identity_headers
from forward_auth.request import COOKIE_PURPOSE, Target
from forward_auth.rules.matching import Requirement, Rule
from forward_auth.services.rules import load_rules
from forward_auth.sql import key_rows, rule_rows

FOREVER = float("inf")
# How long a signed Remote-Token is reused.
TOKEN_SECONDS = 20.0
TTL_SECONDS = 5.0
# An entry takes about two kilobytes.
MAX_ENTRIES = 5_000
# Limits for what a sender can make long, in characters of up to four bytes each: for one entry, and
# for all entries together.
MAX_WEIGHT = 2_048
MAX_TOTAL_WEIGHT = 2_000_000
# Kinds of credentials that are stored by their digests.
STORED_BY_DIGEST = frozenset({SESSION, COOKIE_PURPOSE})
Value = TypeVar("Value")
Clock = Callable[[], float]
# An ASGI message.
Message = dict[str, Any]


@dataclass(slots=True)
class TTLCache(Generic[Value]):
    """Values by key, with a time to live. A full cache drops all its entries.

    Threads share it without a lock. Keys are digests or ids, because whole header lines could be as
    long as their sender likes.
    """

    max_entries: int = MAX_ENTRIES
    ttl: float = TTL_SECONDS
    clock: Clock = time.time
    _weight: int = 0
    _values: dict[Hashable, tuple[float, Value]] = field(default_factory=dict, repr=False)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of `key`, or None when there is none or it has expired."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self.clock() else None

    def put(self, key: Hashable, value: Value, until: float, weight: int = 0) -> None:
        """Store `value` until `until` (seconds since 1970) or for `ttl`, whichever is shorter.

        weight: the number of characters of the value that its sender chose. A value of more than
        MAX_WEIGHT is not stored.
        """
        if weight > MAX_WEIGHT:
            return
        if len(self._values) >= self.max_entries or self._weight + weight > MAX_TOTAL_WEIGHT:
            self.clear()
        self._weight += weight
        self._values[key] = (min(until, self.clock() + self.ttl), value)

    def clear(self) -> None:
        self._values.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)


@dataclass(slots=True)
class CachedCredential:
    """The result for a credential, and the headers of its 204. until: seconds since 1970."""

    auth_result: AuthResult
    headers: Headers
    until: float


def cached_credential(auth_result: AuthResult, now: float) -> CachedCredential:
    """The result with its headers. It holds for TTL_SECONDS, or until the credential ends."""
    until = min(auth_result.until, now + TTL_SECONDS)
    if isinstance(auth_result, Principal):
        return CachedCredential(auth_result, identity_headers(auth_result), until)
    return CachedCredential(auth_result, (), until)


def credential_key(kind: str, text: str) -> str:
    """The key of a credential: a digest, because the cache holds no credential."""
    if kind in STORED_BY_DIGEST:
        return digest(kind, text)
    return blake2b(f"{kind}:{text}".encode()).hexdigest()


class EncodedDenial(NamedTuple):
    """The answer to a denied check, ready to be sent. Request id and reference are added to it.

    until: seconds since 1970. client: the headers that it depends on beside the cache key. pieces:
    the body, split at the reference.
    """

    until: float
    client: tuple[bytes | None, ...]
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]


@dataclass(slots=True)
class CheckResult:
    """A decision with all that went into it.

    message: of a 204, its ASGI message once it was needed. denial: the answer to a denied request,
    once it was given. denial_key: equal for equal denials; set once the denial was noted.
    """

    decision: Decision
    headers: Headers
    auth_result: AuthResult
    target: Target
    ip: str
    message: Message | None = None
    denial: EncodedDenial | None = None
    denial_key: bytes = b""


@dataclass(slots=True)
class EvaluatedRequest:
    """What is requested by which client, and what that requires."""

    target: Target
    ip: str
    requirement: Requirement


class RuleSet(NamedTuple):
    """The rules of one data version. rows: as stored. evaluated: by digest of the key parts."""

    rows: list[tuple[Any, ...]]
    rules: tuple[Rule, ...]
    evaluated: TTLCache[EvaluatedRequest]


class CacheGeneration:
    """The cache of one data version.

    results: by the cache key of a request. good, bad: by credential; they are separate, so that a
    flood of wrong credentials displaces no valid one.
    """

    def __init__(
        self, data_version: DataVersion, previous: "CacheGeneration | None" = None
    ) -> None:
        self.data_version = data_version
        self.results: TTLCache[CheckResult] = TTLCache()
        self.good: TTLCache[CachedCredential] = TTLCache()
        self.bad: TTLCache[CachedCredential] = TTLCache()
        self.tokens: TTLCache[str] = TTLCache(ttl=TOKEN_SECONDS)
        self.last_rules: RuleSet | None = previous.last_rules if previous else None
        self.last_keys: list[tuple[Any, ...]] | None = previous.last_keys if previous else None
        self._rules: RuleSet | None = None
        self._has_keys = False

    def has_token(self, token: str) -> bool:
        """Whether a valid access token is cached."""
        return self.good.get(credential_key("token", token)) is not None

    @property
    def rules(self) -> RuleSet:
        """The rules of this data version, read once. Most changes leave them as they were."""
        if self._rules is None:
            rows = rule_rows()
            last = self.last_rules
            if last is None or last.rows != rows:
                last = RuleSet(rows, load_rules(), TTLCache(ttl=FOREVER))
                # If the rows changed in between, they may not belong to these rules.
                self.last_rules = last if rule_rows() == rows else None
            self._rules = last
        return self._rules

    def use_current_signing_keys(self) -> None:
        """Drop cached signing keys of earlier data versions.

        Elsewhere a process may use them for another second, but what is decided here is cached for
        longer than that.
        """
        if not self._has_keys:
            rows = key_rows()
            if rows != self.last_keys:
                key_set_cache.forget()
            self.last_keys, self._has_keys = rows, True
