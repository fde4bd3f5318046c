"""One check on the fast path: from the WSGI environment of a proxy's request to a decision.

Django's own view uses the second half of it (decide()) for what the fast path leaves to Django.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import ip_network
from typing import Any

from django.core.signals import setting_changed

from accounts.session_store import PURPOSE as SESSION
from api.authorization_header import own_credentials_of
from api.tokens.jwt import claims_our_issuer, looks_like_token
from core.client_ip import is_in, parse_address, resolve
from core.tokens import digest
from forward_auth.conf import Options, options
from forward_auth.cookies import PURPOSE as FORWARD_AUTH_COOKIE
from forward_auth.cookies import cookie_value, forward_auth_cookie
from forward_auth.decisions import (
    AuthFailure,
    AuthResult,
    Principal,
    decide,
    identity_headers,
)
from forward_auth.fastpath.authentication import (
    FastPathUnsupported,
    authenticate_forward_auth_cookie,
    authenticate_key,
    authenticate_session,
    authenticate_token,
)
from forward_auth.fastpath.generation import (
    FOREVER,
    CachedCredential,
    CacheGeneration,
    CheckResult,
    EvaluatedRequest,
)
from forward_auth.fastpath.request import (
    CREDENTIAL_PARTS,
    MAX_HEADER_LENGTH,
    SEPARATOR,
    Environ,
    KeyParts,
    Scope,
    cache_key_of_scope,
    cache_key_parts,
    min_role_override,
)
from forward_auth.fastpath.ttl_cache import TTL_SECONDS, TTLCache
from forward_auth.invalidation.data_version import DataVersion, current_data_version
from forward_auth.request_target import target_of
from forward_auth.rules.matching import requirement_for
from forward_auth.services.key_usage import note_use

NOT_AUTHENTICATED = AuthFailure("", "not_authenticated")
# (kind, credential) each.
Credentials = tuple[tuple[str, str], ...]


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

    def cached_result(self, scope: Scope) -> CheckResult | None:
        """What check() would return for this request, if that is cached. Reads memory only."""
        version, generation = self._data_version(), self._generation
        if version is None or generation.data_version != version:
            return None
        key = cache_key_of_scope(scope)
        return None if key is None else generation.results.get(blake2b(key).digest())

    def decide(self, environ: Environ, auth_result: AuthResult) -> CheckResult:
        """Decide about a credential that Django has authenticated."""
        generation = self._current()
        config = options()
        evaluated = self._evaluate(environ, cache_key_parts(environ), generation, config)
        return self._decide(evaluated, _cached_credential(auth_result, time.time()), config)

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
        credential, is_new = _cached_credential(NOT_AUTHENTICATED, time.time()), False
        for kind, text in extract_credentials(environ, config, generation.good):
            credential, is_new = _authenticate(generation, kind, text)
            if isinstance(credential.auth_result, Principal):
                break
        evaluated = self._evaluate(environ, parts, generation, config)
        result = self._decide(evaluated, credential, config)
        # A request that comes once is not cached twice. Parts with line breaks of their own could
        # collide with others.
        if not is_new and SEPARATOR not in "".join(parts):
            generation.results.put(key, result, credential.until, _weight(parts))
        auth_result = credential.auth_result
        if isinstance(auth_result, Principal) and auth_result.kind == "key":
            note_use(auth_result.credential_id, result.ip, auth_result.used_at)
        return result

    def _current(self) -> CacheGeneration:
        """The cache of the present data version."""
        version, generation = self._data_version(), self._generation
        if version is None or generation.data_version != version:
            generation = self._generation = CacheGeneration(version, generation)
        return generation

    def _evaluate(
        self, environ: Environ, parts: KeyParts, generation: CacheGeneration, config: Options
    ) -> EvaluatedRequest:
        """What the request is about and what the rules require; the same for every credential."""
        rules = generation.rules
        joined = SEPARATOR.join(parts[CREDENTIAL_PARTS:])
        key = blake2b(joined.encode()).digest()
        cached = rules.evaluated.get(key)
        if cached is not None:
            return cached
        target = target_of(environ)
        ip = resolve(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR", ""),
            config.trusted_proxies,
            config.proxy_hops,
        )
        requirement = requirement_for(rules.rules, target, ip, min_role_override(environ))
        # The rules have been applied, so the further readings of the path are not needed.
        evaluated = EvaluatedRequest(target._replace(others=()), ip, requirement)
        if joined.count(SEPARATOR) == len(parts) - CREDENTIAL_PARTS - 1:  # see _check()
            rules.evaluated.put(key, evaluated, FOREVER, _weight(parts))
        return evaluated

    def _decide(
        self, evaluated: EvaluatedRequest, credential: CachedCredential, config: Options
    ) -> CheckResult:
        auth_result = credential.auth_result
        decision = decide(
            evaluated.requirement,
            auth_result,
            evaluated.target,
            ip_allowed=ip_allowed(auth_result, evaluated.ip),
            requires_verified_email=config.requires_verified_email,
        )
        has_principal = decision.principal is not None
        headers = credential.headers if has_principal else identity_headers(None)
        return CheckResult(decision, headers, auth_result, evaluated.target, evaluated.ip)

    def _forget_settings(self, **_of_signal: Any) -> None:
        self._generation = CacheGeneration(None)


def extract_credentials(
    environ: Environ, config: Options, good: TTLCache[CachedCredential]
) -> Credentials:
    """The credentials of a request, () for none. A second one counts if the first is wrong.

    good: valid credentials, which are therefore our own. Raises FastPathUnsupported for several
    credentials, and for tokens of other issuers.
    """

    def is_ours(token: str) -> bool:
        if config.external_tokens_only and looks_like_token(token):
            raise FastPathUnsupported
        return good.get(_cache_key("token", token)) is not None or claims_our_issuer(token)

    found: Credentials = ()
    if "HTTP_X_API_KEY" in environ or "HTTP_AUTHORIZATION" in environ:
        keys, token = own_credentials_of(environ, is_ours)
        found = (*(("key", key) for key in keys), *((("token", token),) if token else ()))
    if "HTTP_COOKIE" in environ:
        session = cookie_value(environ["HTTP_COOKIE"], config.session_cookie)
        cookie = forward_auth_cookie(environ) if config.forward_auth_cookie else ""
        if found and (session or cookie):
            raise FastPathUnsupported
        found += ((SESSION, session),) if session else ()
        found += ((FORWARD_AUTH_COOKIE, cookie),) if cookie else ()
    if found and (config.requires_key_and_token or (len(found) > 1 and found[0][0] != SESSION)):
        raise FastPathUnsupported
    return found


# These are cached under the digest by which they are stored.
STORED_BY_DIGEST = frozenset({SESSION, FORWARD_AUTH_COOKIE})
_AUTHENTICATE: dict[str, Callable[[str, float], AuthResult]] = {
    SESSION: authenticate_session,
    FORWARD_AUTH_COOKIE: authenticate_forward_auth_cookie,
    "key": authenticate_key,
    "token": authenticate_token,
}


def _authenticate(
    generation: CacheGeneration, kind: str, text: str
) -> tuple[CachedCredential, bool]:
    """(the credential, whether it had to be looked up)."""
    key = _cache_key(kind, text)
    cached = generation.good.get(key) or generation.bad.get(key)
    if cached is not None:
        return cached, False
    if kind == "token":
        generation.use_current_signing_keys()
    now = time.time()
    auth_result = _AUTHENTICATE[kind](key if kind in STORED_BY_DIGEST else text, now)
    credential = _cached_credential(auth_result, now)
    cache = generation.good if isinstance(auth_result, Principal) else generation.bad
    cache.put(key, credential, credential.until)
    return credential, True


def _cached_credential(auth_result: AuthResult, now: float) -> CachedCredential:
    soon = now + TTL_SECONDS
    if isinstance(auth_result, Principal):
        until = auth_result.until if auth_result.until < soon else soon
        return CachedCredential(auth_result, identity_headers(auth_result), until)
    return CachedCredential(auth_result, (), soon)


def _cache_key(kind: str, text: str) -> str:
    """A digest: the cache holds no credential."""
    if kind in STORED_BY_DIGEST:
        return digest(kind, text)
    return blake2b(f"{kind}:{text}".encode()).hexdigest()


def _weight(parts: KeyParts) -> int:
    """The number of characters that the sender chose, credentials aside."""
    return sum(map(len, parts[CREDENTIAL_PARTS:]))


def ip_allowed(auth_result: AuthResult, ip: str) -> bool:
    """Whether the client's address is in the networks of the credential."""
    if not auth_result.networks:
        return True
    address = parse_address(ip)
    try:
        networks = [ip_network(text) for text in auth_result.networks]
    except ValueError:
        return False
    return address is not None and is_in(address, networks)


# One for each process.
CHECKER = Checker(current_data_version)
