"""One check, from the request of a proxy to the decision.

The steps, in order, and where they are:

1. request         what the proxy asks: credential, host, path, method, client
2. cache           the result, if an equal request was answered since the database changed
3. authentication  who sends the request, by one row of the database
4. rules.matching  what the request requires
5. decisions       204, 401 or 403
6. wsgi            the answer, before Django is reached

Steps 3 and 4 have caches of their own, because pages load many addresses with one credential.
Django's view takes steps 4 and 5 here for what the fast path leaves to Django; simulations take
them with a trace.
"""

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from ipaddress import ip_network
from typing import Any

from django.core.signals import setting_changed

from accounts.roles import Role
from core.invalidation.data_version import DataVersion, current_data_version
from core.web.client_ip import is_in, parse_address, resolve
from forward_auth.authentication import (
    NOT_AUTHENTICATED,
    FastPathUnsupported,
    authenticate,
    extract_credentials,
)
from forward_auth.cache import (
    FOREVER,
    CachedCredential,
    CacheGeneration,
    CheckResult,
    EvaluatedRequest,
    TTLCache,
    cached_credential,
    credential_key,
)
from forward_auth.conf import Options, options
from forward_auth.decisions import AuthResult, Principal, decide, identity_headers
from forward_auth.request import (
    CREDENTIAL_PARTS,
    MAX_HEADER_LENGTH,
    SEPARATOR,
    Environ,
    KeyParts,
    Scope,
    Target,
    cache_key_of_scope,
    cache_key_parts,
    min_role_override,
    target_of,
)
from forward_auth.rules.matching import ReadingStep, Rule, requirement_for
from forward_auth.services.key_usage import note_use


class HeaderTooLong(Exception):
    """A header that the decision depends on is longer than MAX_HEADER_LENGTH."""


class Checker:
    """Answers checks for one process.

    data_version: a change of its value empties the cache, and while it is None nothing is cached.
    """

    def __init__(self, data_version: Callable[[], DataVersion]) -> None:
        self._data_version = data_version
        self._generation = CacheGeneration(None)
        setting_changed.connect(self._forget_settings)

    @property
    def tokens(self) -> TTLCache[str]:
        """Signed Remote-Tokens, which may be reused until something changes."""
        generation = self._generation
        generation.use_current_signing_keys()
        return generation.tokens

    def use_current_signing_keys(self) -> DataVersion:
        """Make this process use the signing keys of the present data version; returns it."""
        generation = self._current()
        generation.use_current_signing_keys()
        return generation.data_version

    def cached_result(self, scope: Scope) -> CheckResult | None:
        """What check() would return for this request, if that is cached. Reads memory only."""
        version, generation = self._data_version(), self._generation
        if version is None or generation.data_version != version:
            return None
        key = cache_key_of_scope(scope)
        return None if key is None else generation.results.get(blake2b(key).digest())

    def check(self, environ: Environ) -> CheckResult:
        """Decide on the fast path.

        Raises FastPathUnsupported for credentials that only Django can check, and HeaderTooLong.
        """
        # Like _current(), but one call less in each check.
        version, generation = self._data_version(), self._generation
        if version is None or generation.data_version != version:
            generation = self._generation = CacheGeneration(version, generation)
        parts = cache_key_parts(environ)
        # The cache holds no credential, only a digest. BLAKE2b (RFC 7693) takes half the time of
        # SHA-256 here.
        key = blake2b(SEPARATOR.join(parts).encode()).digest()
        cached = generation.results.get(key)
        return self._check(environ, parts, key, generation) if cached is None else cached

    def authenticate_stored(self, kind: str, key: str, text: str = "") -> AuthResult:
        """The result of check() for a credential, from the cache or the database.

        key: see credential_key(). text: may be "" for what is stored by its digest. Raises
        FastPathUnsupported.
        """
        return _authenticate(self._current(), kind, text, key)[0].auth_result

    def decide(self, environ: Environ, auth_result: AuthResult) -> CheckResult:
        """Decide about a credential that Django has authenticated."""
        config = options()
        evaluated = _evaluate(environ, cache_key_parts(environ), self._current(), config)
        return decide_request(evaluated, cached_credential(auth_result, time.time()), config)

    def _current(self) -> CacheGeneration:
        """The cache of the present data version."""
        version, generation = self._data_version(), self._generation
        if version is None or generation.data_version != version:
            generation = self._generation = CacheGeneration(version, generation)
        return generation

    def _check(
        self, environ: Environ, parts: KeyParts, key: bytes, generation: CacheGeneration
    ) -> CheckResult:
        if max(map(len, parts)) > MAX_HEADER_LENGTH:
            raise HeaderTooLong  # so nothing of it is cached
        config = options()
        if config.anonymous_role is not None:
            raise FastPathUnsupported  # a request without a credential is the anonymous user's
        if config.has_custom_access_checks:
            raise FastPathUnsupported
        credential, is_new = cached_credential(NOT_AUTHENTICATED, time.time()), False
        until = credential.until
        for kind, text in extract_credentials(environ, config, generation.has_token):
            key_of_text = credential_key(kind, text)
            credential, is_new = _authenticate(generation, kind, text, key_of_text)
            until = min(until, credential.until)
            if isinstance(credential.auth_result, Principal):
                break
        evaluated = _evaluate(environ, parts, generation, config)
        result = decide_request(evaluated, credential, config)
        # A request that comes once is not cached twice. Parts with line breaks of their own could
        # collide with others.
        if not is_new and SEPARATOR not in "".join(parts):
            generation.results.put(key, result, until, _weight(parts))
        auth_result = credential.auth_result
        if isinstance(auth_result, Principal) and auth_result.kind == "key":
            note_use(auth_result.credential_id, result.ip, auth_result.used_at)
        return result

    def _forget_settings(self, **_of_signal: Any) -> None:
        self._generation = CacheGeneration(None)


