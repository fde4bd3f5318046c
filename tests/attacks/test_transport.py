"""Attacks on the connection to the proxy in front of Gatehouse."""

import contextlib
import http.client
import re
import socket

import pytest

from devtools.servers.fronts import PROXY
from tests.attacks.raw_http import exchange, exchange_http2, fields, head, http2_of, statuses
from tests.attacks.site import PASSWORD, SITE, Site, Visitor
from tests.attacks.test_forward_auth import BROKEN_HEADERS, SMUGGLED

BODY = b'{"email": "nobody@example.com", "password": "wrong horse battery staple"}'
JSON = ["Content-Type: application/json", f"Content-Length: {len(BODY)}"]
LAST_ADDRESS = """
from audit.models import AuditEvent
result = AuditEvent.objects.order_by("-seq").first().ip
"""
# Each would be taken for the client's address by some server.
ADDRESSES = [
    "Connection: X-Forwarded-For", "Connection: close, X-Forwarded-For, X-Forwarded-Proto",
    "X-Forwarded-For: 10.1.1.1", "X-Forwarded-For: 10.1.1.1, 10.2.2.2",
    "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 10.2.2.2", "X_Forwarded_For: 10.1.1.1",
    "X-Forwarded_For: 10.1.1.1", "x-forwarded-for: ", "X-Real-IP: 10.1.1.1",
    "X-Client-IP: 10.1.1.1",
    "True-Client-IP: 10.1.1.1", "CF-Connecting-IP: 10.1.1.1", "Forwarded: for=10.1.1.1",
    "X-Cluster-Client-IP: 10.1.1.1", "X-Forwarded: 10.1.1.1", "Forwarded-For: 10.1.1.1",
    "Client-IP: 10.1.1.1", "Via: 1.1 10.1.1.1", "X-Forwarded-For.: 10.1.1.1",
    f"X-Forwarded-For: {', '.join(['10.1.1.1'] * 300)}", "X-Forwarded-For: ::ffff:10.1.1.1",
]  # fmt: skip


def front(visitor: Visitor, request: bytes, *, whole: bool = False) -> bytes:
    return exchange(visitor.socket(), request, whole=whole)


def test_no_header_of_a_client_changes_its_address(site: Site) -> None:
    for line in ADDRESSES:
        visitor = site.visitor()
        answer = front(visitor, head("POST", "/api/v1/auth/token", [*JSON, line], SITE, BODY))

        assert statuses(answer) == [401], line
        assert site.drive(LAST_ADDRESS) == visitor.address, line


def test_no_trailer_of_a_client_changes_its_address(site: Site) -> None:
    visitor = site.visitor()
    sent = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    body = b"%x\r\n%s\r\n0\r\nX-Forwarded-For: 10.1.1.1\r\nHost: evil\r\n\r\n" % (len(BODY), BODY)

    assert statuses(front(visitor, head("POST", "/api/v1/auth/token", sent, SITE, body))) == [401]
    assert site.drive(LAST_ADDRESS) == visitor.address


def test_a_smuggled_request_is_never_answered_to_another_client(site: Site) -> None:
    """Each gets one answer of its own; where one says that a body is empty, what follows is one."""
    before = len(site.server.output())
    for lines, body in SMUGGLED:
        visitor = site.visitor()
        inner = body.replace(b"/wire-shut/smuggled", b"/robots.txt?smuggled")
        request = head("POST", "/api/v1/auth/token", lines, SITE, inner.replace(b"app.", b"gate."))
        answer = front(visitor, request)

        assert len(statuses(answer)) == 1, lines
        assert statuses(answer)[0] in (400, 401, 402, 413, 415, 422, 501, 502), lines
        assert b"Disallow" not in answer, lines
        assert site.visitor().get("/health/live").text == '{"status": "ok"}', lines
    assert not re.search("protocol failure|Traceback", site.server.output()[before:])


def test_an_invalid_http2_header_is_rejected(site: Site) -> None:
    for more in BROKEN_HEADERS:
        stream = http2_of(site.front.port, site.front.authority, SITE)
        header = fields("/sign-in", "GET", SITE, *more)
        if (":method", "GET") in more or (":path", "/wire-open") in more or more[0][0] != "x":
            assert exchange_http2(stream, header).status in (0, 400), more


