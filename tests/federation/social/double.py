"""Social providers as one small server: consent page, token, profile, Apple's keys.

It checks what the real ones check: client, redirect address, each code once, PKCE, Apple's signed
client secret. What a person has there, and what goes wrong, a test sets. The settings INTERNAL_URLS
lead requests for their public addresses here; the Host header says whom they are for.
"""

import base64
import copy
import hashlib
import hmac
import html
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from allauth.socialaccount.providers.facebook.constants import GRAPH_API_VERSION
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.federation.social.vendors import VENDORS

APPLE = "https://appleid.apple.com"
# (host, path) -> what it is.
ADDRESSES = {
    ("accounts.google.com", "/o/oauth2/v2/auth"): "/google/authorize",
    ("oauth2.googleapis.com", "/token"): "/google/token",
    ("www.googleapis.com", "/oauth2/v2/userinfo"): "/google/profile",
    ("github.com", "/login/oauth/authorize"): "/github/authorize",
    ("github.com", "/login/oauth/access_token"): "/github/token",
    ("api.github.com", "/user"): "/github/profile",
    ("api.github.com", "/user/emails"): "/github/emails",
    ("discord.com", "/api/oauth2/authorize"): "/discord/authorize",
    ("discord.com", "/api/oauth2/token"): "/discord/token",
    ("discord.com", "/api/users/@me"): "/discord/profile",
    ("www.facebook.com", f"/{GRAPH_API_VERSION}/dialog/oauth"): "/facebook/authorize",
    ("graph.facebook.com", f"/{GRAPH_API_VERSION}/oauth/access_token"): "/facebook/token",
    ("graph.facebook.com", f"/{GRAPH_API_VERSION}/me"): "/facebook/profile",
    ("appleid.apple.com", "/auth/authorize"): "/apple/authorize",
    ("appleid.apple.com", "/auth/token"): "/apple/token",
    ("appleid.apple.com", "/auth/keys"): "/apple/keys",
    **{
        address: f"/{kind}/{what}"
        for kind, vendor in VENDORS.items()
        for what, address in vendor.addresses.items()
    },
}
# Paths of a GitHub Enterprise server.
ENTERPRISE = {
    "/login/oauth/authorize": "/github/authorize",
    "/login/oauth/access_token": "/github/token",
    "/api/v3/user": "/github/profile",
    "/api/v3/user/emails": "/github/emails",
}
# Reddit wants one that names the library.
AGENTS = ("Gatehouse", "django-allauth-header")
WITHOUT_PKCE = ("facebook", "apple", "linkedin_oauth2", "notion")
USERS = {
    "google": {"id": "g-1", "email": "anna@example.org", "verified_email": True, "name": "Anna G"},
    "facebook": {"id": "f-1", "email": "anna@example.org", "name": "Anna F"},
    "github": {"id": 4711, "login": "anna", "name": "Anna H", "email": None},
    "discord": {
        "id": "80351110224678912",
        "username": "anna",
        "global_name": "Anna D",
        "email": "anna@example.org",
        "verified": True,
    },
    "apple": {"sub": "001.a.1", "email": "anna@example.org", "email_verified": "true"},
}
EMAILS = [
    {"email": "other@example.org", "primary": False, "verified": True},
    {"email": "anna@example.org", "primary": True, "verified": True},
]


class SocialDouble:
    """`url` is its address. Every attribute below may be changed by a test; reset() undoes it."""

    def __init__(self) -> None:
        self.team_key = ec.generate_private_key(ec.SECP256R1())
        self.apple_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.reset()
        double = self

        class Handler(_Handler):
            provider = double

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def reset(self) -> None:
        """users: kind -> profile. answers: path -> (status, body) instead of the right answer.

        documents: path -> answer of other vendors. claims: more of Apple's ID token.
        apple_user: the form's `user`, told once.
        """
        self.users: dict[str, dict[str, Any]] = {kind: dict(user) for kind, user in USERS.items()}
        self.emails: Any = [dict(email) for email in EMAILS]
        self.documents = {
            f"/{kind}/{what}": copy.deepcopy(document)
            for kind, vendor in VENDORS.items()
            for what, document in vendor.documents.items()
        }
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.claims: dict[str, Any] = {}
        self.signing_key: Any = self.apple_key
        self.apple_user: dict[str, Any] = {"name": {"firstName": "Anna", "lastName": "A"}}
        self.codes: dict[str, tuple[str, dict[str, str]]] = {}
        self.tokens: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.wait = threading.Event()
        self.wait.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def internal_urls(self) -> dict[str, str]:
        """PROVIDER_INTERNAL_URLS that lead to this server."""
        return {f"https://{host}": self.url for host, _path in ADDRESSES}

    def options(self, kind: str) -> dict[str, str]:
        """Provider.options."""
        return {"KEY": "TEAM", "certificate_key": self.team_pem} if kind == "apple" else {}

    @property
    def team_pem(self) -> str:
        pem = self.team_key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        )
        return pem.decode()

    def agree(self, url: str) -> tuple[str, dict[str, str]]:
        """Say yes on the page at `url`: (callback address, its parameters)."""
        parts = urlsplit(url)
        kind = usual_path(parts.netloc, parts.path).split("/")[1]
        query = dict(parse_qsl(parts.query))
        _check_request(kind, query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = (kind, query)
        answer = {"code": code, "state": query["state"]}
        if kind == "apple":
            answer["user"] = json.dumps(self.apple_user)
        # Notion takes the registered one.
        return query.get("redirect_uri", f"http://localhost:8000/oauth/{kind}/callback"), answer

    def trade(self, kind: str, form: dict[str, str]) -> dict[str, Any]:
        """The token endpoint. A refusal is an OAuth error."""
        issued, query = self.codes.pop(form.get("code", ""), ("", {}))
        checks = (
            issued == kind,
            form.get("grant_type") == "authorization_code",
            form.get("client_id") == query.get("client_id") == f"client-{kind}",
            form.get("redirect_uri") == query.get("redirect_uri"),
            self._proves_client(kind, form.get("client_secret", "")),
            _proves_browser(query, form.get("code_verifier", "")),
        )
        if not all(checks):
            return {"error": "invalid_grant", "error_description": "a secret thing"}
        token = secrets.token_urlsafe(16)
        self.tokens[token] = kind
        answer: dict[str, Any] = {"access_token": token, "token_type": "bearer"}
        if kind == "apple":
            answer["id_token"] = self.id_token(query["nonce"], token)
        return answer | self.documents.get(f"/{kind}/token", {})

    def id_token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {"iss": APPLE, "aud": "client-apple", "iat": now, "exp": now + 600, "nonce": nonce}
        claims["at_hash"] = base64.urlsafe_b64encode(half).decode().rstrip("=")
        claims |= self.users["apple"] | self.claims
        return jwt.encode(claims, self.signing_key, "RS256", {"kid": "apple-1"})

    def _proves_client(self, kind: str, secret: str) -> bool:
        if kind != "apple":
            return hmac.compare_digest(secret, f"secret-{kind}")
        claims = jwt.decode(secret, self.team_key.public_key(), ["ES256"], audience=APPLE)
        header = jwt.get_unverified_header(secret)
        return (claims["iss"], claims["sub"], header["kid"]) == ("TEAM", "client-apple", "KEY")

    def stop(self) -> None:
        self.wait.set()
        self.server.shutdown()
        self.server.server_close()


def _check_request(kind: str, query: dict[str, str]) -> None:
    assert query["response_type"] == "code"
    assert query["client_id"] == f"client-{kind}"
    assert len(query["state"]) >= 43
    if kind in WITHOUT_PKCE:
        assert "code_challenge" not in query
    else:
        assert query["code_challenge_method"] == "S256"
    if kind == "apple":
        assert query["response_mode"] == "form_post"


def _proves_browser(query: dict[str, str], verifier: str) -> bool:
    if "code_challenge" not in query:
        return not verifier
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]


