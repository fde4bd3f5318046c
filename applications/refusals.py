"""Sign-ins to apps that were refused: whoever keeps the list of refusals is told of them.

One of the seams of docs/architecture.md: the list belongs to forward auth, which the OpenID
provider does not import.
"""

from collections.abc import Callable
from typing import NamedTuple

from accounts.models import User
from applications.models import App


class RefusedSignIn(NamedTuple):
    """code: of a DenialReason. why: for administrators. ip: of the browser, "" if not known."""

    app: App
    user: User
    code: str
    why: str
    ip: str


# Returns the reference under which administrators find it; "" if it was not kept.
Recorder = Callable[[RefusedSignIn], str]
_recorders: list[Recorder] = []


def set_recorder(recorder: Recorder) -> None:
    """Let this function keep refusals, in place of an earlier one."""
    _recorders[:] = [recorder]


def note_refused_sign_in(refused: RefusedSignIn) -> str:
    """Keep a refusal; returns its reference, "" if there is none."""
    return next((recorder(refused) for recorder in _recorders), "")
