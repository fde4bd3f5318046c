"""A045: invalid settings of moderation stop the start, with name, error and fix."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from config.environment import Environment, SettingsError

Load = Callable[..., Environment]


def test_the_defaults_equal_those_of_librechat(load_env: Load) -> None:
    env = load_env()

    assert (env["BAN_VIOLATIONS"], env["BAN_INTERVAL"]) == (True, 20)
    assert env["BAN_DURATION"] == timedelta(hours=2)
    assert env["MODERATION_SCORE_HALF_LIFE"] == timedelta(hours=24)
    assert env["NON_BROWSER_VIOLATION_SCORE"] == 20
    assert env["LOGIN_VIOLATION_SCORE"] == env["MESSAGE_VIOLATION_SCORE"] == 1
    assert (env["LIMIT_MESSAGE_IP"], env["LIMIT_MESSAGE_USER"]) == (True, False)
    assert (env["MESSAGE_IP_MAX"], env["MESSAGE_IP_WINDOW"]) == (40, timedelta(minutes=1))
    assert (env["LIMIT_CONCURRENT_MESSAGES"], env["CONCURRENT_MESSAGE_MAX"]) == (True, 2)


def test_the_notation_of_librechat_is_understood(load_env: Load) -> None:
    env = load_env(BAN_DURATION="1000 * 60 * 60 * 3", MESSAGE_USER_WINDOW="2")

    assert env["BAN_DURATION"] == timedelta(hours=3)
    assert env["MESSAGE_USER_WINDOW"] == timedelta(minutes=2)


def test_sign_in_limits_follow_login_max_by_default(load_env: Load) -> None:
    env, other = load_env(LOGIN_MAX="10"), load_env(LOGIN_IP_MAX="12", LOGIN_USER_MAX="9")

    assert (env["LOGIN_IP_MAX"], env["LOGIN_USER_MAX"]) == (50, 100)
    assert (other["LOGIN_MAX"], other["LOGIN_IP_MAX"], other["LOGIN_USER_MAX"]) == (7, 12, 9)


def test_a_limit_below_login_max_is_a_warning(load_env: Load) -> None:
    env = load_env(LOGIN_MAX="10", LOGIN_IP_MAX="9", LOGIN_USER_MAX="9")

    assert [problem.name for problem in env.problems] == ["LOGIN_IP_MAX", "LOGIN_USER_MAX"]


def test_a_half_life_of_zero_means_no_decay(load_env: Load) -> None:
    assert load_env(MODERATION_SCORE_HALF_LIFE="0")["MODERATION_SCORE_HALF_LIFE"] == timedelta(0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BAN_INTERVAL", "0"),
        ("BAN_INTERVAL", "-20"),
        ("BAN_INTERVAL", "many"),
        ("BAN_INTERVAL", "nan"),
        ("BAN_DURATION", "0"),
        ("BAN_DURATION", "-1"),
        ("BAN_DURATION", "soon"),
        ("MODERATION_SCORE_HALF_LIFE", "-1h"),
        ("LOGIN_VIOLATION_SCORE", "-1"),
        ("NON_BROWSER_VIOLATION_SCORE", "1e3"),
        ("MESSAGE_VIOLATION_SCORE", "one"),
        ("MESSAGE_IP_MAX", "0"),
        ("MESSAGE_USER_WINDOW", "0"),
        ("CONCURRENT_MESSAGE_MAX", "0"),
        ("LOGIN_DELAY_MAX", "1s"),
        ("LOGIN_IP_MAX", "0"),
        ("LOGIN_USER_MAX", "many"),
        ("RECIPIENT_MAIL_MAX", "0"),
        ("RECIPIENT_MAIL_WINDOW", "-1h"),
        ("MODERATION_RETENTION", "1h"),
        ("MODERATION_ALLOWED_NETWORKS", "0.0.0.0/0"),
        ("MODERATION_ALLOWED_NETWORKS", "office"),
    ],
)
def test_an_invalid_value_stops_the_start(load_env: Load, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_env(**{name: value})

    assert [problem.name for problem in refused.value.problems] == [name]
    assert all(problem.fix for problem in refused.value.problems)


def test_switching_bans_off_is_a_warning(load_env: Load) -> None:
    env = load_env(BAN_VIOLATIONS="false")

    assert [problem.name for problem in env.problems] == ["BAN_VIOLATIONS"]
