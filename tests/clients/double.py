"""A Gatehouse of the tests: signs every token that they want, and answers questions wrongly."""

import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

APP = "https://app.example.com"
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
STRANGER = ec.generate_private_key(ec.SECP256R1())
KEY_OF_ANOTHER_KIND = {"kty": "OKP", "crv": "Ed448", "kid": "x", "alg": "EdDSA", "use": "sig"}


def key_set() -> list[dict[str, Any]]:
    """The published keys; the id of each is its algorithm."""
    found = [
        ECAlgorithm.to_jwk(KEYS["ES256"].public_key(), as_dict=True),
        RSAAlgorithm.to_jwk(KEYS["RS256"].public_key(), as_dict=True),
    ]
    return [
        KEY_OF_ANOTHER_KIND,
        *(
            {**key, "kid": alg, "alg": alg, "use": "sig"}
            for key, alg in zip(found, KEYS, strict=True)
        ),
    ]


class Double(ThreadingHTTPServer):
    """`answers`: to questions about a credential, as (status, body). `asked`: all credentials."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.has_keys = True
        Thread(target=self.serve_forever, daemon=True).start()

    def token(
        self, alg: str = "ES256", *, signer: Any = None, header: Any = None, **more: Any
    ) -> str:
        """A right Remote-Token, but for what is given. A claim that is None is left out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": APP, "sub": "edith", "role": "editor", "iat": now,
                  "exp": now + 60, "jti": "one", **more}  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"typ": "fa+jwt", "kid": alg, **(header or {})}
        return jwt.encode(claims, signer or KEYS[alg], alg, headers=headers)

    def wrong_tokens(self, **right: Any) -> dict[str, str]:
        """Tokens that no backend may accept, by what is wrong. right: of a right one."""
        header = right.pop("header", {})
        public = (
            KEYS["ES256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        good = self.token(header=header, **right)
        head, body, signature = good.split(".")
        owner = self.token(header=header, **{**right, "role": "owner"})
        as_secret = f"{self._head(header, 'HS256')}.{body}"
        mac = hmac.digest(public, as_secret.encode(), "sha256")
        return {
            "nothing": "",
            "no token": "x",
            "no signature": f"{head}.{body}.",
            "half a signature": f"{head}.{body}.{signature[:43]}",
            "another body": f"{head}.{owner.split('.')[1]}.{signature}",
            "one part more": f"{good}.{signature}",
            "a stranger's key": self.token(signer=STRANGER, header=header, **right),
            "no algorithm": f"{self._head(header, 'none')}.{body}.",
            "the public key as a secret": f"{as_secret}.{base64url_encode(mac).decode()}",
            "an unknown key": self.token(header={**header, "kid": "other"}, **right),
            "the key of another algorithm": self.token(header={**header, "kid": "RS256"}, **right),
            "another type": self.token(header={**header, "typ": "JWT"}, **right),
            "no type": self.token(header={**header, "typ": None}, **right),
            "expired": self.token(header=header, **{**right, "exp": int(time.time()) - 1}),
            "no end": self.token(header=header, **{**right, "exp": None}),
            "another issuer": self.token(header=header, **{**right, "iss": f"{self.url}/"}),
            "no issuer": self.token(header=header, **{**right, "iss": None}),
            "another audience": self.token(
                header=header, **{**right, "aud": f"{APP}.evil.example"}
            ),
            "no audience": self.token(header=header, **{**right, "aud": None}),
            "nobody": self.token(header=header, **{**right, "sub": None}),
        }

    def _head(self, header: Any, alg: str) -> str:
        found = {"typ": "fa+jwt", "kid": "ES256", **header, "alg": alg}
        return base64url_encode(json.dumps(found).encode()).decode()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Double
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # Where a redirect leads: an answer that would let everybody in.
        found = {"keys": key_set()} if self.path.endswith("jwks.json") else ANYBODY
        self._answer(200 if self.server.has_keys else 503, json.dumps(found))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (credential,) = form["token"]
        self.server.asked.append(credential)
        status, body = self.server.answers[credential]
        self._answer(status, body if isinstance(body, str) else json.dumps(body))

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/anybody")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


ANYBODY = {"active": True, "token_type": "api_key", "sub": "anybody", "role": "owner"}
