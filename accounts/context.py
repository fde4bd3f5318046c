"""What is known of the present call (address, request id, channel), for audit and limits.

Set by the middleware for requests and by commands; services read it instead of taking a request.
"""

import uuid
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
# Whose access the running request has ended itself, as somebody does who signs out everywhere.
_ended: ContextVar[set[uuid.UUID]] = ContextVar("gatehouse_ended")
_NOBODY = Caller()


def current_caller() -> Caller:
    """The caller of the running request or command; an empty one in background work."""
    return _caller.get(_NOBODY)


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Make `caller` the current one inside the block."""
    token, ended = _caller.set(caller), _ended.set(set())
    try:
        yield
    finally:
        _ended.reset(ended)
        _caller.reset(token)


def note_end(user_id: uuid.UUID) -> None:
    """The running request ends the access of this person."""
    _ended.get(set()).add(user_id)


def has_ended(user_id: uuid.UUID) -> bool:
    """Has the running request itself ended the access of this person?"""
    return user_id in _ended.get(set())