def test_a_session_cookie_split_over_http2_headers_is_one_session(site: Site) -> None:
    """HTTP/2 lets a browser send each cookie as a field of its own (RFC 9113, 8.2.3)."""
    browser = site.signed_in(site.user())
    crumbs = [("cookie", f"{name}={value}") for name, value in browser.cookies.items()]
    stream = http2_of(site.front.port, site.front.authority, SITE)
    ours = exchange_http2(stream, fields("/api/v1/me", "GET", SITE, ("cookie", "a=1"), *crumbs))
    stream = http2_of(site.front.port, site.front.authority, SITE)
    other = exchange_http2(stream, fields("/api/v1/me", "GET", SITE, ("cookie", "a=1")))

    assert (ours.status, other.status) == (200, 401)


HOSTS = [
    "evil.example.org", f"{SITE}, evil.example.org", f"evil.example.org, {SITE}", f"x@{SITE}",
    f"{SITE}@evil.example.org", f"{SITE}:80@evil.example.org", f"{SITE}.evil.example.org",
    f"{SITE}\r\nHost: evil.example.org", f"{SITE}\r\nX-Forwarded-Host: evil.example.org",
    f"{SITE}\r\nX_Forwarded_Host: evil.example.org", f"{SITE}\r\nForwarded: host=evil.example.org",
    f"{SITE}\r\nX-Forwarded-Prefix: //evil.example.org", f"{SITE}\r\nX-Host: evil.example.org",
    f"{SITE}\r\nX-Original-URL: https://evil.example.org/", "", f"{SITE}:evil.example.org",
]  # fmt: skip


def test_no_forged_host_appears_in_a_response_or_mail(site: Site) -> None:
    email = site.user()
    form = f"email={email.replace('@', '%40')}".encode()
    sent = ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}"]
    for host in HOSTS:
        visitor = site.visitor()
        for path in ("/", "/sign-in?next=/account/", "/oauth/nowhere/login", "/.well-known/openid"):
            answer = front(visitor, head("GET", path, ["Connection: close"], host))
            assert b"evil" not in answer, (host, path)
        answer = front(visitor, head("POST", "/magic-link", sent, host, form))
        assert b"evil" not in answer, host
    assert [mail for mail in site.mail.mails if "evil" in str(mail)] == []


METHODS = ["TRACE", "TRACK", "CONNECT", "DEBUG", "FOO", "DELETE", "PUT"]


def test_an_unsupported_method_does_nothing_and_echoes_nothing(site: Site) -> None:
    browser = site.signed_in(site.user())
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    for method in METHODS:
        for path in ("/sign-in", "/account/", "/api/v1/auth/token", "/auth/check"):
            lines = [f"Cookie: {cookie}", "X-Secret: swordfish", "Connection: close"]
            answer = front(site.visitor(), head(method, path, lines, SITE))
            assert b"swordfish" not in answer, (method, path)
            # Where a form would not be taken its page is shown again, and that is elsewhere.
            assert statuses(answer)[0] in (302, 400, 401, 403, 404, 405, 501), (method, path)
    assert browser.get("/account/").status == 200


def test_method_override_headers_are_ignored(site: Site) -> None:
    browser = site.signed_in(site.user())
    names = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
    headers = dict.fromkeys(names, "DELETE")

    assert browser.post("/api/v1/me?_method=DELETE", {"_method": "DELETE"}, headers).status == 405
    assert browser.get("/api/v1/me?_method=DELETE", headers).status == 200
    assert browser.get("/account/").status == 200


