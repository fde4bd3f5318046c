"""Headers in every spelling, single and repeated, sent directly to the server."""

import json
import socket
from collections.abc import Iterator

import pytest

from devtools.servers.databases import Templates
from devtools.servers.gatehouse import Gatehouse
from tests.servers.http2 import ask_http2

HOST = "gate.example.com"
SETTINGS = {"PUBLIC_URL": f"https://{HOST}", "TRUSTED_PROXIES": "127.0.0.1", "LOGIN_MAX": "3",
            "LOGIN_WINDOW": "1d"}  # fmt: skip
RULES = """
from forward_auth.models import AccessRule
host = "app.example.com"
AccessRule.objects.create(position=1, name="open", effect="public", host=host, path="/open")
AccessRule.objects.create(position=2, name="inside", effect="public", host=host, path="/inside",
                          networks=["10.0.0.0/8"])
"""
ABOUT = {
    "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com",
    "X-Forwarded-Uri": "/board", "X-Forwarded-Method": "GET", "X-Forwarded-For": "192.0.2.7",
}  # fmt: skip
TWICE = [
    "Host", "Authorization", "X-Api-Key", "X-Forwarded-Proto", "X-Forwarded-Host",
    "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-For", "X-Original-URL",
    "X-Original-Method", "Forwarded", "X-Real-IP", "Sec-Fetch-Mode", "X-CSRFToken", "Origin",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(
    data_templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gatehouse]:
    """One for all tests: none of them changes what another one sees."""
    folder = tmp_path_factory.mktemp("raw_headers")
    data = data_templates.fresh("sqlite", folder)
    data.shell(RULES)
    running = Gatehouse(data, folder, 1, SETTINGS)
    yield running
    running.stop()


def ask(server: Gatehouse, path: str, lines: list[tuple[str, str]], method: str = "GET") -> str:
    """The complete response to a request with exactly these lines."""
    text = "".join(f"{name}: {value}\r\n" for name, value in [*lines, ("Connection", "close")])
    with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer.decode()


def status_of(answer: str) -> int:
    return int(answer.split(" ")[1])


@pytest.mark.parametrize("path", ["/auth/check", "/auth/forward"])
@pytest.mark.parametrize("is_first", [True, False])
def test_headers_with_underscores_are_ignored(server: Gatehouse, path: str, is_first: bool) -> None:
    claimed = [("X_Forwarded_Uri", "/open/x"), ("X_Forwarded_For", "10.1.1.1")]
    about = [("Host", HOST), *({**ABOUT, "X-Forwarded-Uri": "/inside"}).items()]
    lines = claimed + about if is_first else about + claimed

    assert status_of(ask(server, path, about)) == 401
    assert status_of(ask(server, path, lines)) == 401
    assert status_of(ask(server, path, [("Host", HOST), *claimed])) == 401
    open_lines = [("Host", HOST), *({**ABOUT, "X-Forwarded-Uri": "/open/x"}).items()]
    assert status_of(ask(server, path, open_lines)) == 204


def test_headers_with_underscores_are_ignored_by_http2(server: Gatehouse) -> None:
    claimed = {"x_forwarded_uri": "/open/x", "x_forwarded_for": "10.1.1.1"}
    about = {name.lower(): value for name, value in ABOUT.items()}

    assert ask_http2(server.url, "/auth/check", {**claimed, **about}, host=HOST).status == 401
    about["x-forwarded-uri"] = "/open/x"
    assert ask_http2(server.url, "/auth/check", {**claimed, **about}, host=HOST).status == 204


@pytest.mark.parametrize("path", ["/auth/check", "/auth/forward", "/sign-in", "/api/v1/me"])
@pytest.mark.parametrize("name", TWICE)
def test_deciding_headers_must_not_repeat(server: Gatehouse, path: str, name: str) -> None:
    lines = [("Host", HOST), *ABOUT.items()]
    value = {**dict(lines), "Sec-Fetch-Mode": "navigate"}.get(name, "x")
    more = 2 - sum(one == name for one, _value in lines)
    answer = ask(server, path, lines + [(name, value)] * more)

    assert status_of(answer) == 400
    said = json.loads(answer.partition("\r\n\r\n")[2])
    assert (said["code"], name.lower() in said["detail"].lower()) == ("malformed", True)


@pytest.mark.parametrize("name", ["x-forwarded-uri", "x-forwarded-for", "x-original-url"])
def test_deciding_headers_must_not_repeat_by_http2(server: Gatehouse, name: str) -> None:
    about = {one.lower(): value for one, value in ABOUT.items()}
    heard = ask_http2(server.url, "/auth/check", {**about, name: ["/open/x"] * 2}, host=HOST)

    assert heard.status == 400


def test_a_host_that_differs_from_the_authority_is_rejected(server: Gatehouse) -> None:
    heard = ask_http2(server.url, "/health/live", {"host": "evil.example.org"}, host=HOST)

    assert heard.status == 400


def test_cookies_can_be_in_several_headers(server: Gatehouse) -> None:
    """Several Cookie lines are one list (RFC 9113, 8.2.3)."""
    lines = [("Host", HOST), ("Cookie", "a=1"), ("Cookie", "b=2")]

    assert status_of(ask(server, "/sign-in", lines)) == 200


@pytest.mark.parametrize("word", ["h2c", "websocket"])
def test_the_server_upgrades_no_protocol(server: Gatehouse, word: str) -> None:
    lines = [
        ("Host", HOST), ("Upgrade", word), ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
        ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]  # fmt: skip

    assert status_of(ask(server, "/health/live", lines)) == 200


def test_non_ascii_bytes_in_a_request_are_read(server: Gatehouse) -> None:
    """A path with such bytes matches rules, instead of being empty."""
    lines = [("Host", HOST), *({**ABOUT, "X-Forwarded-Uri": "/open/\xfc"}).items()]

    assert status_of(ask(server, "/auth/check", lines)) == 204


KEYED = """
from django.utils import timezone
from accounts.models import User
from api.apikeys import services as apikeys
person, _is_new = User.objects.get_or_create(
    email="keyed@example.com",
    defaults={"username": "keyed", "role": "editor", "email_verified_at": timezone.now()},
)
wish = apikeys.KeyRequest(name="k")
result = apikeys.create_key(actor=person, user=person, key_request=wish).text
"""


@pytest.mark.parametrize("path", ["/auth/check", "/auth/forward"])
def test_caches_do_not_bypass_the_rules(server: Gatehouse, path: str) -> None:
    """A request that passes does not let a different one pass."""
    lines = [("Host", HOST), ("X-Api-Key", server.data.shell(KEYED)), *ABOUT.items()]
    before = [status_of(ask(server, path, lines)) for _again in range(4)]
    others = {
        "twice": [*lines, ("X-Forwarded-Uri", "/board")],
        "of apps": [*lines, ("X-Real-IP", "192.0.2.7"), ("X-Real-IP", "192.0.2.7")],
        "underscore": [("X_Api_Key", "x"), *lines],
        "without": [line for line in lines if line[0] != "X-Api-Key"],
        "spelt otherwise": [(name.replace("X-Api", "X_Api"), value) for name, value in lines],
    }
    heard = {what: status_of(ask(server, path, other)) for what, other in others.items()}

    assert before == [204] * 4
    assert heard == {
        "twice": 400, "of apps": 400, "underscore": 204, "without": 401, "spelt otherwise": 401,
    }  # fmt: skip
    assert [status_of(ask(server, path, lines)) for _again in range(2)] == [204] * 2