def _authenticate(
    generation: CacheGeneration, kind: str, text: str, key: str
) -> tuple[CachedCredential, bool]:
    """(the credential, whether it had to be looked up). key: credential_key() of it."""
    cached = generation.good.get(key) or generation.bad.get(key)
    if cached is not None:
        return cached, False
    if kind == "token":
        generation.use_current_signing_keys()
    now = time.time()
    auth_result = authenticate(kind, text, key, now)
    credential = cached_credential(auth_result, now)
    cache = generation.good if isinstance(auth_result, Principal) else generation.bad
    cache.put(key, credential, credential.until)
    return credential, True


def _evaluate(
    environ: Environ, parts: KeyParts, generation: CacheGeneration, config: Options
) -> EvaluatedRequest:
    """evaluate() with a cache, because the result is the same for every credential."""
    rules = generation.rules
    joined = SEPARATOR.join(parts[CREDENTIAL_PARTS:])
    key = blake2b(joined.encode()).digest()
    cached = rules.evaluated.get(key)
    if cached is not None:
        return cached
    ip = resolve(
        environ.get("REMOTE_ADDR", ""),
        environ.get("HTTP_X_FORWARDED_FOR", ""),
        config.trusted_proxies,
        config.proxy_hops,
    )
    evaluated = evaluate(rules.rules, target_of(environ), ip, min_role_override(environ))
    if joined.count(SEPARATOR) == len(parts) - CREDENTIAL_PARTS - 1:  # see Checker._check()
        rules.evaluated.put(key, evaluated, FOREVER, _weight(parts))
    return evaluated


def evaluate(
    rules: Sequence[Rule],
    target: Target,
    ip: str,
    override: Role | None,
    trace: list[ReadingStep] | None = None,
) -> EvaluatedRequest:
    """What the rules require of a request by a client at `ip`. See requirement_for()."""
    requirement = requirement_for(rules, target, ip, override, trace)
    # The rules have been applied, so the further readings of the path are not needed.
    return EvaluatedRequest(target._replace(others=()), ip, requirement)


def decide_request(
    evaluated: EvaluatedRequest, credential: CachedCredential, config: Options
) -> CheckResult:
    """Decide whether the request may pass with this credential."""
    auth_result = credential.auth_result
    decision = decide(
        evaluated.requirement,
        auth_result,
        evaluated.target,
        ip_allowed=_ip_allowed(auth_result, evaluated.ip),
        requires_verified_email=config.requires_verified_email,
    )
    headers = identity_headers(None) if decision.principal is None else credential.headers
    return CheckResult(decision, headers, auth_result, evaluated.target, evaluated.ip)


def _ip_allowed(auth_result: AuthResult, ip: str) -> bool:
    """Whether the client's address is in the networks of the credential."""
    if not auth_result.networks:
        return True
    address = parse_address(ip)
    try:
        networks = [ip_network(text) for text in auth_result.networks]
    except ValueError:
        return False
    return address is not None and is_in(address, networks)


def _weight(parts: KeyParts) -> int:
    """The number of characters that the sender chose, credentials aside."""
    return sum(map(len, parts[CREDENTIAL_PARTS:]))


# One for each process.
CHECKER = Checker(current_data_version)
