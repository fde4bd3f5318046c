"""A test provider that publishes what a test defines, and counts requests."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from accounts.models import User
from api.external_jwt.policy import Policy
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims, ExternalToken, Verifier
from federation.oidc.keys import FetchedKeys

AUDIENCE = "gate"
_RS256 = jwt.get_algorithm_by_name("RS256")
DISCOVERY = "/.well-known/openid-configuration"


@cache
def _usual_key() -> rsa.RSAPrivateKey:
    """One for all providers, because making one takes a while."""
    return rsa.generate_private_key(65537, 2048)


class SigningKey:
    """A private key with the entry under which its public half is published."""

    def __init__(self, key: Any = None, algorithm: str = "RS256", kid: str | None = None) -> None:
        self.private = key or rsa.generate_private_key(65537, 2048)
        self.algorithm = algorithm
        self.kid = kid or uuid4().hex

    @property
    def jwk(self) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        public = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}


def b64(value: Any) -> str:
    """A part of a token: an object as JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


Route = Callable[[BaseHTTPRequestHandler], None]


class _Handler(BaseHTTPRequestHandler):
    server: "Provider"

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        route = self.server.routes.get(self.path)
        try:
            if route is None:
                self.send_error(404)
            elif callable(route):
                route(self)
            else:
                send_json(self, route)
        except OSError:
            self.close_connection = True  # the reader has had enough

    def log_message(self, *_arguments: object) -> None:
        """Say nothing on the terminal of the tests."""


def send_json(handler: BaseHTTPRequestHandler, value: Any) -> None:
    """Answer with `value` as JSON."""
    body = json.dumps(value).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Provider(ThreadingHTTPServer):
    """routes: what each path answers, a value as JSON or a function; asked: how often each was."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.routes: dict[str, Any] = {}
        self.key = SigningKey(_usual_key())
        self.publish(self.key)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def publish(self, *keys: SigningKey) -> None:
        """The key set from now on."""
        self.routes[DISCOVERY] = {"issuer": f"{self.issuer}/", "jwks_uri": f"{self.issuer}/jwks"}
        self.routes["/jwks"] = {"keys": [key.jwk for key in keys]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a right access token; a change to None takes one away."""
        now = int(time.time())
        claims = {
            "iss": f"{self.issuer}/",
            "sub": "anna",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 600,
            "scope": "openid",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, headers: dict[str, Any] | None = None, key: SigningKey | None = None, **changes: Any
    ) -> str:
        """A token with these headers and changed claims, signed by `key` or the provider's own."""
        signer = key or self.key
        kid = {"kid": signer.kid, **(headers or {})}
        return jwt.encode(self.claims(**changes), signer.private, signer.algorithm, headers=kid)

    def craft(
        self, header: dict[str, Any] | None = None, payload: bytes | dict | None = None
    ) -> str:
        """A token of exactly this header and payload, with the right signature by RS256."""
        payload = self.claims() if payload is None else payload
        header = {"alg": "RS256", "kid": self.key.kid} if header is None else header
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64(_RS256.sign(signed.encode(), self.key.private))}"

    def verifier(
        self,
        clock: Callable[[], float] = time.monotonic,
        algorithms: Iterable[str] = ("RS256",),
        **fields: Any,
    ) -> "ReadingVerifier":
        """A verifier of this provider's tokens."""
        policy = Policy((self.issuer,), (AUDIENCE, "other"), tuple(algorithms), **fields)
        keys = FetchedKeys(self.issuer, policy.jwks_url, clock=clock)
        return ReadingVerifier(policy, {self.issuer: keys})

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ReadingVerifier(Verifier):
    """A verifier with what a token class does after it."""

    def verify(self, token: str) -> ExternalClaims:
        """What a token says that meets the policy."""
        return ExternalClaims.read(self.decode(token))


def authenticate(token: str) -> tuple[User, ExternalClaims]:
    """The user of a token, by the policy of the settings, and what the token says."""
    claims = ExternalToken.read(token).claims
    return find_or_create_user(claims), claims