class _Handler(BaseHTTPRequestHandler):
    provider: SocialDouble

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        is_json = self.headers.get("Content-Type") == "application/json"
        self._serve(json.loads(body) if is_json else dict(parse_qsl(body)))

    def _serve(self, form: dict[str, str]) -> None:
        double, parts = self.provider, urlsplit(self.path)
        path = usual_path(self.headers["Host"], parts.path)
        form = {**(form or dict(parse_qsl(parts.query))), **self._basic()}
        double.asked.append((path, form))
        double.wait.wait(30)
        if path in double.answers:
            self._send(*double.answers[path])
            return
        kind, _, what = ENTERPRISE.get(path, path)[1:].partition("/")
        if what == "authorize":
            self._consent(kind)
        elif what == "token":
            answer = double.trade(kind, form)
            # GitHub answers its errors with 200.
            status = 400 if "error" in answer and kind != "github" else 200
            self._send(status, json.dumps(answer).encode())
        elif what == "keys":
            self._send(200, self._keys())
        else:
            self._profile(kind, what, parse_qs(parts.query))

    def _basic(self) -> dict[str, str]:
        """The client's id and secret, of those who send them in the header."""
        method, _, value = self.headers.get("Authorization", "").partition(" ")
        if method != "Basic":
            return {}
        client, _, secret = base64.b64decode(value).decode().partition(":")
        return {"client_id": client, "client_secret": secret}

    def _profile(self, kind: str, what: str, query: dict[str, list[str]]) -> None:
        double = self.provider
        header = self.headers.get("Authorization", "").rpartition(" ")[2]
        token = query.get("access_token", [header])[0]
        if double.tokens.get(token) != kind or self.headers["User-Agent"] not in AGENTS:
            self._send(401, b"{}")
        elif kind == "facebook" and query["appsecret_proof"] != [_proof(token)]:
            self._send(400, b"{}")
        else:
            usual = double.emails if what == "emails" else double.users.get(kind)
            found = double.documents.get(f"/{kind}/{what}", usual)
            self._send(200, json.dumps(found).encode())

    def _consent(self, kind: str) -> None:
        """A page with two buttons, as people see it there."""
        to, answer = self.provider.agree(self.path)
        no = {"error": "access_denied", "state": answer["state"]}
        method = "post" if kind == "apple" else "get"
        forms = "".join(
            f"<form method={method} action='{html.escape(to)}'>{_hidden(fields)}"
            f"<button>{text}</button></form>"
            for text, fields in (("Allow", answer), ("Deny", no))
        )
        page = f"<!doctype html><title>Consent</title><h1>Let Gatehouse know you?</h1>{forms}"
        self._send(200, page.encode(), "text/html; charset=utf-8")

    def _keys(self) -> bytes:
        public = self.provider.apple_key.public_key()
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
        return json.dumps({"keys": [{**jwk, "kid": "apple-1", "alg": "RS256"}]}).encode()

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", body.decode())
            body = b""
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Quiet."""


def usual_path(host: str, path: str) -> str:
    """`/kind/what` of a public address; other paths stay."""
    return ADDRESSES.get((host, path), path)


def _proof(token: str) -> str:
    return hmac.new(b"secret-facebook", token.encode(), hashlib.sha256).hexdigest()


def _hidden(fields: dict[str, str]) -> str:
    return "".join(
        f"<input type=hidden name={name} value='{html.escape(value)}'>"
        for name, value in fields.items()
    )
