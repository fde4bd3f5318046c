"""A session at authentik by user name and password, which always ends.

No token is created, so nothing remains that must be revoked later.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from federation.authentik.http import Answer, AuthentikError, Client

USUAL_FLOW = "default-authentication-flow"
MAX_STEPS = 10
SESSIONS = "/core/authenticated_sessions/"
INSTEAD = "Make an API token in Authentik (Directory, Tokens) and give --token-file."


@contextmanager
def session(
    client: Client, username: str, password: str, warn: Callable[[str], None]
) -> Iterator[None]:
    """Within the context `client` acts as that user. Raises AuthentikError.

    warn: gets a message if the session could not be ended.
    """
    client.hide(password)
    try:
        _sign_in(client, username, password)
        yield
    finally:
        try:
            _sign_out(client)
        except AuthentikError as error:
            warn(f"The session of {username} at Authentik may still be open: {error}")


def _sign_in(client: Client, username: str, password: str) -> None:
    """Complete the steps of authentik's sign-in flow."""
    path = f"/flows/executor/{_flow(client)}/"
    challenge = _step(client, "GET", path)
    for _ in range(MAX_STEPS):
        component = str(challenge.get("component", ""))
        if component == "xak-flow-redirect":
            return
        answer = _answer(component, challenge, username, password)
        challenge = _step(client, "POST", path, answer)
        if challenge.get("response_errors"):
            raise AuthentikError("Authentik takes neither this user name nor this password.")
    raise AuthentikError(f"Signing in at Authentik takes too many steps. {INSTEAD}")


def _flow(client: Client) -> str:
    """The slug of the sign-in flow at this URL."""
    answer = client.request("GET", "/core/brands/current/")
    return str(answer.document.get("flow_authentication") or USUAL_FLOW)


def _step(
    client: Client, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The next challenge, to which authentik redirects after an accepted response."""
    answer: Answer = client.request(method, path, query={"query": ""}, body=body)
    if answer.status in (302, 303):
        answer = client.request("GET", path, query={"query": ""})
    if answer.status != 200:
        said = client.detail(answer.document)
        raise AuthentikError(f"Signing in at Authentik failed ({answer.status}): {said}")
    return answer.document


def _answer(
    component: str, challenge: dict[str, Any], username: str, password: str
) -> dict[str, Any]:
    """The response of a browser. Raises AuthentikError for a step that needs a human."""
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
            raise AuthentikError("Authentik denies this person access.")
        case _:
            raise AuthentikError(
                f"Signing in at Authentik asks for more than a password ({component[:60]}). "
                f"{INSTEAD}"
            )
    return answer


def _sign_out(client: Client) -> None:
    """End the current session, and no other."""
    answer = client.request("GET", SESSIONS, query={"page_size": 100, "ordering": "-expires"})
    if answer.status in (401, 403):
        return  # no session
    for session in answer.document.get("results", ()):
        if session.get("current") is True:
            client.expect("DELETE", f"{SESSIONS}{session['uuid']}/")
            return
    raise AuthentikError(f"It is not among its sessions ({answer.status}).")
