"""What a process caches between two changes of the database.

A change begins a new CacheGeneration. A thread that still reads the old data then writes into the
old generation, which no one reads any more.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from api.tokens.signing_keys import key_set_cache
from forward_auth.decisions import AuthResult, Decision, Headers
from forward_auth.fastpath.sql import key_rows, rule_rows
from forward_auth.fastpath.ttl_cache import TTLCache
from forward_auth.invalidation.data_version import DataVersion
from forward_auth.request_target import Target
from forward_auth.rules.matching import Requirement, Rule
from forward_auth.services.rules import load_rules

# How long a signed Remote-Token is reused.
TOKEN_SECONDS = 20.0
FOREVER = float("inf")
# An ASGI message.
Message = dict[str, Any]


@dataclass(slots=True)
class CachedCredential:
    """The result for a credential, and the headers of its 204. until: seconds since 1970."""

    auth_result: AuthResult
    headers: Headers
    until: float


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
    denial: "EncodedDenial | None" = None
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
