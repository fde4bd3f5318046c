"""The mode without sign-in: only exact values turn it on (CONTRACT section 10, A155)."""

from collections.abc import Callable

import pytest

from accounts.roles import Role
from config.environment import anonymous_role, anonymous_settings
from tests.config.conftest import Load

Lines = Callable[..., list[str]]


def test_nothing_given_asks_for_sign_in(load_env: Load) -> None:
    env = load_env()

    assert anonymous_role(env) is None
    assert anonymous_settings(env) == []
    assert env.problems == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANONYMOUS_MODE", "true"),
        ("ANONYMOUS_MODE", '"true"'),
        ("REQUIRE_USER_AUTHENTICATION", "0"),
        ("REQUIRE_USER_AUTHENTICATION", "false"),
        ("AUTH_BACKEND", "none"),
        ("FEATURE_REQUIRE_LOGIN", "false"),
    ],
)
def test_each_system_has_its_setting_that_turns_sign_in_off(
    load_env: Load, name: str, value: str
) -> None:
    env = load_env(**{name: value})

    assert anonymous_role(env) is Role.EDITOR
    assert [setting.partition("=")[0] for setting in anonymous_settings(env)] == [name]
    assert [problem.name for problem in env.problems] == [name]


def test_the_anonymous_role_can_be_viewer(load_env: Load) -> None:
    assert anonymous_role(load_env(ANONYMOUS_MODE="true", ANONYMOUS_ROLE="viewer")) is Role.VIEWER


@pytest.mark.parametrize("role", ["none", "admin", "owner", "Owner", "superuser"])
def test_the_anonymous_role_cannot_be_an_admin_role(faults: Lines, role: str) -> None:
    (fault,) = faults(ANONYMOUS_MODE="true", ANONYMOUS_ROLE=role)

    assert fault.startswith("ANONYMOUS_ROLE: ")
    assert "write one of viewer, editor" in fault


@pytest.mark.parametrize("value", ["0", "false", "False", "no", "off", "", " ", "'false'"])
def test_no_spelling_of_false_turns_sign_in_off(load_env: Load, value: str) -> None:
    assert anonymous_role(load_env(ANONYMOUS_MODE=value)) is None


@pytest.mark.parametrize("value", ["1", "yes", "on", "True", "TRUE", "t", "tru", "true true"])
def test_values_close_to_true_stop_the_start(faults: Lines, value: str) -> None:
    (fault,) = faults(ANONYMOUS_MODE=value)

    assert fault == (
        f"ANONYMOUS_MODE: {value!r} is not exactly true, the only value that turns sign-in off. "
        "Fix: write ANONYMOUS_MODE=true, or remove it to keep sign-in."
    )


@pytest.mark.parametrize("name", ["ANON", "ANONYMOUS", "ANONYMOUS_MOD", "anonymous_mode"])
@pytest.mark.parametrize("value", ["true", "0", "1"])
def test_a_misspelt_name_does_not_turn_sign_in_off(load_env: Load, name: str, value: str) -> None:
    assert anonymous_role(load_env(**{name: value})) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUIRE_USER_AUTHENTICATION", "no"),
        ("REQUIRE_USER_AUTHENTICATION", "False"),
        ("REQUIRE_USER_AUTHENTICATION", "00"),
        ("FEATURE_REQUIRE_LOGIN", "0"),
        ("FEATURE_REQUIRE_LOGIN", "off"),
        ("FEATURE_REQUIRE_LOGIN", "FALSE"),
    ],
)
def test_other_spellings_stop_the_start_with_the_right_one(
    faults: Lines, name: str, value: str
) -> None:
    (fault,) = faults(**{name: value})

    assert fault.startswith(f"{name}: {value!r} is not exactly ")
    assert "or remove it to keep sign-in" in fault


@pytest.mark.parametrize("value", ["1", "true", "True", "t", "yes", " ", ""])
def test_truthy_values_of_mage_keep_sign_in_on(load_env: Load, value: str) -> None:
    assert anonymous_role(load_env(REQUIRE_USER_AUTHENTICATION=value)) is None


@pytest.mark.parametrize(
    ("given", "who"),
    [
        ({"ANONYMOUS_MODE": "true", "REQUIRE_USER_AUTHENTICATION": "1"}, "REQUIRE_USER_AUTH"),
        ({"ANONYMOUS_MODE": "true", "AUTH_BACKEND": "local"}, "AUTH_BACKEND"),
        ({"ANONYMOUS_MODE": "true", "FEATURE_REQUIRE_LOGIN": "true"}, "FEATURE_REQUIRE_LOGIN"),
        ({"ANONYMOUS_MODE": "false", "AUTH_BACKEND": "none"}, "ANONYMOUS_MODE"),
        ({"AUTH_BACKEND": "none", "FEATURE_REQUIRE_LOGIN": "true"}, "FEATURE_REQUIRE_LOGIN"),
        ({"FEATURE_REQUIRE_LOGIN": "false", "REQUIRE_USER_AUTHENTICATION": "1"}, "REQUIRE_USER"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(
    faults: Lines, given: dict[str, str], who: str
) -> None:
    (fault,) = faults(**given)

    assert fault.startswith(who)
    assert "requires sign-in, but" in fault
    assert fault.endswith("Fix: remove one of them.")


def test_external_tokens_contradict_the_anonymous_mode(faults: Lines) -> None:
    given = {"AUTH_JWT_ISSUER": "https://id.example.com/", "AUTH_JWT_AUDIENCE": "gate"}

    (fault,) = faults(AUTH_BACKEND="jwt", FEATURE_REQUIRE_LOGIN="false", **given)

    assert fault.startswith("AUTH_BACKEND: requires sign-in, but FEATURE_REQUIRE_LOGIN=false")


def test_several_agreeing_settings_are_one_mode(load_env: Load) -> None:
    env = load_env(AUTH_BACKEND="none", FEATURE_REQUIRE_LOGIN="false", ANONYMOUS_MODE="true")

    assert anonymous_role(env) is Role.EDITOR
    assert len(env.problems) == 3
