"""The backends in Go, Rust and Node of docs/verify-credentials-other-languages.md, as they stand.

They are asked before a running Gatehouse, and before one of the tests that signs wrong tokens.
"""

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.architecture.markdown import blocks
from tests.clients import programs
from tests.clients.conftest import Live
from tests.clients.double import ANYBODY, APP, Double
from tests.clients.programs import Backend

COMPILED = ["go", "rust"]
Start = Callable[..., Backend]


@pytest.fixture(scope="module")
def commands(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Callable[[str], list[str]]:
    """The command of a language, built once."""
    built: dict[str, list[str]] = {}

    def command(language: str) -> list[str]:
        if language not in built:
            cache = pytestconfig.cache.mkdir(f"{language}-of-documentation")
            built[language] = getattr(programs, language)(tmp_path_factory.mktemp(language), cache)
        return built[language]

    return command


@pytest.fixture
def start(commands: Callable[[str], list[str]], tmp_path: Path) -> Iterator[Start]:
    """Starts the backend of a language."""
    started: list[Backend] = []

    def start(language: str, **names: str) -> Backend:
        started.append(Backend(commands(language), tmp_path / "log", **names))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def double() -> Iterator[Double]:
    found = Double()
    yield found
    found.stop()


def _of_app(live: Live) -> dict[str, str]:
    return {
        "GATEHOUSE_URL": live.url,
        "GATEHOUSE_CLIENT_ID": live.names["client_id"],
        "GATEHOUSE_CLIENT_SECRET": live.names["client_secret"],
    }


def _bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


@pytest.mark.parametrize("language", COMPILED)
@pytest.mark.parametrize("is_offline", [False, True], ids=["asking", "offline"])
def test_a_backend_admits_editors_and_refuses_everybody_else(
    live: Live, start: Start, language: str, is_offline: bool
) -> None:
    names = live.names
    backend = start(language, **_of_app(live), GATEHOUSE_OFFLINE=str(int(is_offline)))
    edith = (200, {"id": names["user_id"], "role": "editor"})

    for _twice in range(2):  # the second answer is a kept one
        assert backend.ask(("X-API-Key", names["key"])) == edith
        assert backend.ask(_bearer(names["key"])) == edith
        assert backend.ask(_bearer(names["token"])) == edith
    assert backend.ask(("X-API-Key", names["key_of_viewer"])) == (403, None)
    for headers in (
        [],
        [("X-API-Key", "gth_wrong")],
        [("X-API-Key", "")],
        [_bearer("x")],
        [_bearer("")],
        [("Authorization", names["key"])],
        [("Authorization", "Basic eDp5")],
        [_bearer(names["session"])],
        [_bearer(names["key_of_network"])],
        [_bearer(names["token"]), ("X-API-Key", "gth_wrong")],
        [_bearer(names["token"]), _bearer("x")],
    ):
        assert backend.ask(*headers) == (401, None), headers


@pytest.mark.parametrize("language", [*COMPILED, "node"])
def test_a_backend_believes_the_remote_token_of_its_own_address(
    live: Live, start: Start, language: str
) -> None:
    names = live.names
    backend = start(language, **_of_app(live), APP_URL=APP)
    token = _remote_token(live.url, names["key"], f"{APP}/board")
    edith = (200, {"id": names["user_id"], "role": "editor"})

    assert backend.ask(("Remote-Token", token)) == edith
    viewer = _remote_token(live.url, names["key_of_viewer"], f"{APP}/")
    assert backend.ask(("Remote-Token", viewer)) == (403, None)
    other = _remote_token(live.url, names["key"], "https://other.example.com/")
    for wrong in (other, names["token"], names["key"], ""):
        assert backend.ask(("Remote-Token", wrong)) == (401, None)
    # A wrong one is never ignored, whatever comes with it.
    assert backend.ask(("Remote-Token", other), ("X-API-Key", names["key"])) == (401, None)
    assert backend.ask(("Remote-Token", token), ("Remote-Token", other)) == (401, None)
    assert backend.ask(("Remote-User", "edith@example.com"), ("Remote-Groups", "owner")) == (
        401,
        None,
    )


def _remote_token(url: str, key: str, asked: str) -> str:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    headers = {"X-API-Key": key, "X-Original-URL": asked, "X-Original-Method": "GET"}
    connection.request("GET", "/auth/check?token=1", headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 204
    return answer.headers["Remote-Token"]


@pytest.mark.parametrize("language", [*COMPILED, "node"])
def test_no_wrong_remote_token_is_accepted(double: Double, start: Start, language: str) -> None:
    backend = start(language, GATEHOUSE_URL=double.url, APP_URL=APP)

    for right in (double.token(), double.token("RS256"), double.token(aud=["x", APP])):
        assert backend.ask(("Remote-Token", right)) == (200, {"id": "edith", "role": "editor"})
    for role in ("viewer", "none", "root", None):
        assert backend.ask(("Remote-Token", double.token(role=role))) == (403, None)
    for name, wrong in double.wrong_tokens().items():
        assert backend.ask(("Remote-Token", wrong)) == (401, None), name


@pytest.mark.parametrize("language", COMPILED)
def test_no_wrong_access_token_is_accepted_offline(
    double: Double, start: Start, language: str
) -> None:
    backend = start(language, GATEHOUSE_URL=double.url, GATEHOUSE_OFFLINE="1")
    right: dict[str, Any] = {"aud": double.url, "header": {"typ": "at+jwt"}}
    edith = (200, {"id": "edith", "role": "editor"})

    assert backend.ask(_bearer(double.token(**right))) == edith
    assert backend.ask(_bearer(double.token("RS256", **right))) == edith
    for name, wrong in double.wrong_tokens(**right).items():
        assert backend.ask(_bearer(wrong)) == (401, None), name
    assert double.asked == []


@pytest.mark.parametrize("language", [*COMPILED, "node"])
def test_without_keys_nobody_is_let_in_and_no_credential_is_called_wrong(
    double: Double, start: Start, language: str
) -> None:
    double.has_keys = False
    backend = start(language, GATEHOUSE_URL=double.url, APP_URL=APP)

    assert backend.ask(("Remote-Token", double.token())) == (503, None)


@pytest.mark.parametrize("language", COMPILED)
def test_only_an_answer_of_gatehouse_lets_anybody_in(
    double: Double, start: Start, language: str
) -> None:
    backend = start(language, GATEHOUSE_URL=double.url)
    big = f'{{"active": true, "token_type": "api_key", "x": "{"x" * 300_000}"}}'
    double.answers = {
        "refused": (401, {"code": "invalid_client"}),
        "limited": (429, ANYBODY),
        "broken": (500, ANYBODY),
        "elsewhere": (302, ANYBODY),
        "no json": (200, "<p>ok"),
        "big": (200, big),
    }
    for name in double.answers:
        assert backend.ask(_bearer(name)) == (503, None), name

    double.answers = {
        "no": (200, {"active": False}),
        "nothing": (200, {}),
        "refresh": (200, {**ANYBODY, "token_type": "refresh_token"}),
        "session": (200, {**ANYBODY, "token_type": "session"}),
    }
    for name in double.answers:
        assert backend.ask(_bearer(name)) == (401, None), name


@pytest.mark.parametrize("language", COMPILED)
def test_an_answer_is_used_again_but_never_after_the_end_of_the_credential(
    double: Double, start: Start, language: str
) -> None:
    backend = start(language, GATEHOUSE_URL=double.url)
    double.answers = {
        "kept": (200, {**ANYBODY, "exp": int(time.time()) + 600}),
        "ended": (200, {**ANYBODY, "exp": int(time.time()) - 1}),
    }
    for name in ("kept", "ended") * 3:
        assert backend.ask(_bearer(name)) == (200, {"id": "anybody", "role": "owner"})

    assert double.asked.count("kept") < 3
    assert double.asked.count("ended") == 3


def test_the_page_shows_the_programs_that_were_run() -> None:
    shown = {each.language: each.text for each in blocks(programs.PAGE)}
    files = {
        "go": "gatehouse_backend.go",
        "rust": "gatehouse_backend.rs",
        "js": "remote_token.mjs",
    }

    assert {language: shown[language] for language in files} == {
        language: (programs.EXAMPLES / name).read_text() for language, name in files.items()
    }
