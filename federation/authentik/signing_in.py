"""A session at Authentik from a user name and a password, ended again whatever happens.

No token is made: a session ends by itself, and leaves nothing that somebody has to remember.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from federation.authentik.http import Answer, AuthentikFailed, Wire

USUAL_FLOW = "default-authentication-flow"
MOST_STEPS = 10
SESSIONS = "/core/authenticated_sessions/"
INSTEAD = "Make an API token in Authentik (Directory, Tokens) and give --token-file."


@contextmanager
def signed_in(
    wire: Wire, username: str, password: str, warn: Callable[[str], None]
) -> Iterator[None]:
    """Within it `wire` acts as that person. Raises AuthentikFailed.

    warn: gets a sentence if the session could not be ended.
    """
    wire.hide(password)
    try:
        _walk(wire, username, password)
        yield
    finally:
        try:
            _sign_out(wire)
        except AuthentikFailed as error:
            warn(f"The session of {username} at Authentik may still be open: {error}")


def _walk(wire: Wire, username: str, password: str) -> None:
    """Answer the steps of Authentik's sign-in until it lets us in."""
    path = f"/flows/executor/{_flow(wire)}/"
    challenge = _step(wire, "GET", path)
    for _ in range(MOST_STEPS):
        component = str(challenge.get("component", ""))
        if component == "xak-flow-redirect":
            return
        answer = _answer(component, challenge, username, password)
        challenge = _step(wire, "POST", path, answer)
        if challenge.get("response_errors"):
            raise AuthentikFailed("Authentik takes neither this user name nor this password.")
    raise AuthentikFailed(f"Signing in at Authentik takes too many steps. {INSTEAD}")


def _flow(wire: Wire) -> str:
    """The slug of the sign-in that Authentik shows at this address."""
    answer = wire.ask("GET", "/core/brands/current/")
    return str(answer.document.get("flow_authentication") or USUAL_FLOW)


def _step(wire: Wire, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The next challenge; Authentik redirects to it after an answer that it takes."""
    answer: Answer = wire.ask(method, path, query={"query": ""}, body=body)
    if answer.status in (302, 303):
        answer = wire.ask("GET", path, query={"query": ""})
    if answer.status != 200:
        said = wire.detail(answer.document)
        raise AuthentikFailed(f"Signing in at Authentik failed ({answer.status}): {said}")
    return answer.document


def _answer(
    component: str, challenge: dict[str, Any], username: str, password: str
) -> dict[str, Any]:
    """What a browser would send. Raises AuthentikFailed for a step that needs a person."""
    answer: dict[str, Any] = {"component": component}
    match component:
        case "ak-stage-identification" if not challenge.get("captcha_stage"):
            answer["uid_field"] = username
            if challenge.get("password_fields"):
                answer["password"] = password
        case "ak-stage-password":
            answer["password"] = password
        case "ak-stage-user-login":
            answer["remember_me"] = False
        case "ak-stage-access-denied":
            raise AuthentikFailed("Authentik denies this person access.")
        case _:
            raise AuthentikFailed(
                f"Signing in at Authentik asks for more than a password ({component[:60]}). "
                f"{INSTEAD}"
            )
    return answer


def _sign_out(wire: Wire) -> None:
    """End the session in which these requests are made, and no other."""
    answer = wire.ask("GET", SESSIONS, query={"page_size": 100, "ordering": "-expires"})
    if answer.status in (401, 403):
        return  # nobody is signed in
    for session in answer.document.get("results", ()):
        if session.get("current") is True:
            wire.expect("DELETE", f"{SESSIONS}{session['uuid']}/")
            return
    raise AuthentikFailed(f"It is not among its sessions ({answer.status}).")
