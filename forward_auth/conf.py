"""The settings of checks, read once: each look at Django's costs as much as ten dictionaries."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from core.client_ip import Network

# The gates that the short way asks in its own words; see forward_auth.authentication.
KNOWN_GATES = ["moderation.access_checks.get_user_denial"]
# As User._get_session_auth_hash has it.
STATE_SALT = "accounts.User.session"


@dataclass(frozen=True, slots=True)
class Options:
    """gate_cookie: "" where apps on other hosts have none. anonymous_role: None where everybody
    has to sign in. has_other_gates: ACCESS_CHECKS says something that only the long way can ask.
    session_seconds: after which activity stretches no session any more.
    state_key: what binds sessions to their person.
    """

    session_cookie: str
    gate_cookie: str
    only_foreign_tokens: bool
    takes_both: bool
    needs_proof: bool
    anonymous_role: str | None
    has_other_gates: bool
    factor_roles: Sequence[str]
    networks: Sequence[Network]
    hops: int
    session_seconds: float
    state_key: bytes = field(repr=False)


@cache
def options() -> Options:
    """Those of this process."""
    return Options(
        session_cookie=settings.SESSION_COOKIE_NAME,
        gate_cookie=settings.GATE_COOKIE_NAME if settings.FORWARD_AUTH_DOMAIN else "",
        only_foreign_tokens=settings.AUTH_BACKEND == "jwt",
        takes_both=settings.REQUIRE_API_KEY_AND_TOKEN,
        needs_proof=not settings.ALLOW_UNVERIFIED_EMAIL_LOGIN,
        anonymous_role=settings.ANONYMOUS_ROLE,
        has_other_gates=list(settings.ACCESS_CHECKS) != KNOWN_GATES,
        factor_roles=settings.MFA_REQUIRED_ROLES,
        networks=settings.TRUSTED_PROXIES,
        hops=settings.TRUST_PROXY,
        session_seconds=settings.SESSION_ABSOLUTE_TIMEOUT.total_seconds(),
        state_key=hashlib.sha256(f"{STATE_SALT}{settings.SECRET_KEY}".encode()).digest(),
    )


def _forget(**_of_signal: Any) -> None:
    """Settings change in tests alone."""
    options.cache_clear()


setting_changed.connect(_forget)
