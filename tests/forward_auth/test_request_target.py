"""What a proxy asks about: hosts and paths that two servers could read differently are unclear."""

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
def test_a_host_loses_its_port_or_is_no_host(text: str, host: str) -> None:
    assert clean_host(text) == host


def test_nginx_names_the_target_in_one_address() -> None:
    environ = {
        "HTTP_X_ORIGINAL_URL": "https://App.example.com:8443/a?b=c",
        "HTTP_X_ORIGINAL_METHOD": "POST",
    }

    assert target_of(environ) == Target(
        "app.example.com", "/a", "POST", "https://app.example.com:8443/a?b=c"
    )


def test_others_name_it_in_four_headers() -> None:
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
def test_a_word_that_is_no_method_counts_as_writing(method: str) -> None:
    target = target_of({"HTTP_X_FORWARDED_METHOD": method})

    assert (target.method, target.is_reading) == ("", False)


def test_nothing_said_is_nothing_known() -> None:
    assert target_of({}) == Target("", "", "", "")


@pytest.mark.parametrize("url", ["http://[::1", "app.example.com/x", "//app/x", "ftp://app/x"])
def test_a_strange_address_leads_nowhere_back(url: str) -> None:
    assert target_of({"HTTP_X_ORIGINAL_URL": url}).url == ""


@pytest.mark.parametrize("method", ["VERSION-CONTROL", "UPDATEREDIRECTREF", "M-SEARCH"])
def test_a_registered_word_with_a_hyphen_is_a_method(method: str) -> None:
    assert target_of({"HTTP_X_FORWARDED_METHOD": method}).method == method


@pytest.mark.parametrize(
    ("method", "is_reading"),
    [
        *((word, True) for word in ("GET", "HEAD", "OPTIONS")),
        *((word, True) for word in ("PROPFIND", "REPORT", "SEARCH", "QUERY")),
        *((word, False) for word in ("POST", "PROPPATCH", "MKCOL", "LOCK", "TRACE", "QUERYX", "")),
    ],
)
def test_what_asks_without_changing_reads(method: str, is_reading: bool) -> None:
    assert target_of({"HTTP_X_FORWARDED_METHOD": method}).is_reading is is_reading


FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "app.example.com",
    "HTTP_X_FORWARDED_URI": "/a",
}


def test_the_method_of_nginx_counts_without_its_address() -> None:
    said = {**FORWARDED, "HTTP_X_ORIGINAL_METHOD": "GET"}

    assert target_of(said) == Target("app.example.com", "/a", "GET", "https://app.example.com/a")
    assert target_of({**said, "HTTP_X_FORWARDED_METHOD": "GET"}) == target_of(said)


def test_two_methods_that_differ_count_as_nothing_said() -> None:
    said = {**FORWARDED, "HTTP_X_ORIGINAL_METHOD": "GET", "HTTP_X_FORWARDED_METHOD": "POST"}

    assert target_of(said) == Target("", "", "", "")


@pytest.mark.parametrize("address", ["", "nonsense", "/a", "//app.example.com/a"])
def test_an_address_that_cannot_be_read_makes_no_room_for_another(address: str) -> None:
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
def test_the_way_back_is_what_was_asked_for_in_ascii(uri: str, link: str) -> None:
    target = target_of({**FORWARDED, "HTTP_X_FORWARDED_URI": uri})

    assert target.url == f"https://app.example.com{link}"


@given(st.text(max_size=60), st.sampled_from(["HTTP_X_ORIGINAL_URL", "HTTP_X_FORWARDED_URI"]))
def test_whatever_is_sent_a_path_is_a_path(text: str, header: str) -> None:
    environ: dict[str, Any] = {header: text, "HTTP_X_FORWARDED_HOST": "app.example.com"}

    target = target_of(environ)

    assert target.path == "" or target.path.startswith("/")
    assert all(path.startswith("/") for path in target.others)
    assert target.path != "" or target.others == ()
