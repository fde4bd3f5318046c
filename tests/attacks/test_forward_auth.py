"""Forward auth attacked through the shipped proxies by HTTP/1.1 and HTTP/2."""

import json
import re
from dataclasses import dataclass

import pytest

from tests.attacks.raw_http import (
    Fields,
    exchange,
    exchange_http2,
    fields,
    head,
    http2_of,
    reply,
    statuses,
)  # fmt: skip
from tests.attacks.site import APP, Reply, Site

RULES = """
for position, name, effect, networks in [(10, "open", "public", []), (11, "shut", "deny", []),
                                         (12, "inside", "public", ["10.0.0.0/8"])]:
    AccessRule.objects.create(position=position, name=f"wire {name}", effect=effect,
                              networks=networks, host="app.example.com", path=f"/wire-{name}")
"""
NAME = "__Secure-gatehouse_gate"


@dataclass
class ProxiedSite:
    """An app behind forward auth with three rules, and the cookies of a viewer and an editor."""

    site: Site
    viewer: str
    editor: str

    def raw(self, request: bytes, *, whole: bool = False) -> bytes:
        return exchange(self.site.proxied_app.connect(), request, whole=whole)

    def ask(
        self, path: str, lines: tuple[str, ...] = (), method: str = "GET", **more: str
    ) -> Reply:
        """One request with these further lines, whatever is in them."""
        return reply(self.raw(head(method, path, [*lines, "Connection: close"], **more)))

    def ask_http2(self, header: Fields, body: bytes | None = None, behind: Fields = ()) -> Reply:
        proxied_app = self.site.proxied_app
        return exchange_http2(
            http2_of(proxied_app.port, proxied_app.authority, APP), header, body, behind
        )

    def cookie(self, role: str) -> str:
        return f"Cookie: {NAME}={getattr(self, role)}"


@pytest.fixture(scope="module")
def proxied(site: Site) -> ProxiedSite:
    site.drive(RULES)
    secrets = [
        next(
            value for name, value in site.signed_in(site.user(role)).cookies.items() if name == NAME
        )
        for role in ("viewer", "editor")
    ]
    return ProxiedSite(site, *secrets)


def user_of(answer: Reply) -> str:
    """The role in the only Remote-User that the app was sent."""
    (address,) = answer.sent("Remote-User")
    return address.partition("-")[0]


# Identity headers, as proxies and app servers spell them.
PREFIXES = [
    "Remote-", "Remote_", "remote.", "REMOTE-", "X-Remote-", "X_Remote_", "X-Auth-", "X_Auth_",
    "X-Auth-Request-", "X-Forwarded-", "X_Forwarded-", "X-Webauth-", "Remote~", "Remote!",
    "Remote|", "Remote'", "Remote+",
]  # fmt: skip
WORDS = ["User", "Email", "Groups"]
CLAIMS = [[f"{prefix}{word}" for word in WORDS] for prefix in PREFIXES]
CLAIMS.append(["Remote-Id", "Remote-Name", "Remote-Token", "Remote_Token", "X-Auth-Roles"])
CLAIMS.append(["X-Webauth-Role", "X-Auth-Username", "X-User", "Auth-User", "X-Authenticated-User"])
# Identities that a client tries to have removed, or added, on the way (RFC 9110, 7.6.1).
HOPS = [
    "Connection: Remote-User, Remote-Groups", "Connection: close, remote-user",
    "Connection: X-Forwarded-Uri, X-Forwarded-Method, X-Forwarded-Host, X-Forwarded-For",
    "Connection: X-Original-URL, X-Original-Method", "Connection: Cookie",
    "Keep-Alive: Remote-User", "Proxy-Connection: Remote-User", "TE: trailers, Remote-User",
    "Trailer: Remote-User", "Expect: remote-user",
]  # fmt: skip


