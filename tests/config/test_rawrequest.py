"""The WSGI environ: built from raw header names, without repeated deciding headers."""

from typing import Any

import pytest

from config.server import raw_request as rawrequest
from config.server.raw_request import BY_UNIX_SOCKET, Unreadable, environ_of, has_body

ONCE = [
    "host", "authorization", "x-api-key", "x-forwarded-for", "x-forwarded-proto",
    "x-forwarded-host", "x-forwarded-uri", "x-forwarded-method", "x-original-url",
    "x-original-method", "forwarded", "x-real-ip", "x-request-id", "origin", "referer",
    "sec-fetch-mode", "sec-purpose", "content-type", "content-length", "x-csrftoken",
    "x-csrf-token", "remote-user", "x-http-method-override",
]  # fmt: skip


def scope(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {
        "http_version": "1.1", "method": "GET", "scheme": "http", "raw_path": b"/auth/check",
        "query_string": b"role=admin", "server": ("127.0.0.1", "8000"),
        "client": ("192.0.2.7", "40000"), "headers": raw, **more,
    }  # fmt: skip


def test_the_environ_follows_wsgi() -> None:
    environ = environ_of(scope(("host", "gate.example.com"), ("x-forwarded-uri", "/a%20b")))

    assert environ["HTTP_HOST"] == "gate.example.com"
    assert environ["HTTP_X_FORWARDED_URI"] == "/a%20b"
    assert environ["PATH_INFO"] == "/auth/check"
    assert environ["QUERY_STRING"] == "role=admin"
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "40000")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


@pytest.mark.parametrize("order", [1, -1])
def test_headers_with_underscores_are_dropped(order: int) -> None:
    both = [("x_forwarded_uri", "/open"), ("x-forwarded-uri", "/shut")][::order]

    assert environ_of(scope(*both))["HTTP_X_FORWARDED_URI"] == "/shut"
    assert [key for key in environ_of(scope(both[order > 0])) if key.startswith("HTTP_")] == [
        "HTTP_X_FORWARDED_URI"
    ]


@pytest.mark.parametrize(
    "name", ["x_forwarded_for", "x-forwarded_for", "content_length", "content_type", "_", "a_b"]
)
def test_no_trace_of_a_header_with_an_underscore_is_left(name: str) -> None:
    assert environ_of(scope((name, "1"))) == environ_of(scope())


@pytest.mark.parametrize("name", ONCE)
def test_deciding_headers_must_not_repeat(name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        environ_of(scope((name, "a"), (name, "a")))

    assert refused.value.name.lower() == name


def test_list_headers_may_repeat() -> None:
    lines = [("accept", "text/html"), ("accept", "*/*"), ("cookie", "a=1"), ("cookie", "b=2")]
    environ = environ_of(scope(*lines))

    assert (environ["HTTP_ACCEPT"], environ["HTTP_COOKIE"]) == ("text/html, */*", "a=1; b=2")


def test_non_ascii_bytes_are_kept() -> None:
    """WSGI carries each byte as one character (PEP 3333)."""
    environ = environ_of(
        scope(("x-forwarded-uri", "/\xc3\xbc"), raw_path=b"/%C3%BC/\xc3\xbc", query_string=b"\xfc")
    )

    assert environ["HTTP_X_FORWARDED_URI"] == "/\xc3\xbc"
    assert environ["PATH_INFO"] == "/\xc3\xbc/\xc3\xbc"
    assert environ["QUERY_STRING"] == "\xfc"


def test_a_unix_socket_peer_counts_as_localhost() -> None:
    environ = environ_of(scope(client=("", "0"), server=("/run/gatehouse.sock", "0")))

    assert (environ["REMOTE_ADDR"], environ[BY_UNIX_SOCKET]) == ("127.0.0.1", True)
    assert BY_UNIX_SOCKET not in environ_of(scope())


def test_unknown_header_names_are_not_cached() -> None:
    for number in range(2 * rawrequest.MAX_NAMES):
        environ_of(scope((f"x-{number}", "1")))

    assert len(rawrequest._keys) == rawrequest.MAX_NAMES
    assert environ_of(scope(("x_1", "1"), ("x-late", "2")))["HTTP_X_LATE"] == "2"
    assert "HTTP_X_LATE_TOO" not in environ_of(scope(("x_late_too", "1")))


@pytest.mark.parametrize(
    ("headers", "more", "expected"),
    [
        ([], {}, False),
        ([("content-length", "0")], {}, False),
        ([("content-length", "3")], {}, True),
        ([("content-length", "00")], {}, True),
        ([("transfer-encoding", "chunked")], {}, True),
        ([], {"http_version": "2", "method": "POST"}, True),
        ([], {"http_version": "2"}, False),
    ],
)
def test_an_announced_body_is_awaited(
    headers: list[tuple[str, str]], more: dict[str, str], expected: bool
) -> None:
    assert has_body(environ_of(scope(*headers, **more))) is expected
