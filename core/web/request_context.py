"""The context of the running request or command: address, request id, channel.

The middleware and the commands set it. Services read it for the audit log and for rate limits, so
they take no request as an argument.
"""

import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """ip: "" when there is none. channel: web, command or worker."""

    ip: str = ""
    request_id: str = ""
    user_agent: str = ""
    channel: str = "worker"


def context_of(ip: str, headers: Mapping[str, Any]) -> RequestContext:
    """Of a request of the web. headers: with the keys of a WSGI environment.

    The request id is the proxy's X-Request-ID if it is well formed, otherwise a new one.
    """
    given = headers.get("HTTP_X_REQUEST_ID", "")
    return RequestContext(
        ip=ip,
        request_id=given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8),
        user_agent=headers.get("HTTP_USER_AGENT", "")[:256],
        channel="web",
    )


_context: ContextVar[RequestContext] = ContextVar("gatehouse_request_context")
# Users whose access the running request has revoked itself, as after "sign out everywhere".
_revoked: ContextVar[set[uuid.UUID]] = ContextVar("gatehouse_revoked")
_BACKGROUND = RequestContext()


def get_request_context() -> RequestContext:
    """The context of the running request or command; an empty one in background work."""
    return _context.get(_BACKGROUND)


@contextmanager
def use_context(context: RequestContext) -> Iterator[None]:
    """Make `context` the current one inside the block."""
    token, revoked = _context.set(context), _revoked.set(set())
    try:
        yield
    finally:
        _revoked.reset(revoked)
        _context.reset(token)


def note_revocation(user_id: uuid.UUID) -> None:
    """Record that the running request revokes the access of this user."""
    _revoked.get(set()).add(user_id)


def has_revoked(user_id: uuid.UUID) -> bool:
    """Whether the running request itself has revoked the access of this user."""
    return user_id in _revoked.get(set())
