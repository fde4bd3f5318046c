"""A Gatehouse as the internet sees it: behind a real proxy, in front of an app, with both names."""

import http.client
import itertools
import json
import os
import re
import secrets
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.servers.client import Answer, HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.fronts import FRONTS, PROXY, SITE, Proxy
from devtools.servers.gatehouse import Gatehouse
from tests.forward_auth.driver import Driver
from tests.forward_auth.echo import EchoApp
from tests.forward_auth.proxies import APP, STARTS, ProxiedApp, Reply
from tests.servers.mail import SMTPServer
from tests.servers.race import RaceRequest

__all__ = ["APP", "SITE", "RaceRequest", "Reply", "Site", "Visitor"]

URL = f"https://{SITE}"
PASSWORD = "correct horse battery staple"
SETTINGS = {
    "PUBLIC_URL": URL,
    "FORWARD_AUTH_DOMAIN": "example.com",
    "TRUSTED_PROXIES": PROXY,
    "EMAIL_FROM": "gate@example.com",
    # No test's attempts fall into two windows.
    "LOGIN_WINDOW": "1d",
}
# No two visitors share an address, and so no limit: all of 127.0.0.0/8 is this machine. A worker of
# the tests has a range of its own.
_numbers = itertools.count(1)


def new_address() -> str:
    """An address of this machine that no client has used yet."""
    number = next(_numbers)
    return f"127.{10 + os.getpid() % 200}.{number // 250}.{number % 250 + 2}"


class Visitor(HTTPClient):
    """A browser at the proxy, from an address of its own: get(), post(), request() of HTTPClient.

    headers: what send() says in each request. A connection is opened for each request: the proxies
    may close one that is idle.
    """

    def __init__(self, front: Proxy, address: str, cookies: dict[str, str] | None = None) -> None:
        super().__init__(URL, cookies)
        self.front, self.address = front, address
        self.headers: dict[str, str] = {}

    def connect(self) -> None:
        self.connection = http.client.HTTPConnection(SITE, timeout=30)
        self.connection.sock = self.socket()

    def socket(self) -> ssl.SSLSocket:
        """A TLS connection to the proxy on which anything may be written."""
        context = ssl.create_default_context(cafile=str(self.front.authority))
        plain = socket.create_connection((PROXY, self.front.port), 30, (self.address, 0))
        return context.wrap_socket(plain, server_hostname=SITE)

    def request(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        self.connect()
        try:
            # As browsers do: forms say where they come from.
            own = {"Origin": URL} if method == "POST" else {}
            return super().request(method, path, fields, {**own, **(headers or {})})
        finally:
            self.close()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As a program does: `body` as it is, or what it says as JSON, and no Origin."""
        text = json.dumps(body) if isinstance(body, Mapping) else body
        own = {"Content-Type": "application/json"} if text is not None else {}
        if self.cookies:
            own["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connect()
        try:
            self.connection.request(method, path, text, {**own, **self.headers, **(headers or {})})
            return self._read(self.connection.getresponse())
        finally:
            self.close()

    def raw(self, request: bytes) -> bytes:
        """Write these bytes; everything that comes back until the proxy closes or is silent."""
        with self.socket() as stream:
            stream.settimeout(10)
            stream.sendall(request)
            found = b""
            while part := _read(stream):
                found += part
            return found


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _read(stream: socket.socket) -> bytes:
    try:
        return stream.recv(65536)
    except (TimeoutError, ConnectionError, ssl.SSLError):
        return b""


@dataclass
class Site:
    """proxy: "nginx", "caddy", "haproxy"; database: "sqlite", "postgres".

    front: the proxy before Gatehouse, proxied_app: the one before the app, both as in
    deploy/. With several nodes, each has its own proxy in `fronts`.
    drive(code): runs code with Django over the data of the instance; see tests.forward_auth.driver.
    """

    proxy: str
    database: str
    data: InstanceData
    server: Gatehouse
    front: Proxy
    proxied_app: ProxiedApp
    app: EchoApp
    drive: Driver
    mail: SMTPServer
    fronts: tuple[Proxy, ...]
    _users: Any = field(default_factory=itertools.count)

    @classmethod
    def start(
        cls,
        proxy: str,
        data: InstanceData,
        folder: Path,
        mail: SMTPServer,
        *,
        nodes: int = 1,
        **settings: str,
    ) -> "Site":
        """Starts everything; stop() ends it. nodes: server processes over the same data."""
        mailing = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail.port)}
        server = Gatehouse(data, folder, nodes, {**SETTINGS, **mailing, **settings})
        app = EchoApp()
        (folder / "gate").mkdir()
        fronts = tuple(
            FRONTS[proxy](port, _made(folder / f"front-{number}"))
            for number, port in enumerate(server.ports)
        )
        proxied_app = STARTS[proxy](f"127.0.0.1:{server.ports[0]}", app.port, folder / "gate")
        drive = Driver(data, **SETTINGS, **settings)
        return cls(proxy, data.kind, data, server, fronts[0], proxied_app, app, drive, mail, fronts)

    def stop(self) -> None:
        self.drive.stop()
        self.proxied_app.process.stop()
        for front in self.fronts:
            front.process.stop()
        self.app.stop()
        self.server.stop()

    def visitor(self, cookies: Mapping[str, str] | None = None, node: int = 0) -> Visitor:
        """A client with an address of its own."""
        return Visitor(self.fronts[node], new_address(), dict(cookies or {}))

    def user(self, role: str = "viewer", **fields: Any) -> str:
        """A new account with a verified address and PASSWORD; its address."""
        email = f"{role}-{next(self._users)}-{secrets.token_hex(4)}@example.com"
        self.drive(
            f"user = person({email.partition('@')[0]!r}, {role!r})\n"
            f"user.set_password({PASSWORD!r})\n"
            + "".join(f"user.{name} = {value!r}\n" for name, value in fields.items())
            + "user.save()"
        )
        return email

    def signed_in(self, email: str, password: str = PASSWORD) -> Visitor:
        """A browser in which this account has signed in by the form."""
        visitor = self.visitor()
        visitor.get("/sign-in")
        answer = visitor.post("/sign-in", {"login": email, "password": password})
        assert answer.status == 302, answer.text
        return visitor

    def api_key(self, email: str, scopes: tuple[str, ...] = ("read", "write")) -> str:
        """The text of a new key of this account."""
        return str(
            self.drive(
                f"user = User.objects.get(email={email!r})\nresult = made(user).text\n"
                f"ApiKey.objects.filter(user=user).update(scopes={list(scopes)!r})"
            )
        )

    def at_app(self, visitor: Visitor) -> dict[str, str]:
        """The Cookie header that this browser sends to apps of the domain."""
        names = [name for name in visitor.cookies if re.search("gatehouse_gate", name)]
        return {"Cookie": "; ".join(f"{name}={visitor.cookies[name]}" for name in names)}