def test_no_spelling_of_an_identity_header_reaches_the_app(proxied: ProxiedSite) -> None:
    for names in CLAIMS:
        claims = tuple(f"{name}: owner" for name in names)
        own = proxied.ask("/board", (*claims, proxied.cookie("viewer")))
        anybody = proxied.ask("/wire-open", claims)

        assert (own.status, user_of(own)) == (200, "viewer"), names
        assert (anybody.status, "".join(anybody.sent("Remote-User"))) == (200, ""), names
        assert "owner" not in own.text + anybody.text, names


def test_no_spelling_of_an_identity_header_reaches_the_app_by_http2(proxied: ProxiedSite) -> None:
    cookie = ("cookie", f"{NAME}={proxied.viewer}")
    for names in CLAIMS:
        claims = [(name.lower(), "owner") for name in names]
        own = proxied.ask_http2(fields("/board", "GET", APP, cookie, *claims))

        assert (own.status, user_of(own)) == (200, "viewer"), names
        assert "owner" not in own.text, names


def test_connection_headers_cannot_remove_identity_headers(
    proxied: ProxiedSite,
) -> None:
    for line in HOPS:
        answer = reply(proxied.raw(head("GET", "/board", [line, proxied.cookie("viewer")])))
        if line.startswith("Expect") and answer.status == 417:
            continue

        assert (answer.status, user_of(answer)) == (200, "viewer"), line
        assert answer.sent("Remote-Groups") == ["viewer"], line
        assert answer.sent("X-Forwarded-Host") == [APP], line
        assert proxied.ask("/wire-inside", (line,)).status in (401, 417), line


# These become a second request or header if HTTP/2 is read carelessly.
BROKEN_HEADERS = [
    [("Remote-User", "owner")], [("x-a", "b\r\nRemote-User: owner")],
    [("x-a", "b\nremote-user: owner")],
    [("x-a", "b\0remote-user: owner")], [("x-a: b\r\nremote-user", "owner")],
    [("remote-user: owner", "x")], [("remote-user ", "owner")], [(":remote-user", "owner")],
    [(":path", "/wire-open")], [(":method", "GET")],
]  # fmt: skip


def test_an_invalid_http2_header_is_rejected(proxied: ProxiedSite) -> None:
    cookie = ("cookie", f"{NAME}={proxied.editor}")
    whole = [fields("/board", "GET", APP, cookie, *more) for more in BROKEN_HEADERS]
    whole += [
        fields(path, method, APP, cookie)
        for path, method in [
            ("/board HTTP/1.1\r\nRemote-User: owner\r\nX: ", "GET"),
            ("board", "GET"),
            ("/board", "GET /wire-open HTTP/1.1\r\nX:"),
        ]
    ]  # fmt: skip
    before = proxied.site.app.seen
    for header in whole:
        assert proxied.ask_http2(header).status in (0, 400), header
    assert proxied.site.app.seen == before


@pytest.mark.parametrize("name", ["connection", "proxy-connection", "keep-alive", "te", "upgrade"])
def test_connection_headers_have_no_effect_in_http2(proxied: ProxiedSite, name: str) -> None:
    cookie = ("cookie", f"{NAME}={proxied.viewer}")
    answer = proxied.ask_http2(fields("/board", "GET", APP, cookie, (name, "remote-user")))

    # RFC 9113, 8.2.2: it makes the request malformed; nginx leaves it unread.
    if answer.status:
        assert answer.status == 400 or (answer.status, user_of(answer)) == (200, "viewer")


BEHIND = [("remote-user", "owner"), ("remote-groups", "owner"), ("x-forwarded-uri", "/wire-open")]


