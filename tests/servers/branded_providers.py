"""Certified OpenID providers that look like Authentik, Microsoft and Cognito, in one process."""

import http.client
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devtools.servers.processes import ServerProcess, accepts_connections, free_port, program
from tests.servers.node import NODE_FOLDER

SECRET = "a secret: of/the+tests"
MOST_HOPS = 8


class BrandedProviders:
    """A provider of tests/node/signin.mjs. dress: "authentik", "azure" or "cognito"."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-providers-"))
        command = [program("node"), str(NODE_FOLDER / "signin.mjs"), str(self.port)]
        self.process = ServerProcess(command, self.folder / "log")
        self.process.wait_until(lambda: accepts_connections(self.port))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def person(self, dress: str, **claims: Any) -> None:
        """Set who signs in from now on; without claims, the user cancels."""
        self._control("person", {"dress": dress, "claims": claims or None})

    def rotate(self) -> None:
        """Replace the signing keys; tokens of the old ones become invalid."""
        self._control("rotate", {})

    def use_site(self, site: str) -> None:
        """Set the address of Gatehouse."""
        self._control("site", {"site": site})

    def visit(self, url: str) -> str:
        """Sign in at the provider as a browser does; returns the URL of the redirect back."""
        cookies: dict[str, str] = {}
        for _hop in range(MOST_HOPS):
            to = urlsplit(url)
            connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=20)
            line = "; ".join(f"{name}={value}" for name, value in cookies.items())
            connection.request("GET", f"{to.path}?{to.query}", headers={"Cookie": line})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert answer.status in (302, 303), (answer.status, body)
            for each in answer.headers.get_all("Set-Cookie") or ():
                name, _equals, value = each.partition(";")[0].partition("=")
                cookies[name] = value
            location = answer.headers["Location"]
            url = location if "://" in location else f"{self.origin}{location}"
            if not url.startswith(self.origin):
                return url
        raise AssertionError("the provider sends the browser round in circles")

    def _control(self, what: str, said: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", f"/control/{what}", json.dumps(said))
        assert connection.getresponse().status == 200
        connection.close()

    def stop(self) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
