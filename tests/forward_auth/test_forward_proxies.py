"""The shipped examples of forward auth: real proxies, a real Gatehouse, an app that echoes."""

import http.client
import json
import os
import re
import resource
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse
from tests.forward_auth.echo import EchoApp
from tests.forward_auth.proxies import APP, STARTS, ProxiedApp, Reply
from tests.forward_auth.relay import Relay
from tests.servers.http2 import ask_http2

SITE = "https://gate.example.com"
CHALLENGE = 'Basic realm="Gatehouse", charset="UTF-8", Bearer'
PASSWORD = "correct horse battery staple"
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
SETTINGS = {
    "PUBLIC_URL": SITE,
    "FORWARD_AUTH_DOMAIN": "example.com",
    "TRUSTED_PROXIES": "127.0.0.1",
    "LOGIN_MAX": "1000",
}
USERS = """
from django.utils import timezone
from accounts.models import User
from forward_auth.models import AccessRule
for role, name in [("viewer", "Vera Müller"), ("editor", ""), ("none", "Nora"), ("admin", "Ada")]:
    user = User(email=f"{role}@example.com", role=role, name=name)
    user.set_password("correct horse battery staple")
    user.email_verified_at = timezone.now()
    user.save(force_insert=True)
host = "app.example.com"
AccessRule.objects.create(position=1, name="open", effect="public", host=host, path="/open")
AccessRule.objects.create(position=2, name="shut", effect="deny", host=host, path="/shut")
AccessRule.objects.create(position=3, name="inside", effect="public", host=host, path="/inside",
                          networks=["10.0.0.0/8"])
"""
BAN = """
from django.utils import timezone
from accounts.models import User
from moderation.models import Ban
user = User.objects.get(email="admin@example.com")
Ban.objects.create(user=user, kind="manual", created_at=timezone.now())
"""
Cookies = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def data(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> InstanceData:
    found = data_templates.fresh("sqlite", tmp_path_factory.mktemp("data"))
    found.shell(USERS)
    return found


@pytest.fixture(scope="module")
def server(data: InstanceData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    running = Gatehouse(data, tmp_path_factory.mktemp("gatehouse"), 1, SETTINGS)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def app() -> Iterator[EchoApp]:
    running = EchoApp()
    yield running
    running.stop()


@pytest.fixture(scope="module", params=list(STARTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def proxied_app(
    kind: str, server: Gatehouse, app: EchoApp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxiedApp]:
    folder = tmp_path_factory.mktemp(kind)
    running = STARTS[kind](f"127.0.0.1:{server.ports[0]}", app.port, folder)
    yield running
    running.process.stop()


@pytest.fixture(scope="module")
def cookies(server: Gatehouse) -> Cookies:
    """cookies("viewer") -> what the browser of that person sends to hosts of the domain."""
    known: dict[str, dict[str, str]] = {}

    def of(role: str) -> dict[str, str]:
        if role not in known:
            known[role] = {"Cookie": f"__Secure-gatehouse_gate={forward_auth_cookie(server, role)}"}
        return known[role]

    return of


def forward_auth_cookie(server: Gatehouse, role: str) -> str:
    """Signs in by the form of the sign-in page."""
    browser = server.client()
    browser.get("/sign-in")
    answer = browser.post("/sign-in", {"login": f"{role}@example.com", "password": PASSWORD})
    assert answer.status == 302, answer.text
    (line,) = [line for line in answer.set_cookies if "gatehouse_gate" in line]
    assert "Domain=example.com" in line
    assert "Secure" in line
    return re.split("[=;]", line)[1]


def test_a_user_is_allowed_and_the_app_gets_their_identity(
    proxied_app: ProxiedApp, cookies: Cookies
) -> None:
    reply = proxied_app.ask("/board?a=1&b=%20", cookies("viewer"))

    assert (reply.status, reply.echo["method"], reply.echo["path"]) == (
        200,
        "GET",
        "/board?a=1&b=%20",
    )
    assert reply.sent("Remote-User") == ["viewer@example.com"]
    assert reply.sent("Remote-Email") == ["viewer@example.com"]
    assert reply.sent("Remote-Groups") == ["viewer"]
    assert reply.sent("Remote-Name")[0].encode("latin-1").decode() == "Vera Müller"
    assert len(reply.sent("Remote-Id")[0]) == 36


def test_a_browser_without_a_session_goes_to_the_sign_in_page(
    proxied_app: ProxiedApp, app: EchoApp
) -> None:
    before = app.seen
    reply = proxied_app.ask("/board?a=1", PAGE)
    place = urlsplit(reply.headers["location"])

    assert reply.status == 302
    assert f"{place.scheme}://{place.netloc}{place.path}" == f"{SITE}/sign-in"
    assert parse_qs(place.query) == {"next": [f"https://{APP}/board?a=1"]}
    assert app.seen == before


@pytest.mark.parametrize("kind_of_link", ["ascii", "escapes"])
def test_a_link_of_eight_kilobytes_survives(
    proxied_app: ProxiedApp, cookies: Cookies, kind_of_link: str
) -> None:
    room = 8192 - len(f"https://{APP}/?q=")
    text = "x" * room if kind_of_link == "ascii" else "%C3%BC" * (room // 6)
    path = f"/?q={text}"
    reply = proxied_app.ask(path, PAGE)

    assert reply.status == 302
    assert parse_qs(urlsplit(reply.headers["location"]).query) == {"next": [f"https://{APP}{path}"]}
    assert proxied_app.ask(path, cookies("viewer")).echo["path"] == path


def test_a_program_without_a_credential_gets_401(proxied_app: ProxiedApp, app: EchoApp) -> None:
    before = app.seen
    reply = proxied_app.ask("/board", {"Accept": "application/json"})

    assert (reply.status, reply.headers["www-authenticate"]) == (401, CHALLENGE)
    assert json.loads(reply.text)["code"] == "not_authenticated"
    assert app.seen == before


def test_a_denied_user_gets_the_page_with_a_reference(
    proxied_app: ProxiedApp, cookies: Cookies, app: EchoApp
) -> None:
    before = app.seen
    reply = proxied_app.ask("/board", {**PAGE, **cookies("none")})

    assert reply.status == 403
    assert "You don't have access to this page" in reply.text
    assert re.search(r"<strong>[2-9A-Z]{8}</strong>", reply.text)
    assert app.seen == before


def test_a_denied_program_gets_403_and_the_reference(
    proxied_app: ProxiedApp, cookies: Cookies
) -> None:
    reply = proxied_app.ask("/board", {"Accept": "application/json", **cookies("none")})

    assert (reply.status, json.loads(reply.text)["code"]) == (403, "forbidden")
    assert re.fullmatch("[2-9A-Z]{8}", reply.headers["x-gatehouse-reference"])


def test_a_writing_method_needs_a_higher_role(proxied_app: ProxiedApp, cookies: Cookies) -> None:
    by_viewer = proxied_app.ask("/board", cookies("viewer"), "POST", b"x=1")
    by_editor = proxied_app.ask("/board", cookies("editor"), "POST", b"x=1")

    assert by_viewer.status == 403
    assert (by_editor.status, by_editor.echo["method"], by_editor.echo["length"]) == (
        200,
        "POST",
        3,
    )


def test_a_banned_user_is_denied_without_identity_headers(
    proxied_app: ProxiedApp, server: Gatehouse, data: InstanceData, app: EchoApp
) -> None:
    """A053."""
    cookie = {"Cookie": f"__Secure-gatehouse_gate={forward_auth_cookie(server, 'admin')}"}
    assert proxied_app.ask("/", cookie).status == 200
    data.shell(BAN)
    before = app.seen
    reply = proxied_app.ask("/", {"Accept": "application/json", **cookie})
    data.shell("from moderation.models import Ban; Ban.objects.all().delete()")

    assert reply.status == 401
    assert [name for name in reply.headers if name.startswith("remote-")] == []
    assert app.seen == before


SPOOFED = {
    "Remote-User": "owner@example.com", "Remote_User": "owner@example.com",
    "remote.user": "owner@example.com", "Remote-Email": "",
    "Remote-Groups": "owner", "Remote_Groups": "owner", "Remote.Groups": "owner",
    "Remote-Id": "1", "Remote-Name": "Olga", "Remote-Token": "a.b.c", "Remote_Token": "a.b.c",
    "X-Remote-User": "owner", "X-Auth-User": "owner", "X-Auth-Roles": "owner",
    "X-Auth-Request-User": "owner", "X_Auth_User": "owner", "X-Forwarded-User": "owner",
    "X-Webauth-User": "owner", "X-Webauth-Role": "owner", "X-Auth-Username": "owner",
    "X-Auth-Request-Preferred-Username": "owner", "X-Forwarded-Preferred-Username": "owner",
    "X-Forwarded-Access-Token": "owner", "X-Authenticated-User": "owner", "X-User": "owner",
    "Auth-User": "owner",
}  # fmt: skip
IDENTITY = ("Remote-User", "Remote-Email", "Remote-Groups", "Remote-Id")


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_identity_headers_of_a_client_never_reach_the_app(
    proxied_app: ProxiedApp, cookies: Cookies, role: str
) -> None:
    """A141."""
    plain = proxied_app.ask("/", cookies(role))
    reply = proxied_app.ask("/", {**SPOOFED, **cookies(role)})

    assert {name: reply.sent(name) for name in SPOOFED} == {
        name: plain.sent(name) for name in SPOOFED
    }
    assert reply.sent("Remote-User") == [f"{role}@example.com"]
    assert "owner" not in reply.text


@pytest.mark.parametrize("connection", [", ".join(IDENTITY), "keep-alive, Remote-User"])
def test_a_client_cannot_remove_its_identity_headers(
    proxied_app: ProxiedApp, cookies: Cookies, connection: str
) -> None:
    """RFC 9110, 7.6.1: a proxy drops what Connection names, be it set by an answer of ours."""
    plain = proxied_app.ask("/", cookies("viewer"))
    reply = proxied_app.ask("/", {"Connection": connection, **cookies("viewer")})

    assert {name: reply.sent(name) for name in IDENTITY} == {
        name: plain.sent(name) for name in IDENTITY
    }
    assert reply.sent("Remote-User") == ["viewer@example.com"]


def test_a_public_path_gets_no_identity_of_an_earlier_request(proxied_app: ProxiedApp) -> None:
    """A141: on an open path there is no identity, so what the client sent would stand alone."""
    reply = proxied_app.ask("/open/x", SPOOFED)

    assert reply.status == 200
    assert {name: "".join(reply.sent(name)) for name in SPOOFED} == dict.fromkeys(SPOOFED, "")


def test_an_empty_name_is_not_replaced_by_an_earlier_one(
    proxied_app: ProxiedApp, cookies: Cookies
) -> None:
    reply = proxied_app.ask("/", {"Remote-Name": "Olga Owner", **cookies("editor")})

    assert "".join(reply.sent("Remote-Name")) == ""


TRICKS = [
    "/open/../board", "/open/%2e%2e/board", "/open;/../board", "//open/x", "/open%2f..%2fboard",
    "/board?x=/open/", "/board#/open/", "/open\\..\\board", "/%2e/open/../board",
    "/open/..;/board", "/openly", "/open%00/board",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_a_crafted_path_does_not_reach_another(
    proxied_app: ProxiedApp, app: EchoApp, path: str
) -> None:
    """A139: a path that two servers could read differently fits no open rule."""
    before = app.seen

    # 401; some proxies refuse some of them themselves with 400.
    assert raw_status(proxied_app, path)[0] == "4"
    assert app.seen == before


def raw_status(proxied_app: ProxiedApp, path: str) -> str:
    """The status for a path that http.client would not send."""
    with proxied_app.connect() as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: {APP}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return connection.recv(4096).decode(errors="replace").split(" ")[1]


def test_a_client_cannot_set_the_original_url(proxied_app: ProxiedApp) -> None:
    claimed = {
        "X-Original-URL": f"https://{APP}/open/x", "X-Original-Method": "GET",
        "X-Forwarded-Uri": "/open/x", "X-Forwarded-Method": "GET", "X-Forwarded-Host": APP,
        "X-Original-Uri": "/open/x",
    }  # fmt: skip

    assert proxied_app.ask("/board", claimed).status == 401
    assert proxied_app.ask("/board", claimed, "POST", b"").status == 401


# What a server that reads both spellings as one would take for the proxy's words.
UNDERSCORES = {
    "X_Forwarded_Uri": "/open/x", "X_Forwarded_Method": "GET", "X_Forwarded_Host": APP,
    "X_Forwarded_Proto": "https", "X_Forwarded_For": "10.1.1.1", "X_Forwarded-For": "10.1.1.1",
    "X_Original_URL": "https://app.example.com/open/x", "X_Original_Method": "GET",
    "X-Forwarded_Uri": "/open/x", "X_Real_IP": "10.1.1.1",
}  # fmt: skip


def ask_by(
    version: str, proxied_app: ProxiedApp, path: str, headers: dict[str, str], method: str
) -> int:
    if version == "1.1":
        return proxied_app.ask(path, headers, method).status
    where = f"https://127.0.0.1:{proxied_app.port}"
    return ask_http2(
        where, path, headers, host=APP, method=method, authority=proxied_app.authority
    ).status


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_other_spellings_of_proxy_headers_are_ignored(
    proxied_app: ProxiedApp, cookies: Cookies, app: EchoApp, version: str
) -> None:
    before = app.seen
    editor, viewer = cookies("editor"), cookies("viewer")

    assert ask_by(version, proxied_app, "/shut/x", {**UNDERSCORES, **editor}, "GET") == 403
    assert ask_by(version, proxied_app, "/board", {**UNDERSCORES, **viewer}, "POST") == 403
    assert ask_by(version, proxied_app, "/board", UNDERSCORES, "GET") == 401
    assert ask_by(version, proxied_app, "/inside", UNDERSCORES, "GET") == 401
    assert app.seen == before


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_no_name_with_an_underscore_reaches_the_app(
    proxied_app: ProxiedApp, cookies: Cookies, version: str
) -> None:
    headers = {**UNDERSCORES, **cookies("viewer")}
    if version == "1.1":
        text = proxied_app.ask("/board", headers).text
    else:
        where = f"https://127.0.0.1:{proxied_app.port}"
        text = ask_http2(where, "/board", headers, host=APP, authority=proxied_app.authority).text
    names = [name for name, _value in json.loads(text)["headers"]]

    assert [name for name in names if "_" in name] == []


def test_another_host_header_does_not_change_the_decision(
    proxied_app: ProxiedApp, app: EchoApp
) -> None:
    """A143, and a Host that the proxy does not serve."""
    before = app.seen
    connection = http.client.HTTPConnection("evil.example.org")
    connection.sock = proxied_app.connect()
    connection.request("GET", "/board", headers=PAGE)
    location = connection.getresponse().headers.get("Location", "")

    assert "evil.example.org" not in location
    assert app.seen == before


def test_the_app_does_not_get_the_forward_auth_cookie(
    proxied_app: ProxiedApp, cookies: Cookies
) -> None:
    """A145."""
    ours = cookies("viewer")["Cookie"]
    # An app may set one more for its own path, so that the first one to be found is not ours.
    stolen = "__Secure-gatehouse_gate=junk"
    for sent in (ours, f"a=1; {ours}", f"{ours}; b=2", f"a=1; {ours}; b=2", f"{stolen}; {ours}"):
        reply = proxied_app.ask("/", {"Cookie": sent})
        left = "".join(reply.sent("Cookie"))

        assert "gatehouse_gate" not in left
        assert ("a=1" in left, "b=2" in left) == ("a=1" in sent, "b=2" in sent)


def test_a_websocket_is_checked_once(proxied_app: ProxiedApp, cookies: Cookies) -> None:
    lines = [
        "GET /socket HTTP/1.1", f"Host: {APP}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Remote-User: owner@example.com",
    ]  # fmt: skip
    refused = "\r\n".join(lines) + "\r\n\r\n"
    with proxied_app.connect() as connection:
        connection.sendall(refused.encode())
        assert connection.recv(4096).split(b" ")[1] == b"401"
    admitted = "\r\n".join([*lines, f"Cookie: {cookies('viewer')['Cookie']}"]) + "\r\n\r\n"
    with proxied_app.connect() as connection:
        connection.sendall(admitted.encode())
        head = read_until(connection, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert re.search(rb"(?i)x-seen-user: viewer@example.com", head)
        connection.sendall(b"hello")
        assert read_until(connection, b"hello") == b"hello"


WORDS = [
    "h2c", "H2C", "h2c, websocket", "websocket, h2c", "tls/1.0", "websocket\r\nUpgrade: h2c",
    "h2c\r\nUpgrade: websocket",
]  # fmt: skip


def upgrade(word: str) -> list[str]:
    return [
        "GET /socket HTTP/1.1", f"Host: {APP}", f"Upgrade: {word}",
        "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_only_a_websocket_upgrades_a_connection(
    kind: str, server: Gatehouse, cookies: Cookies, tmp_path: Path, word: str
) -> None:
    """An app server that accepts h2c would speak on unasked (CVE-2021-21311 and its like)."""
    smuggler = Smuggler()
    proxied_app = STARTS[kind](f"127.0.0.1:{server.ports[0]}", smuggler.port, tmp_path)
    lines = [*upgrade(word), f"Cookie: {cookies('viewer')['Cookie']}"]
    try:
        with proxied_app.connect() as connection:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            connection.settimeout(5)
            status = connection.recv(4096).split(b" ")[1]
    finally:
        proxied_app.process.stop()
        smuggler.stop()

    # Whatever the proxy makes of it: what arrives is a websocket alone, or a common request.
    assert status == (b"101" if smuggler.upgrades else b"200")
    assert [one for one in smuggler.upgrades if one != ["websocket"]] == []
    assert smuggler.settings == []


class Smuggler(EchoApp):
    """An app server that switches to whatever the client wants, and notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.upgrades: list[list[str]] = []
        self.settings: list[str] = []

    def look(self, headers: HTTPMessage) -> bool:
        found = headers.get_all("Upgrade") or []
        self.settings += headers.get_all("HTTP2-Settings") or []
        if found:
            self.upgrades.append([value.lower() for value in found])
        return bool(found)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        part = connection.recv(4096)
        assert part, found
        found += part
    return found


def test_a_large_upload_goes_only_to_the_app(
    kind: str, server: Gatehouse, app: EchoApp, cookies: Cookies, tmp_path: Path
) -> None:
    relay = Relay(server.ports[0])
    proxied_app = STARTS[kind](f"127.0.0.1:{relay.port}", app.port, tmp_path)
    try:
        body = os.urandom(20 * 1024 * 1024)
        reply = proxied_app.ask("/files", cookies("editor"), "PUT", body)
        length = reply.echo["length"]
    finally:
        proxied_app.process.stop()
        relay.stop()

    assert (reply.status, length) == (200, len(body))
    assert 0 < relay.sent < 10_000


def test_a_thousand_idle_connections_block_no_client(
    proxied_app: ProxiedApp, server: Gatehouse, cookies: Cookies
) -> None:
    raise_file_limit(4000)
    idle = [socket.create_connection(("127.0.0.1", proxied_app.port)) for _place in range(1000)]
    idle += [socket.create_connection(("127.0.0.1", server.ports[0])) for _place in range(1000)]
    try:
        statuses = {proxied_app.ask("/", cookies("viewer")).status for _place in range(20)}
    finally:
        for connection in idle:
            connection.close()

    assert statuses == {200}


def raise_file_limit(most: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, hard)), hard))


@pytest.mark.parametrize("asked", [PAGE, {"Accept": "application/json"}])
def test_without_gatehouse_every_request_is_denied(
    kind: str,
    data: InstanceData,
    app: EchoApp,
    cookies: Cookies,
    tmp_path: Path,
    asked: dict[str, str],
) -> None:
    own = Gatehouse(data, tmp_path, 1, SETTINGS)
    proxied_app = STARTS[kind](f"127.0.0.1:{own.ports[0]}", app.port, tmp_path)
    try:
        assert proxied_app.ask("/", cookies("viewer")).status == 200
        own.stop()
        before = app.seen
        replies = [
            proxied_app.ask(path, {**asked, **cookies("viewer")})
            for path in ("/", "/open/x", "/shut")
        ]
    finally:
        own.stop()
        proxied_app.process.stop()

    assert [closed(reply) for reply in replies] == [(503, "5")] * 3
    assert app.seen == before


def closed(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.headers.get("retry-after", "")


def test_a_denied_path_is_denied_to_users_with_access_elsewhere(
    proxied_app: ProxiedApp, cookies: Cookies
) -> None:
    assert proxied_app.ask("/shut/x", cookies("editor")).status == 403
