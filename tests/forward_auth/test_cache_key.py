"""The cache key of a check is equal from the WSGI environ and from raw headers."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.server.raw_request import Unreadable, environ_of
from forward_auth.request import SEPARATOR, cache_key_of_scope, cache_key_parts

NAMES = [
    "x-api-key", "authorization", "cookie", "x-original-url", "x-original-method",
    "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-method",
    "x-forwarded-for",
]  # fmt: skip
SPELT_OTHERWISE = [name.replace("-", "_") for name in NAMES if "-" in name]
OTHERS = ["host", "accept", "x-forwarded-port", "x-request-id", "content-length", "remote-user"]
VALUES = st.sampled_from([b"", b"=", b"a", b"a=b; c", b"https://a.example.com/x?y", b"\xfc", b"\n"])
HEADERS = st.lists(
    st.tuples(st.sampled_from([*NAMES, *NAMES, *SPELT_OTHERWISE, *OTHERS]).map(str.encode), VALUES),
    max_size=12,
)


def scope(headers: list[tuple[bytes, bytes]], query: bytes = b"", peer: str = "192.0.2.7") -> Any:
    return {
        "http_version": "1.1", "method": "GET", "scheme": "http", "raw_path": b"/auth/check",
        "query_string": query, "server": ("127.0.0.1", "8000"), "client": (peer, "40000"),
        "headers": headers,
    }  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(HEADERS, st.sampled_from([b"", b"role=admin", b"a=\xff"]), st.sampled_from(["::1", ""]))
def test_both_forms_of_the_key_are_equal(
    headers: list[tuple[bytes, bytes]], query: bytes, peer: str
) -> None:
    request = scope(headers, query, peer)
    joined = cache_key_of_scope(request)
    try:
        of_environ = SEPARATOR.join(cache_key_parts(environ_of(request)))
    except Unreadable:
        assert joined is None
        return
    comes_once = len({name for name, _value in headers}) == len(headers)

    assert joined == (of_environ.encode() if comes_once and of_environ.isascii() else None)


@pytest.mark.parametrize("name", NAMES)
def test_every_header_changes_the_key(name: str) -> None:
    said = [cache_key_of_scope(scope([(name.encode(), value)])) for value in (b"a", b"b")]

    assert len({cache_key_of_scope(scope([])), *said}) == 3
    assert len(NAMES) + 2 == len(cache_key_parts({}))


@pytest.mark.parametrize("name", [*SPELT_OTHERWISE, *OTHERS])
def test_other_headers_do_not_change_the_key(name: str) -> None:
    assert cache_key_of_scope(scope([(name.encode(), b"a")])) == cache_key_of_scope(scope([]))


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_repeated_header_has_no_short_key(name: str) -> None:
    twice = [(name.encode(), b"a"), (name.encode(), b"a")]

    assert cache_key_of_scope(scope(twice)) is None
