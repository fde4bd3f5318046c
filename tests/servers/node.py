"""A certified OpenID provider that runs in Node."""

import base64
import hashlib
import http.client
import json
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from devtools.servers.processes import ROOT, ServerProcess, accepts_connections, free_port, program

NODE_FOLDER = ROOT / "tests" / "node"
RESOURCE = "https://gatehouse.test"
REDIRECTS = (302, 303)


class OpenIDProvider:
    """npm's oidc-provider. Its access tokens are JWTs for RESOURCE; rotate() replaces its keys."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-provider-"))
        command = [program("node"), str(NODE_FOLDER / "provider.mjs"), str(self.port)]
        self.process = ServerProcess(command, self.folder / "log")
        self.process.wait_until(lambda: accepts_connections(self.port))

    @property
    def issuer(self) -> str:
        """The value for AUTH_JWT_ISSUER."""
        return f"http://127.0.0.1:{self.port}"

    def rotate(self, *, keep: bool) -> list[str]:
        """Sign with a new key. keep: publish the old ones, too. Returns all kids, newest first."""
        body = json.dumps({"keep": keep})
        return self._ask("POST", "/control/rotate", body)["kids"]

    def fetched(self, path: str = "/jwks") -> int:
        """The number of requests for this path."""
        return int(self._ask("GET", "/control/fetched")["fetched"].get(path, 0))

    def robot_token(self) -> str:
        """An access token by client_credentials: the client is the subject."""
        basic = base64.b64encode(b"robot:a+secret+of+the+tests").decode()
        form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "api:read"}
        return self._post_token(form, {"Authorization": f"Basic {basic}"})["access_token"]

    def sign_in(self, user: str) -> dict[str, str]:
        """The code flow with PKCE and a nonce, as `person`: access_token and id_token."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "client_id": "page",
            "response_type": "code",
            "redirect_uri": f"{self.issuer}/back",
            "scope": "openid email profile api:read",
            "resource": RESOURCE,
            "nonce": secrets.token_urlsafe(8),
            "login_hint": user,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        code = self._follow(f"/auth?{urlencode(query)}")
        return self._post_token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": query["redirect_uri"],
                "client_id": "page",
                "code_verifier": verifier,
                "resource": RESOURCE,
            }
        )

    def _follow(self, path: str) -> str:
        """Follow the provider's redirects with its cookies until it returns a code."""
        cookies: dict[str, str] = {}
        for _ in range(6):
            status, headers, body = self._call("GET", path, headers=_cookie_header(cookies))
            assert status in REDIRECTS, (status, body)
            for line in headers.get_all("Set-Cookie") or ():
                name, _equals, value = line.partition(";")[0].partition("=")
                cookies[name] = value
            to = urlsplit(headers["Location"])
            if to.path == "/back":
                return parse_qs(to.query)["code"][0]
            path = f"{to.path}?{to.query}" if to.query else to.path
        raise AssertionError("the provider sends the browser round in circles")

    def _post_token(
        self, form: dict[str, str], headers: dict[str, str] | None = None
    ) -> dict[str, str]:
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        status, _headers, body = self._call("POST", "/token", urlencode(form), sent)
        assert status == 200, body
        return json.loads(body)

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        return json.loads(self._call(method, path, body)[2])

    def _call(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def stop(self) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _cookie_header(cookies: dict[str, str]) -> dict[str, str]:
    line = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return {"Cookie": line} if line else {}
