"""What is known of the present call (address, request id, channel), for audit and limits.

Set by the middleware for requests and by commands; services read it instead of taking a request.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """ip: "" when there is none. channel: web, command or worker."""

    ip: str = ""
    request_id: str = ""
    user_agent: str = ""
    channel: str = "worker"


_caller: ContextVar[Caller] = ContextVar("gatehouse_caller")
_NOBODY = Caller()


def current_caller() -> Caller:
    """The caller of the running request or command; an empty one in background work."""
    return _caller.get(_NOBODY)


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Make `caller` the current one inside the block."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)
