"""Addresses, names and hosts of apps as they are stored."""

import pytest

from applications.addresses import (
    Address,
    clean_app,
    initials_of,
    slug_for,
    split_address,
    upstream_of,
    url_of,
)
from applications.models import App
from applications.services.apps import app_at


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" wiki.example.com ", "https://wiki.example.com"),
        ("HTTPS://Wiki.Example.com:443/", "https://wiki.example.com"),
        ("http://wiki.example.com:80/a/", "http://wiki.example.com/a"),
        ("https://wiki.example.com:8443/team", "https://wiki.example.com:8443/team"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://wiki.example.com.", "https://wiki.example.com"),
    ],
)
def test_an_address_is_stored_in_one_form(typed: str, stored: str) -> None:
    assert url_of(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "javascript:alert(1)",
        "ftp://wiki.example.com",
        "https://",
        "https://user:secret@wiki.example.com",
        "https://wiki.example.com/?next=1",
        "https://wiki.example.com/#a",
        "https://wiki.example.com:99999",
        "https://wiki.example.com:x",
        "https://wiki.example.com/../admin",
        "https://wiki.example.com/a//b",
        "https://wiki.example.com/a;b",
        "https://wiki.example.com/%2e",
        'https://wiki.example.com/"><script>',
        "https://wiki.example.com/a\nserver {",
        "https://wiki example.com",
        "https://-wiki.example.com",
        "https://wiki.example.com;evil",
        "https://bücher.example",
        "https://*.example.com",
        "https://[2001:db8::1",
        "x" * 600,
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    assert list(clean_app({"url": typed})[1]) == ["url"]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" 127.0.0.1:9000 ", "127.0.0.1:9000"),
        ("App:080", "app:80"),
        ("[::1]:80", "[::1]:80"),
        ("", ""),
    ],
)
def test_host_and_port_are_stored_in_one_form(typed: str, stored: str) -> None:
    assert upstream_of(typed) == stored


@pytest.mark.parametrize(
    "typed",
    ["app", "app:0", "app:65536", "app:x", "http://app:80", "app:80/x", "app:80;evil", "a b:80",
     "app:80}", ":80", "app:999999999999999999"],
)  # fmt: skip
def test_nothing_else_gets_into_a_configuration(typed: str) -> None:
    assert list(clean_app({"upstream": typed})[1]) == ["upstream"]


@pytest.mark.parametrize("typed", ["Team Wiki", "a--b", "-a", "a_b", "ä", "x" * 51, 'a"b', "a\n"])
def test_a_short_name_is_plain(typed: str) -> None:
    errors = clean_app({"slug": typed})[1]

    assert list(errors) == ([] if typed == "a\n" else ["slug"])


def test_an_address_is_taken_apart() -> None:
    assert split_address("https://a.b:8443/x/y") == Address("https", "a.b", "8443", "/x/y")
    assert split_address("https://[2001:db8::1]") == Address("https", "[2001:db8::1]", "", "")


@pytest.mark.parametrize(
    ("name", "initials"),
    [("Wiki", "W"), ("Team wiki", "TW"), ("über uns", "ÜU"), ("42", "4"), ("— —", "?")],
)
def test_initials_come_from_the_name(name: str, initials: str) -> None:
    assert initials_of(name) == initials


def test_a_short_name_is_made_from_the_name_and_unique() -> None:
    assert slug_for("Team Wiki!", set()) == "team-wiki"
    assert slug_for("Team Wiki", {"team-wiki", "team-wiki-2"}) == "team-wiki-3"
    assert slug_for("日本", set()) == "app"
    assert len(slug_for("x" * 80, set())) <= 50


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("a.b", "/", "root"),
        ("a.b", "/wiki", "wiki"),
        ("a.b", "/wiki/x", "wiki"),
        ("a.b", "/wikis", "root"),
        ("c.d", "/", None),
    ],
)
def test_the_app_with_the_longest_path_has_a_request(
    host: str, path: str, found: str | None
) -> None:
    apps = [
        App(name="root", url="https://a.b", host="a.b"),
        App(name="wiki", url="https://a.b/wiki", host="a.b"),
    ]
    app = app_at(apps, host, path)

    assert (app.name if app else None) == found
