"""The target of a check: hosts and paths that servers could read differently are ambiguous."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forward_auth.request import Target, clean_host, target_of


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("App.example.com".lower(), "app.example.com"),
        ("app.example.com:8443", "app.example.com"),
        ("app.example.com.", "app.example.com"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:0db8:0:0:0:0:0:1]:8443", "[2001:db8::1]"),
        ("[2001:db8:0::0:1]", "[2001:db8::1]"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("[::ffff:cb00:7107]", "203.0.113.7"),
        ("[1::2::3]", ""),
        ("[::12345]", ""),
        ("[.]", ""),
        ("203.0.113.7:80", "203.0.113.7"),
        ("app.example.com:80x", ""),
        ("app.example.com:80:80", ""),
        ("user@app.example.com", ""),
        ("app.example.com/x", ""),
        ("app example", ""),
        ("a,b", ""),
        ("", ""),
    ],
)
def test_a_host_is_read_without_its_port_or_is_unknown(text: str, host: str) -> None:
    assert clean_host(text) == host


def test_nginx_sends_the_target_as_one_url() -> None:
    environ = {
        "HTTP_X_ORIGINAL_URL": "https://App.example.com:8443/a?b=c",
        "HTTP_X_ORIGINAL_METHOD": "POST",
    }

    assert target_of(environ) == Target(
        "app.example.com", "/a", "POST", "https://app.example.com:8443/a?b=c"
    )


def test_other_proxies_send_the_target_in_four_headers() -> None:
    environ = {
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "app.example.com",
        "HTTP_X_FORWARDED_URI": "/a?b=c",
        "HTTP_X_FORWARDED_METHOD": "GET",
    }

    assert target_of(environ) == Target(
        "app.example.com", "/a", "GET", "https://app.example.com/a?b=c"
    )


@pytest.mark.parametrize("method", ["", "get", "GET ", "G E T", "GET\nX", "A" * 21])
def test_an_unknown_method_counts_as_writing(method: str) -> None:
    target = target_of({"HTTP_X_FORWARDED_METHOD": method})

    assert (target.method, target.is_reading) == ("", False)


def test_without_headers_the_target_is_unknown() -> None:
    assert target_of({}) == Target("", "", "", "")


@pytest.mark.parametrize("url", ["http://[::1", "app.example.com/x", "//app/x", "ftp://app/x"])
def test_an_invalid_url_has_no_return_url(url: str) -> None:
    assert target_of({"HTTP_X_ORIGINAL_URL": url}).url == ""


@pytest.mark.parametrize("method", ["VERSION-CONTROL", "UPDATEREDIRECTREF", "M-SEARCH"])
def test_a_registered_method_with_a_hyphen_is_known(method: str) -> None:
    assert target_of({"HTTP_X_FORWARDED_METHOD": method}).method == method


@pytest.mark.parametrize(
    ("method", "is_reading"),
    [
        *((word, True) for word in ("GET", "HEAD", "OPTIONS")),
        *((word, True) for word in ("PROPFIND", "REPORT", "SEARCH", "QUERY")),
        *((word, False) for word in ("POST", "PROPPATCH", "MKCOL", "LOCK", "TRACE", "QUERYX", "")),
    ],
)
def test_safe_methods_count_as_reading(method: str, is_reading: bool) -> None:
    assert target_of({"HTTP_X_FORWARDED_METHOD": method}).is_reading is is_reading


FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "app.example.com",
    "HTTP_X_FORWARDED_URI": "/a",
}


def test_the_method_header_of_nginx_counts_alone() -> None:
    said = {**FORWARDED, "HTTP_X_ORIGINAL_METHOD": "GET"}

    assert target_of(said) == Target("app.example.com", "/a", "GET", "https://app.example.com/a")
    assert target_of({**said, "HTTP_X_FORWARDED_METHOD": "GET"}) == target_of(said)


def test_contradictory_methods_are_unknown() -> None:
    said = {**FORWARDED, "HTTP_X_ORIGINAL_METHOD": "GET", "HTTP_X_FORWARDED_METHOD": "POST"}

    assert target_of(said) == Target("", "", "", "")


@pytest.mark.parametrize("address", ["", "nonsense", "/a", "//app.example.com/a"])
def test_an_unreadable_url_is_not_replaced_by_other_headers(address: str) -> None:
    """A server that cannot read a line tells it as an empty one."""
    said = {**FORWARDED, "HTTP_X_FORWARDED_METHOD": "GET", "HTTP_X_ORIGINAL_URL": address}

    assert target_of(said) == Target("", "", "", "")
    assert target_of({"HTTP_X_ORIGINAL_URL": address}) == Target("", "", "", "")


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("/a?q=%C3%BC", "/a?q=%C3%BC"),
        ("/ü?q=ü".encode().decode("latin-1"), "/%C3%BC?q=%C3%BC"),
        ("/日本".encode().decode("latin-1"), "/%E6%97%A5%E6%9C%AC"),
        ("/\xff", "/%FF"),
        ("/" + "a" * 8191, "/" + "a" * 8191),
    ],
)
def test_the_return_url_is_the_requested_url_in_ascii(uri: str, link: str) -> None:
    target = target_of({**FORWARDED, "HTTP_X_FORWARDED_URI": uri})

    assert target.url == f"https://app.example.com{link}"


@given(st.text(max_size=60), st.sampled_from(["HTTP_X_ORIGINAL_URL", "HTTP_X_FORWARDED_URI"]))
def test_any_path_is_parsed(text: str, header: str) -> None:
    environ: dict[str, Any] = {header: text, "HTTP_X_FORWARDED_HOST": "app.example.com"}

    target = target_of(environ)

    assert target.path == "" or target.path.startswith("/")
    assert all(path.startswith("/") for path in target.others)
    assert target.path != "" or target.others == ()
