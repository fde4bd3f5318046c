"""A circuit breaker for directory servers: skip a server that has just failed to answer.

Each attempt waits up to `step_seconds`. Without this, sign-ins through a dead server would occupy
every thread, those of users who need no directory included.
"""

import time

from federation.ldap.failures import DirectoryError, Failures

RETRY_AFTER_SECONDS = 5.0
# URL of a server that did not answer -> (monotonic time of the next attempt, the failure).
_open_until: dict[str, tuple[float, Failures]] = {}


def check(url: str) -> None:
    """Raise DirectoryError while the server at `url` is skipped."""
    until, failure = _open_until.get(url, (0.0, Failures.NO_ANSWER))
    if time.monotonic() < until:
        raise DirectoryError(failure, "it did not answer a moment ago")


def record(url: str, error: DirectoryError) -> None:
    """Skip the server at `url` for RETRY_AFTER_SECONDS if `error` says that it did not answer."""
    if error.failure not in (Failures.NO_ANSWER, Failures.TOO_SLOW):
        return
    now = time.monotonic()
    # A refused attempt does not prolong the pause.
    if _open_until.get(url, (0.0, error.failure))[0] <= now:
        _open_until[url] = (now + RETRY_AFTER_SECONDS, error.failure)


def reset() -> None:
    """Forget every failure, as after a restart."""
    _open_until.clear()
