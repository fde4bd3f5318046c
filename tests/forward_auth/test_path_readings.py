"""The readings of a path include every interpretation by servers."""

import itertools
from posixpath import normpath
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forward_auth.rules.path_readings import MAX_READINGS, MAX_TOTAL, is_plain, readings_of

# A139: paths that bypassed other products; each can be read as /shut, or below it.
TRICKS = [
    "//shut", "/open//../shut", "/open/../shut", "/open/..//shut",
    "/%2e%2e/shut", "/open/%2E%2E/shut", "/open/.%2e/shut", "/open%2f..%2fshut",
    "/open/..;/shut", "/open/..;x=1/shut", "/open\\..\\shut", "/open%5c..%5cshut",
    "/open/%252e%252e/shut", "/%252e%252e/shut", "/%2573hut", "/shut%3Fx",
    "/shut%23", "/open;/..;/shut", "/shut%252fx", "/;/shut", "/;x=1/shut",
    "/%EF%BC%8F/shut", "/open/%EF%BC%8E%EF%BC%8E/shut", "/%EF%BD%93hut", "/shut;v=1", "/./shut",
    "/open/a/b/../..//..;//shut", "/%5cshut", "/open/..%5cshut", "/x/..%252f..%252fshut",
    "//x/shut", "/\\x/shut", "/%5cx%5cshut", "///x/shut", "/open/..//x/shut", "/shut%20",
]  # fmt: skip
# Undecidable paths; every rule may match.
UNREADABLE = [
    "/open%00", "/open%0a", "/open%0d%0aX: y", "/open%09", "/%ff", "/open%c0%ae",
    "/open%00/../shut",
    "/open#/shut", "/open%", "/open%zz", "open", "shut?/open", "", "*", "http://other/open",
    "/open%7f", "/open%2500", "/open\x01", "/\xff", "/\xc3", "/" + "a;b//%5c%252f..;/" * 400,
]  # fmt: skip


@pytest.mark.parametrize("uri", TRICKS)
def test_a_crafted_path_has_its_target_among_the_readings(uri: str) -> None:
    paths = readings_of(uri)

    assert any(path == "/shut" or path.startswith("/shut/") for path in paths)
    assert len(paths) > 1


@pytest.mark.parametrize("uri", UNREADABLE)
def test_an_undecidable_path_has_no_reading(uri: str) -> None:
    assert readings_of(uri) == ()


@pytest.mark.parametrize(
    ("uri", "paths"),
    [
        ("/", ("/",)),
        ("/shut", ("/shut",)),
        ("/shut?next=/open", ("/shut",)),
        ("/shut?a=/../open#x", ("/shut",)),
        ("/shut?/open//", ("/shut",)),
        ("/a%20b", ("/a b",)),
        ("/%C3%BC", ("/ü",)),
        ("/\xc3\xbc", ("/ü",)),
        ("/日本", ("/日本",)),
        ("/%73hut", ("/shut",)),
        ("/a.b/..c/d..", ("/a.b/..c/d..",)),
        ("/.well-known/x", ("/.well-known/x",)),
        ("/team%2Frepo", ("/team/repo", "/team%2Frepo")),
        ("/a//b", ("/a//b", "/a/b")),
        ("//x/shut", ("//x/shut", "/x/shut", "/shut")),
        ("/a%20", ("/a ", "/a")),
        ("/100%25.txt", ("/100%.txt", "/100%25.txt")),
        ("/f;v=1", ("/f;v=1", "/f")),
        ("/a/../b", ("/a/../b", "/b")),
        ("/open/..;/b", ("/open/..;/b", "/open/../b", "/b")),
    ],
)
def test_the_readings_of_a_path(uri: str, paths: tuple[str, ...]) -> None:
    assert readings_of(uri) == paths


def test_a_path_that_is_too_long_has_no_reading() -> None:
    assert readings_of("/" + "a" * 8192) == ()
    assert readings_of("/" + "a" * 8191) == ("/" + "a" * 8191,)


# Characters and escapes of which tricks are made.
PIECES = ["/", "//", ".", "..", ";", ";x=1", "\\", "%2f", "%5C", "%2e", "%252e", "%252f", "%25",
          "%3f", "%23", "%3B", "shut", "open", "a", "ü".encode().decode("latin-1"), "%C3%BC",
          "%EF%BC%8F", "+", "%20", "%41"]  # fmt: skip
PATHS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "/" + "".join(parts))


@given(PATHS)
def test_the_number_of_readings_is_limited(uri: str) -> None:
    paths = readings_of(uri)

    assert len(paths) <= MAX_READINGS
    assert sum(map(len, paths)) <= MAX_TOTAL
    assert len(set(paths)) == len(paths)


def test_long_paths_take_no_more_work_than_others() -> None:
    """Counted in characters made, not in time."""
    for piece in (";a//", "%2f..;", "\\..//", "%25252f;"):
        paths = readings_of("/" + piece * (8000 // len(piece)))
        assert sum(map(len, paths)) <= MAX_TOTAL


@pytest.mark.parametrize(
    ("path", "is_so"),
    [
        *((path, True) for path in ("/", "/a b", "/ü", "/a.b/..c", "/a/")),
        *(
            (path, False)
            for path in ("a", "/a//b", "/a/..", "/a;b", "/a\\b", "/a%b", "/a?b", "/a#")
        ),
    ],
)
def test_the_path_of_a_rule_is_normalized(path: str, is_so: bool) -> None:
    assert is_plain(path) is is_so


def combined(uri: str) -> set[str]:
    """What chains of up to three simple servers would make of it; written another way."""

    def clean(path: str) -> str:
        found = normpath("/" + path.lstrip("/"))
        return found + "/" if path.endswith(("/", "/.", "/..")) and found != "/" else found

    def without(path: str) -> str:
        return "/".join(part.partition(";")[0] for part in path.split("/"))

    servers: list[Any] = [unquote, clean, without, lambda path: path.replace("\\", "/")]
    found = set()
    for chain in itertools.product(servers, repeat=3):
        path = unquote(uri)
        for server in chain:
            path = server(path)
        found.add(path)
    return found


@given(PATHS)
def test_no_chain_of_servers_finds_a_path_outside_the_readings(uri: str) -> None:
    paths = readings_of(uri)
    text = uri.encode("latin-1").decode()

    assert paths == () or combined(text) <= set(paths)
