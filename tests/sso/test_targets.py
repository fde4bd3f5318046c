"""What a proxy asks about: hosts and paths that two servers could read differently are unclear."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sso.targets import Target, clean_host, clean_path, target_of

# A139: what has opened other gates of this kind.
TRICKS = [
    "//shut", "/open//../shut", "/open/../shut", "/open/./shut", "/open/..", "/..", "/.",
    "/%2e%2e/shut", "/open/%2E%2E/shut", "/open/.%2e/shut", "/open%2f..%2fshut", "/open%2Fshut",
    "/open;x=1/shut", "/open/..;/shut", "/open%3b/shut", "/open\\shut", "/open%5c..%5cshut",
    "/%252e%252e/shut", "/open%00", "/open%0a", "/open%0d%0aX: y", "/open%09",
    "/%ff", "/open%c0%ae",
    "/open#/shut", "/open%23/../shut", "/open%", "/open%zz", "open", "shut?/open", "", "*",
    "http://other/open", "/open/%2e", "/%5c", "/open%7f",
]  # fmt: skip


@pytest.mark.parametrize("uri", TRICKS)
def test_a_path_of_two_meanings_is_no_path(uri: str) -> None:
    assert clean_path(uri) == ""


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/", "/"),
        ("/shut", "/shut"),
        ("/shut?next=/open", "/shut"),
        ("/shut?a=/../open#x", "/shut"),
        ("/shut?/open//", "/shut"),
        ("/a%20b", "/a b"),
        ("/%C3%BC", "/ü"),
        ("/%73hut", "/shut"),
        ("/a.b/..c/d..", "/a.b/..c/d.."),
        ("/.well-known/x", "/.well-known/x"),
    ],
)
def test_a_plain_path_is_decoded_once_and_loses_its_query(uri: str, path: str) -> None:
    assert clean_path(uri) == path


def test_a_path_beyond_the_greatest_length_is_no_path() -> None:
    assert clean_path("/" + "a" * 8192) == ""


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("App.example.com".lower(), "app.example.com"),
        ("app.example.com:8443", "app.example.com"),
        ("app.example.com.", "app.example.com"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
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


@given(st.text(max_size=60), st.sampled_from(["HTTP_X_ORIGINAL_URL", "HTTP_X_FORWARDED_URI"]))
def test_whatever_is_sent_the_path_has_one_meaning(text: str, header: str) -> None:
    environ: dict[str, Any] = {header: text, "HTTP_X_FORWARDED_HOST": "app.example.com"}

    path = target_of(environ).path

    assert path == "" or path.startswith("/")
    assert not any(odd in path for odd in ("//", "\\", ";", "%", "\x00", "\r", "\n"))
    assert not {".", ".."} & set(path.split("/"))
