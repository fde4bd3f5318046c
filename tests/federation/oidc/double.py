"""A test double for behaviour that a certified provider never shows."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from tests.api.external_jwt.providers import DISCOVERY, Provider, SigningKey, _Handler, send_json

CLIENT = "gate"
CODE = "a-good-code"


class _DoubleHandler(_Handler):
    server: "Double"

    def do_POST(self) -> None:  # noqa: N802
        length = int(self.headers.get("Content-Length", 0))
        form = {
            name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()
        }
        self.server.posted.append((self.path, form, self.headers.get("Authorization", "")))
        self.do_GET()


class Double(Provider):
    """A whole provider at `/`; each part of it can be changed. nonce: what the next ID token says.

    posted: (path, form, Authorization) of each POST.
    """

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = _DoubleHandler
        self.posted: list[tuple[str, dict[str, str], str]] = []
        self.nonce = ""
        self.describe()
        self.give()

    def describe(self, **changes: Any) -> None:
        """The discovery document from now on; a change to None takes a part away."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
            "id_token_signing_alg_values_supported": ["RS256"],
            **changes,
        }
        self.routes[DISCOVERY] = {name: part for name, part in document.items() if part is not None}

    def id_token(self, key: SigningKey | None = None, **changes: Any) -> str:
        """The ID token of Nora, with changed claims."""
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "nora",
            "email": "nora@example.com",
            "email_verified": True,
            "name": "Nora",
            "nonce": self.nonce,
            "scope": None,
            **changes,
        }
        return self.token(key=key, **claims)

    def give(self, make: Callable[[], Any] | None = None, status: int = 200) -> None:
        """What the token endpoint answers from now on; `make` is called when it is asked."""
        make = make or (lambda: {"id_token": self.id_token(), "access_token": "opaque"})

        def answer(handler: BaseHTTPRequestHandler) -> None:
            body = json.dumps(make()).encode()
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.routes["/token"] = answer


__all__ = ["CLIENT", "CODE", "DISCOVERY", "Double", "SigningKey", "send_json"]