def test_trailers_do_not_reach_the_app(proxied: ProxiedSite) -> None:
    """RFC 9110, 6.5: trailers. Some app servers take them for headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in BEHIND).encode()
    before = proxied.site.app.seen
    for path, cookie in [("/board", proxied.cookie("editor")), ("/wire-open", "X-No: cookie")]:
        for announced in ("Trailer: Remote-User, Remote-Groups", "TE: trailers"):
            sent = [cookie, announced, "Transfer-Encoding: chunked"]
            answer = proxied.raw(
                head("POST", path, sent, body=b"3\r\nabc\r\n0\r\n" + lines + b"\r\n")
            )
            assert b"owner" not in answer
            assert b"wire-open" not in answer.partition(b'"headers"')[2]
    header = fields("/board", "POST", APP, ("cookie", f"{NAME}={proxied.editor}"))
    for body in (b"abc", None):
        assert "owner" not in proxied.ask_http2(header, body, BEHIND).text
    # HAProxy ends such a request, nginx one of HTTP/2; elsewhere they are dropped.
    wanted = {"nginx": 4, "caddy": 6, "haproxy": 0}
    assert proxied.site.app.seen - before == wanted[proxied.site.proxy]


def test_a_chunked_body_arrives_complete(proxied: ProxiedSite) -> None:
    body = b"".join(b"8000\r\n" + b"x" * 32768 + b"\r\n" for _one in range(40)) + b"0\r\n\r\n"
    sent = [proxied.cookie("editor"), "Transfer-Encoding: chunked"]
    header = fields("/board", "POST", APP, ("cookie", f"{NAME}={proxied.editor}"))

    assert reply(proxied.raw(head("POST", "/board", sent, body=body))).echo["length"] == 40 * 32768
    assert proxied.ask_http2(header, b"x" * 9000).echo["length"] == 9000


def test_no_tunnel_bypasses_forward_auth(proxied: ProxiedSite) -> None:
    """The rules would be asked about the way in and about nothing that goes through it."""
    before = proxied.site.app.seen
    inside = b"POST /wire-shut HTTP/1.1\r\nHost: app\r\nRemote-User: owner\r\n\r\n"
    for target in (f"{APP}:443", "/board", "/wire-open"):
        request = head("CONNECT", target, [proxied.cookie("editor")], body=inside)
        assert statuses(proxied.raw(request))[0] in (400, 405), target
    for word in ("", "h2c", "connect-udp"):
        protocol = [(":protocol", word)] if word else []
        header = [(":method", "CONNECT"), *protocol, (":scheme", "https"), (":authority", APP)]
        header += [(":path", "/wire-shut"), ("cookie", f"{NAME}={proxied.editor}")]
        assert proxied.ask_http2(header, inside).status in (0, 400, 403, 405), word
    assert proxied.site.app.seen == before


HOSTS = [
    "evil.example.org", f"evil.example.org, {APP}", f"{APP}, evil.example.org", f"x@{APP}",
    f"{APP}@evil.example.org", f"{APP}.", f"{APP}.evil.example.org", f"{APP}:80@evil.example.org",
    "127.0.0.1", "[::1]", "", f"{APP}\r\nHost: evil.example.org",
]  # fmt: skip


def test_app_and_rules_get_the_same_host(
    proxied: ProxiedSite,
) -> None:
    for host in HOSTS:
        for target in ("/board", f"https://{APP}/board"):
            request = head("GET", target, [proxied.cookie("viewer"), "Connection: close"], host)
            answer = proxied.raw(request)
            if b'"headers"' in answer:
                assert reply(answer).sent("Host") == [APP], (host, target)
            assert b"evil" not in answer.partition(b"\r\n\r\n")[2], (host, target)
        cookie = ("cookie", f"{NAME}={proxied.viewer}")
        answer2 = proxied.ask_http2(fields("/board", "GET", host.partition("\r")[0], cookie))
        assert "evil" not in answer2.text


def test_an_absolute_url_is_checked_by_its_path(proxied: ProxiedSite) -> None:
    for scheme in ("https", "http", "HTTPS", "ftp", "x"):
        shut = proxied.ask(f"{scheme}://{APP}/wire-shut/x", (proxied.cookie("editor"),))
        board = proxied.ask(f"{scheme}://{APP}/board?a=/wire-open", (proxied.cookie("viewer"),))

        assert shut.status in (400, 403), scheme
        if board.status != 400:
            assert (board.status, board.echo["path"]) == (200, "/board?a=/wire-open"), scheme
    assert proxied.ask(f"https://{APP}/wire-shut#/wire-open").status in (400, 401)
    before = proxied.site.app.seen
    proxied.ask("https://evil.example.org/wire-shut", (proxied.cookie("editor"),))
    assert proxied.site.app.seen == before


# Each is /wire-shut for some server.
ANONYMOUS_STATUSES = [
    "/wire-shut", "//wire-shut", "/./wire-shut", "/x/../wire-shut", "/%77ire-shut",
    "/%2577ire-shut",
    "/wire-shut%2f", "/wire-shut;a", "/wire-shut%3b", "/wire-shut?", "/wire-shut%20",
    "/%2e/wire-shut", "/x/%2e%2e/wire-shut", "/x/..%2fwire-shut", "/x\\..\\wire-shut",
    "/x%5c..%5cwire-shut", "/\\wire-shut", "/%c0%afwire-shut", "/%e0%80%afwire-shut",
    "/x/..;/wire-shut", "/;/wire-shut", "/wire-shut%0d%0a", "/wire-shut%09", "/%2fwire-shut",
    "/x/.%2e/wire-shut", "/x/%2e./wire-shut", "/wire-open/../wire-shut",
    "/wire-open/..%2fwire-shut", "/wire-open/%2e%2e/wire-shut", "/wire-open;/../wire-shut",
    "/wire-open\\..\\wire-shut", "/wire-shut%00", "/wire-shut#/wire-open",
    "/wire-shut?x=/wire-open", "/%252e%252e/wire-shut", "*",
]  # fmt: skip


def test_no_spelling_of_a_denied_path_is_allowed(proxied: ProxiedSite) -> None:
    before = proxied.site.app.seen
    for path in ANONYMOUS_STATUSES:
        assert proxied.ask(path, (proxied.cookie("editor"),)).status in (400, 403), path
        assert proxied.ask(path).status in (400, 401), path
        cookie = ("cookie", f"{NAME}={proxied.editor}")
        assert proxied.ask_http2(fields(path, "GET", APP, cookie)).status in (0, 400, 403), path
    assert proxied.site.app.seen == before


METHODS = ["POST", "PUT", "DELETE", "PATCH", "get", "post", "Get", "TRACE", "MKCOL", "FOO", "G"]


def test_a_reader_cannot_write_by_an_unusual_method(proxied: ProxiedSite) -> None:
    before = proxied.site.app.seen
    more = ("X-HTTP-Method-Override: GET", "X-Method-Override: GET", "X-HTTP-Method: GET")
    claims = ("X-Forwarded-Method: GET", "X-Original-Method: GET", proxied.cookie("viewer"))
    for method in METHODS:
        answer = proxied.ask("/board?_method=GET", (*more, *claims, "Content-Length: 0"), method)
        assert answer.status in (400, 403, 405), method
    assert proxied.site.app.seen == before


def test_method_override_headers_of_a_reader_do_not_reach_the_app(proxied: ProxiedSite) -> None:
    """Some frameworks take the method of any request from these."""
    names = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")
    lines = tuple(f"{name}: DELETE" for name in names)
    for method in ("GET", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"):
        sent = [*lines, proxied.cookie("viewer"), "Connection: close"]
        assert b"DELETE" not in proxied.raw(head(method, "/board", sent)), method
    answer = proxied.ask("/board", (*lines, proxied.cookie("viewer")))
    assert (answer.status, [answer.sent(name) for name in names]) == (200, [[], [], []])
    written = proxied.ask(
        "/board", (*lines[:1], proxied.cookie("editor"), "Content-Length: 0"), "POST"
    )
    assert written.sent("X-HTTP-Method-Override") == ["DELETE"]


def test_the_forward_auth_cookie_never_reaches_the_app(
    proxied: ProxiedSite,
) -> None:
    live, junk = f"{NAME}={proxied.viewer}", f"{NAME}=junk"
    for sent in [
        live, f"a=1; {live}; b=2", f"{junk}; x=1,2; {live}", f"{junk}; {junk}; x=1, 2; {live}",
        f'{junk}; x="1;2"; {live}', f"{junk},{junk}; {live}", f"a=1;{live}", f"a=1;\t{live};\tb=2",
        f"a=1 ;  {live} ; b=2", f'{NAME}="{proxied.viewer}"', f"{NAME} ={proxied.viewer}",
        f"=; {live}",
        f"{live}; {live}", f"x; {live}", f"gatehouse_gate={proxied.viewer}; {live}",
        "; ".join([*(f"c{number}={number}" for number in range(100)), live]),
        f"{junk}\r\nCookie: x=1,2\r\nCookie: {live}", f"{live}\r\nCookie: a=1",
    ]:  # fmt: skip
        answer = proxied.ask("/board", (f"Cookie: {sent}",))
        if answer.status == 200:
            assert user_of(answer) == "viewer", sent
        assert proxied.viewer not in answer.text, sent
    crumbs = [("cookie", junk), ("cookie", "x=1,2"), ("cookie", live), ("cookie", "b=2")]
    answer = proxied.ask_http2(fields("/board", "GET", APP, *crumbs))
    assert (answer.status, user_of(answer)) == (200, "viewer")
    assert proxied.viewer not in answer.text


def test_of_two_cookies_of_two_users_the_last_one_counts(
    proxied: ProxiedSite,
) -> None:
    first, last = f"{NAME}={proxied.viewer}", f"{NAME}={proxied.editor}"
    answer = proxied.ask("/board", (f"Cookie: {first}; {last}",))

    assert (answer.status, user_of(answer)) == (200, "editor")
    assert answer.sent("Remote-Groups") == ["editor"]
    assert proxied.ask("/board", (f"Cookie: {last}; {NAME}=junk",)).status == 401


# The second request of each should reach the app without a check.
INNER = b"GET /wire-shut/smuggled HTTP/1.1\r\nHost: app.example.com\r\nRemote-User: owner\r\nX: "
END = b"0\r\n\r\n" + INNER
LONG = f"Content-Length: {len(END)}"
SMUGGLED = [
    ([LONG, "Transfer-Encoding: chunked"], END),
    (["Transfer-Encoding: chunked", "Content-Length: 4"],
     b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)),
    ([LONG, "Transfer-Encoding: xchunked"], END), ([LONG, "Transfer-Encoding:\tchunked"], END),
    ([LONG, "Transfer-Encoding: \x0bchunked"], END), ([LONG, "Transfer-Encoding : chunked"], END),
    ([LONG, "Transfer-Encoding:\r\n chunked"], END), ([LONG, 'Transfer-Encoding: "chunked"'], END),
    ([LONG, "Transfer-Encoding: CHUNKED"], END), ([LONG, "X: y\nTransfer-Encoding: chunked"], END),
    ([LONG, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], END),
    (["Transfer-Encoding: identity, chunked", "Content-Length: 4"], END),
    (["Transfer-Encoding: chunked, identity"], END), (["Content-Length: 5", LONG], END),
    ([LONG, "Content-Length: 5"], END), (["Content-Length: 5, 5"], b"abcde" + INNER),
    (["Content-Length: +5"], b"abcde" + INNER), (["Content-Length: -1"], b"abcde" + INNER),
    (["Content-Length: 0x5"], b"abcde" + INNER), (["Content-Length: 5 5"], b"abcde" + INNER),
    (["Content-Length: 99999999999999999999"], b"abcde" + INNER),
    (["Transfer-Encoding: chunked"], b"5;\nabcde\r\n0\r\n\r\n" + INNER),
    (["Transfer-Encoding: chunked"], b"5\nabcde\n0\n\n" + INNER),
    (["Transfer-Encoding: chunked"], b"-1\r\nabcde\r\n0\r\n\r\n" + INNER),
    (["Transfer-Encoding: chunked"], b"0x5\r\nabcde\r\n0\r\n\r\n" + INNER),
    (["Transfer-Encoding: chunked"], b"ffffffffffffffff5\r\nabcde\r\n0\r\n\r\n" + INNER),
    (["Transfer-Encoding: chunked"], b"5\r\nabcdeXX0\r\n\r\n" + INNER),
    (["Content-Length: 0"], INNER),
]  # fmt: skip


def test_a_smuggled_request_is_checked_or_never_arrives(
    proxied: ProxiedSite,
) -> None:
    for lines, body in SMUGGLED:
        before = proxied.site.app.seen
        sent = [proxied.cookie("editor"), *lines]
        answer = proxied.raw(
            head("POST", "/board", sent, body=body + b"x\r\nConnection: close\r\n\r\n")
        )
        others = proxied.ask("/board", (proxied.cookie("viewer"),))

        assert b"smuggled" not in answer.partition(b"\r\n\r\n")[2], lines
        assert b"owner" not in answer, lines
        assert (others.status, user_of(others)) == (200, "viewer"), lines
        assert proxied.site.app.seen - before in (1, 2), lines


def test_each_request_on_a_connection_is_checked(
    proxied: ProxiedSite,
) -> None:
    viewer, anonymous = proxied.cookie("viewer"), "X-No: cookie"
    answer = proxied.raw(
        head("GET", "/board", [viewer]) + head("GET", "/wire-shut", [viewer])
        + head("GET", "/board", [anonymous]) + head("POST", "/board", [viewer, "Content-Length: 0"])
        + head("GET", "/board", [viewer, "Connection: close"]),
        whole=True,
    )  # fmt: skip

    assert statuses(answer) == [200, 403, 401, 403, 200]


def test_an_unsupported_request_is_a_client_error(
    proxied: ProxiedSite,
) -> None:
    before = proxied.site.app.seen
    cookie = proxied.cookie("viewer")

    assert proxied.ask("/board", (cookie, "X-Api-Key: a", "X-Api-Key: b")).status == 400
    assert proxied.ask("/board", (f"{cookie}; a={'x' * 20_000}",)).status == 431
    assert proxied.ask("/board", (cookie, f"Authorization: Bearer {'x' * 20_000}")).status == 431
    assert proxied.ask(f"/{'a' * 20_000}", (cookie,)).status == 431
    # nginx, and HAProxy, have a bound of their own.
    assert proxied.ask(f"/{'a' * 70_000}", (cookie,)).status in (400, 414, 431)
    assert proxied.ask("/", (cookie, *(f"X-{place}: y" for place in range(300)))).status in (
        400,
        431,
    )
    assert proxied.site.app.seen == before


def test_a_denial_contains_no_identity_header_and_no_cookie(proxied: ProxiedSite) -> None:
    for path, lines in [("/board", ()), ("/wire-shut", (proxied.cookie("editor"),))]:
        for accept in ("text/html", "application/json", "*/*"):
            answer = proxied.ask(path, (*lines, f"Accept: {accept}", "Sec-Fetch-Mode: navigate"))
            names = [name for name in answer.headers if re.match("remote-|set-cookie", name)]
            assert (answer.status in (302, 401, 403), names) == (True, []), (path, accept)


def test_a_websocket_by_http2_is_checked(proxied: ProxiedSite) -> None:
    """RFC 8441, where a proxy speaks it; elsewhere nothing arrives."""
    header = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https")]
    header += [(":authority", APP), (":path", "/wire-shut"), ("sec-websocket-version", "13")]
    before = proxied.site.app.seen

    assert proxied.ask_http2(header).status in (0, 400, 401)
    signed = [*header, ("cookie", f"{NAME}={proxied.editor}")]
    assert proxied.ask_http2(signed).status in (0, 400, 403)
    assert proxied.site.app.seen == before


def test_an_echo_says_what_arrived(proxied: ProxiedSite) -> None:
    """So that no test above passes because the app hides what it was sent."""
    answer = proxied.ask("/wire-open", ("X-Something: owner",))

    assert answer.sent("X-Something") == ["owner"]
    assert json.loads(answer.text)["behind"] == []
