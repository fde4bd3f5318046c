"""Listens to exceeded limits and scores them."""

import logging
from typing import Any

from django.db import DatabaseError

from accounts.models import User
from accounts.rate_limits import Limit
from moderation.durations import time_text
from moderation.services.violations import record_violation

logger = logging.getLogger("gatehouse.moderation")
# Scopes of accounts.rate_limits.SCORED, by the names that violations have.
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
    """A violation of who is signed in, or else of the network: never of a name that was typed.

    Whoever guesses at somebody's account must not get that person banned.
    """
    kind = TYPES[limit.scope]
    try:
        record_violation(
            type=kind,
            user=user,
            network=ip,
            limit=f"{limit.maximum} in {time_text(limit.window)}",
            detail={"count": count},
        )
    except DatabaseError:
        # The answer is "too many tries" all the same.
        logger.exception("a violation could not be written")
