"""The settings of checks, read once: each access to Django's costs ten dictionary reads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from core.web.client_ip import Network

# The checks that the fast path implements itself; see forward_auth.authentication.
BUILT_IN_ACCESS_CHECKS = ["moderation.access_checks.get_user_denial"]
# See User._get_session_auth_hash().
SESSION_HASH_SALT = "accounts.User.session"


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of checks.

    forward_auth_cookie: "" without FORWARD_AUTH_DOMAIN. anonymous_role: None while sign-in is
    required. has_custom_access_checks: ACCESS_CHECKS has entries that only Django can call.
    session_seconds: the longest life of a session. session_hash_key: see session_hash().
    """

    session_cookie: str
    forward_auth_cookie: str
    external_tokens_only: bool
    requires_key_and_token: bool
    requires_verified_email: bool
    anonymous_role: str | None
    has_custom_access_checks: bool
    mfa_required_roles: Sequence[str]
    trusted_proxies: tuple[Network, ...]
    proxy_hops: int
    session_seconds: float
    session_hash_key: bytes = field(repr=False)


@cache
def options() -> Options:
    """The options of this process."""
    return Options(
        session_cookie=settings.SESSION_COOKIE_NAME,
        forward_auth_cookie=settings.FORWARD_AUTH_COOKIE_NAME
        if settings.FORWARD_AUTH_DOMAIN
        else "",
        external_tokens_only=settings.AUTH_BACKEND == "jwt",
        requires_key_and_token=settings.REQUIRE_API_KEY_AND_TOKEN,
        requires_verified_email=not settings.ALLOW_UNVERIFIED_EMAIL_LOGIN,
        anonymous_role=settings.ANONYMOUS_ROLE,
        has_custom_access_checks=list(settings.ACCESS_CHECKS) != BUILT_IN_ACCESS_CHECKS,
        mfa_required_roles=settings.MFA_REQUIRED_ROLES,
        trusted_proxies=settings.TRUSTED_PROXIES,
        proxy_hops=settings.TRUST_PROXY,
        session_seconds=settings.SESSION_ABSOLUTE_TIMEOUT.total_seconds(),
        session_hash_key=hashlib.sha256(
            f"{SESSION_HASH_SALT}{settings.SECRET_KEY}".encode()
        ).digest(),
    )


def _forget(**_of_signal: Any) -> None:
    """Settings change in tests only."""
    options.cache_clear()


setting_changed.connect(_forget)
