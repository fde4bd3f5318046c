"""What each part of a configuration does, and the lines of it that the live test names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class Part(NamedTuple):
    """line: a text of the file to look for. text: what it does."""

    line: str
    text: Any


LINES: dict[str, dict[str, str]] = {
    "check": {
        "nginx": "auth_request /_gatehouse;",
        "caddy": "uri /auth/forward",
        "traefik": "forwardAuth:",
        "haproxy": "http-request lua.gatehouse rules",
    },
    "answer": {
        "nginx": "error_page 401 403 = @gatehouse_answer;",
        "caddy": "uri /auth/forward",
        "traefik": "/auth/forward",
        "haproxy": "http-request lua.gatehouse rules",
    },
    "gatehouse": {
        "nginx": "proxy_pass http://gatehouse",
        "caddy": "forward_auth ",
        "traefik": "address:",
        "haproxy": "setenv GATEHOUSE",
    },
    "target": {
        "nginx": "proxy_set_header X-Original-URL",
        "caddy": "request_header -X-Original*",
        "traefik": "trustForwardHeader: false",
        "haproxy": "http-request set-header X-Forwarded-Host",
    },
    "strip": {
        "nginx": "proxy_set_header Remote-User $gatehouse_user;",
        "caddy": "request_header -Remote*",
        "traefik": 'Remote-User: ""',
        "haproxy": "http-request del-header remote -m beg",
    },
    "spellings": {
        "nginx": "underscores_in_headers off;",
        "caddy": "request_header -*_*",
        "traefik": 'Remote_User: ""',
        "haproxy": "http-request del-header _ -m sub",
    },
    "upgrade": {
        "nginx": "proxy_set_header Upgrade",
        "caddy": "request_header @no_websocket -Upgrade",
        "traefik": 'Upgrade: ""',
        "haproxy": "http-request del-header upgrade unless is_websocket",
    },
    "cookie": {
        "nginx": "proxy_set_header Cookie",
        "caddy": "header_up Cookie",
        "haproxy": "http-request replace-header Cookie",
    },
    "gone": {
        "nginx": "location @gatehouse_gone",
        "caddy": "handle_errors",
    },
}
TEXTS: dict[str, Any] = {
    "check": _("Asks Gatehouse about every request before the app sees it. The body is not sent."),
    "answer": _("Passes the answer to a denied request on: to the sign-in page for browsers, 401 "
                "for programs, 403 with a reference for people without access."),
    "strip": _("Replaces or removes what a client says about its identity, and names the person "
               "whom Gatehouse has found: Remote-User, Remote-Email, Remote-Name, Remote-Groups "
               "and Remote-Id."),
    "spellings": _("Removes other spellings, such as Remote_User, which many apps read as the same "
                   "header."),
    "upgrade": _("Lets only websockets take the connection over, and only after the check."),
    "cookie": _("Takes the cookie of Gatehouse out of the request, so that no app can use it to "
                "open another one."),
    "gone": _("Closes the app while Gatehouse cannot be reached: no request passes unchecked."),
}  # fmt: skip
BACKEND_PARTS = (
    Part("GATEHOUSE_URL", _("Where the keys are, and who must have issued a token (iss).")),
    Part("GATEHOUSE_AUDIENCE", _("For whom a token must be issued (aud).")),
    Part("ALGORITHMS", _("The only algorithm that is accepted. Without it a token could choose.")),
    Part("at+jwt", _("The kind of the token: an ID token is no access token.")),
)


def parts_of(kind: str) -> list[Part]:
    """The parts of a file, in the order of what happens to a request."""
    if kind == "backend":
        return list(BACKEND_PARTS)
    return [Part(LINES[name][kind], text) for name, text in TEXTS.items() if kind in LINES[name]]


def line_of(name: str, kind: str) -> str:
    """The line of a file that does something; "" for a proxy that needs none."""
    lines: Mapping[str, str] = LINES[name]
    return lines.get(kind, "")