@pytest.mark.parametrize("word", ["websocket", "h2c", "tls/1.0", "h2c, websocket"])
def test_gatehouse_speaks_no_other_protocol(site: Site, word: str) -> None:
    lines = [
        f"Upgrade: {word}", "Connection: Upgrade, HTTP2-Settings",
        "HTTP2-Settings: AAMAAABkAAQAoAAA",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip

    assert statuses(front(site.visitor(), head("GET", "/sign-in", lines, SITE))) == [200]


def test_header_limits_are_reported_and_block_no_other_client(site: Site) -> None:
    long, visitor = "x" * 20_000, site.visitor()
    wanted = {
        f"Cookie: a={long}": 431,
        f"Authorization: Bearer {long}": 431,
        f"X-Api-Key: {long}": 431,
        f"User-Agent: {long}": 431,
        f"Accept-Language: {long}": 431,
    }
    for line, status in wanted.items():
        assert statuses(front(visitor, head("GET", "/api/v1/me", [line], SITE))) == [status], line[
            :20
        ]
    many = [f"X-{place}: y" for place in range(300)]
    assert statuses(front(visitor, head("GET", "/sign-in", many, SITE)))[0] in (400, 431)
    for path, expected in [(f"/{long}", [404]), (f"/sign-in?next=/{long}", [200])]:
        assert statuses(front(visitor, head("GET", path, (), SITE))) == expected
    assert statuses(front(visitor, head("GET", f"/{'a' * 70_000}", (), SITE)))[0] in (400, 414)


NOWHERE = [
    "/static/", "/static/admin/", "/static/../config/settings.py", "/static/%2e%2e/manage.py",
    "/static/..%2fmanage.py", "/static//etc/passwd", "/static/%2fetc/passwd", "/.git/config",
    "/.env", "/data/", "/gatehouse.sqlite3", "/__debug__/", "/debug", "/server-status",
    "/admin/jsi18n",
    "/%00", "/\xff\xfe", "/%ff", "/wp-login.php", "/actuator/env",
]  # fmt: skip


def test_no_directory_listing_and_no_stray_file_is_served(site: Site) -> None:
    for path in NOWHERE:
        answer = front(site.visitor(), head("GET", path, ["Connection: close"], SITE))
        assert statuses(answer)[0] in (302, 400, 404), path
        for word in (b"SECRET", b"Traceback", b"Index of", b"root:", b"DEBUG = True"):
            assert word not in answer, (path, word)


def test_metrics_are_not_readable_from_elsewhere(site: Site) -> None:
    """By the trusted proxy's word: here, all that reach it are this machine."""
    connection = http.client.HTTPConnection(PROXY, site.server.ports[0], timeout=20)
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "Host": SITE}
    connection.request("GET", "/metrics", headers=said)
    status = connection.getresponse().status
    connection.close()

    assert status == 404


def test_slow_clients_block_no_other_client(site: Site) -> None:
    heads = [b"GET /sign-in HTTP/1.1\r\nHost: gate", b"P", b""]
    bodies = [
        head("POST", path, ["Content-Length: 90000", "Content-Type: application/json"], SITE, b"{")
        for path in ("/api/v1/auth/token", "/sign-in", "/auth/check", "/no/such/path")
    ]
    with contextlib.ExitStack() as open_ones:
        silent: list[socket.socket] = []
        for text in (heads + bodies) * 2:
            silent.append(open_ones.enter_context(site.visitor().socket()))
            silent[-1].sendall(text)
        for _round in range(3):
            for stream in silent:
                with contextlib.suppress(OSError):
                    stream.sendall(b"x")
            assert site.visitor().get("/health/ready").status == 200
            assert site.proxied_app.ask("/board").status == 401
            assert site.visitor().get("/sign-in").status == 200


def test_sessions_on_a_shared_connection_are_kept_apart(site: Site) -> None:
    """Proxies share connections to Gatehouse between clients."""
    people = [site.user(), site.user()]
    lines = []
    for email in people:
        browser = site.signed_in(email, PASSWORD)
        pairs = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        lines.append([f"Cookie: {pairs}"])
    requests = [head("GET", "/api/v1/me", one, SITE) for one in [*lines, [], *lines]]
    requests.append(head("GET", "/api/v1/me", ["Connection: close"], SITE))
    answer = front(site.visitor(), b"".join(requests), whole=True).decode()

    assert statuses(answer.encode()) == [200, 200, 401, 200, 200, 401]
    assert re.findall(r'"email": ?"([^"]+)"', answer) == people * 2
