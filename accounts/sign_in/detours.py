"""Where a browser goes first when its user has signed out: other apps may add a stop on the way.

One of the seams of docs/architecture.md.
"""

import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts.sessions.store import DEVICE

# From the public id of the ended session, and the URL to which the browser goes next, to the URL to
# which it goes first; "" for no detour.
Detour = Callable[[uuid.UUID, str], str]
_detours: list[Detour] = []


def add_detour(detour: Detour) -> None:
    """Ask this function at each sign-out."""
    if detour not in _detours:
        _detours.append(detour)


def session_id_of(request: HttpRequest) -> uuid.UUID | None:
    """The public id of the session that is about to end; None if nobody is signed in."""
    device = request.session.get(DEVICE)
    return uuid.UUID(device["id"]) if isinstance(device, dict) else None


def with_detours(response: HttpResponse, session_id: uuid.UUID | None) -> HttpResponse:
    """The redirect after a sign-out, perhaps to another page first. A page stays as it is."""
    if session_id is None or "Location" not in response:
        return response
    for detour in _detours:
        response["Location"] = detour(session_id, response["Location"]) or response["Location"]
    return response
