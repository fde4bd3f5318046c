"""Settings of tokens: lifetimes as in LibreChat, and two strong secrets."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from config.environment import Environment
from config.environment.known_secrets import PUBLISHED

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]

ONE = "Zq3vWm8xK1pRt6yB9nHc4sLd7fGj2aUe"
TWO = ONE[::-1]
SITE = {"PUBLIC_URL": "https://gate.example.com"}
RANDOM = "use the output of `openssl rand -base64 48`"
NAMES = ("JWT_SECRET", "JWT_REFRESH_SECRET")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SESSION_EXPIRY", "1000 * 60 * 15", timedelta(minutes=15)),
        ("SESSION_EXPIRY", "10000", timedelta(seconds=10)),
        ("SESSION_EXPIRY", "24h", timedelta(hours=24)),
        ("SESSION_EXPIRY", "1000 * 60 * 60 * 24 * 30", timedelta(days=30)),
        ("REFRESH_TOKEN_EXPIRY", "(1000 * 60 * 60 * 24) * 7", timedelta(days=7)),
        ("REFRESH_TOKEN_EXPIRY", "366d", timedelta(days=366)),
        ("JWT_ALGORITHM", "eddsa", "EdDSA"),
        ("JWT_ALGORITHM", "rs256", "RS256"),
        ("JWT_AUDIENCE", "https://api.example.com", "https://api.example.com"),
    ],
)
def test_token_settings_are_parsed(load_env: Load, name: str, text: str, expected: Any) -> None:
    assert load_env(**{name: text})[name] == expected


@pytest.mark.parametrize(("text", "count"), [("24h", 0), ("24h1s", 1), ("30d", 1)])
def test_a_token_lifetime_over_a_day_is_a_warning(load_env: Load, text: str, count: int) -> None:
    found = [str(problem) for problem in load_env(SESSION_EXPIRY=text).problems]

    assert (
        found
        == [
            (
                "SESSION_EXPIRY: is longer than 24 hours: a backend that verifies tokens itself "
                "accepts them for so long after their user lost access. Fix: write 15m, and "
                "refresh tokens when they expire."
            )
        ]
        * count
    )


def test_without_settings_tokens_are_short_and_signed_by_a_key(load_env: Load) -> None:
    values = load_env(PUBLIC_URL="https://gate.example.com/")

    assert values["SESSION_EXPIRY"] == timedelta(minutes=15)
    assert values["REFRESH_TOKEN_EXPIRY"] == timedelta(days=7)
    assert values["JWT_ALGORITHM"] == "ES256"
    assert values["JWT_AUDIENCE"] == "https://gate.example.com"
    assert (values["JWT_SECRET"], values["JWT_REFRESH_SECRET"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SESSION_EXPIRY", "9s"),
        ("SESSION_EXPIRY", "721h"),
        ("SESSION_EXPIRY", "0"),
        ("REFRESH_TOKEN_EXPIRY", "367d"),
        ("REFRESH_TOKEN_EXPIRY", "59s"),
        ("JWT_KEY_PUBLISH_AHEAD", "5m"),
        ("JWT_KEY_MAX_AGE", "7d"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "HS256"),
        ("JWT_ALGORITHM", "ES384"),
    ],
)
def test_a_value_out_of_bounds_stops_the_start(faults: Lines, name: str, text: str) -> None:
    (line,) = faults(**{name: text})

    assert line.startswith(f"{name}: ")


def test_two_strong_secrets_are_used_and_never_shown(load_env: Load) -> None:
    values = load_env(JWT_SECRET=ONE, JWT_REFRESH_SECRET=TWO, **SITE)

    assert (values["JWT_SECRET"], values["JWT_REFRESH_SECRET"]) == (ONE, TWO)
    shown = {row.name: row.value for row in values.describe()}
    assert (shown["JWT_SECRET"], shown["JWT_REFRESH_SECRET"]) == ("(set)", "(set)")
    assert not {ONE, TWO} & set(repr(values).split("'"))


def test_the_second_secret_alone_stops_the_start(faults: Lines) -> None:
    assert faults(JWT_REFRESH_SECRET=ONE) == [
        (
            "JWT_SECRET: is missing while JWT_REFRESH_SECRET is set. "
            "Fix: set it, or remove JWT_REFRESH_SECRET."
        )
    ]


@pytest.mark.parametrize("other", ["JWT_REFRESH_SECRET", "SECRET_KEY"])
def test_one_value_for_two_secrets_stops_the_start(faults: Lines, other: str) -> None:
    given = {"JWT_SECRET": ONE, "JWT_REFRESH_SECRET": TWO, other: ONE}
    pair = ["JWT_REFRESH_SECRET", "JWT_SECRET"] if other in NAMES else ["JWT_SECRET", other]

    assert faults(**given) == [
        f"{pair[0]}: is the same as {pair[1]}. Fix: give each secret a value of its own."
    ]


@pytest.mark.parametrize("secret", sorted(PUBLISHED))
@pytest.mark.parametrize("name", NAMES)
def test_a081_a_published_secret_stops_every_start(faults: Lines, name: str, secret: str) -> None:
    given = {"JWT_SECRET": ONE, "JWT_REFRESH_SECRET": TWO, name: secret}

    what = "is empty, a placeholder, or a value that is published"
    assert faults(**given) == [f"{name}: {what}. Fix: remove it, or {RANDOM}."]


@pytest.mark.parametrize("name", NAMES)
def test_a081_a_short_secret_stops_a_start_in_production(
    faults: Lines, warnings: Lines, name: str
) -> None:
    given = {"JWT_SECRET": ONE, "JWT_REFRESH_SECRET": TWO, name: "short but random 7xK"}
    line = f"{name}: is shorter than 32 characters. Fix: remove it, or {RANDOM}."

    assert faults(**given, **SITE) == [line]
    assert warnings(**given) == [line]


def test_an_algorithm_beside_a_secret_is_a_warning(warnings: Lines) -> None:
    (line,) = warnings(JWT_SECRET=ONE, JWT_REFRESH_SECRET=TWO, JWT_ALGORITHM="RS256")

    assert line == (
        "JWT_ALGORITHM: has no effect, because JWT_SECRET makes every access token HS256. "
        "Fix: remove one of them."
    )
