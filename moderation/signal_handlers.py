"""The signal handler that scores exceeded limits."""

import logging
from typing import Any

from django.db import DatabaseError

from accounts.models import User
from accounts.rate_limits import Limit
from core.text.durations import format_duration
from moderation.services.violations import record_violation

logger = logging.getLogger("gatehouse.moderation")
# Scope of accounts.rate_limits.SCORED -> type of violation.
TYPES = {
    "sign-in": "login",
    "sign-in-client": "login",
    "passkey": "login",
    "second-factor": "second_factor",
    "sign-up": "registration",
    "reset-password": "reset_password",
    "verify-email": "verify_email",
    "magic-link": "magic_link",
}


def score_exceeded_limit(
    *, limit: Limit, count: int, user: User | None, ip: str, **_of_signal: Any
) -> None:
    """Record a violation of the signed-in user, or else of the network.

    Never of the account whose name was typed: guessing at an account must not get its user banned.
    """
    kind = TYPES[limit.scope]
    try:
        record_violation(
            type=kind,
            user=user,
            network=ip,
            limit=f"{limit.maximum} in {format_duration(limit.window)}",
            detail={"count": count},
        )
    except DatabaseError:
        # The client is rate-limited either way.
        logger.exception("a violation could not be written")
