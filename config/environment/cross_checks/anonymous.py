"""Checks of the mode without sign-in: what turns it on, and what contradicts it."""

from collections.abc import Iterator, Mapping
from typing import Any

from accounts.roles import Role
from config.environment.errors import Problem

# The value by which each setting turns the mode on, and how it is written.
ANONYMOUS_SWITCHES = {
    "ANONYMOUS_MODE": (True, "true"),
    "REQUIRE_USER_AUTHENTICATION": (False, "0"),
    "FEATURE_REQUIRE_LOGIN": (False, "false"),
    "AUTH_BACKEND": ("none", "none"),
}


def anonymous_settings(values: Any) -> list[str]:
    """The settings that turn the mode on, as `NAME=value`; [] while it is off."""
    return [
        f"{name}={text}"
        for name, (value, text) in ANONYMOUS_SWITCHES.items()
        if values[name] == value
    ]


def anonymous_role(values: Any) -> Role | None:
    """The role of users without an account; None while sign-in is required."""
    return Role(values["ANONYMOUS_ROLE"]) if anonymous_settings(values) else None


def check_anonymous_contradictions(
    values: Mapping[str, Any], sources: Mapping[str, str]
) -> Iterator[Problem]:
    """Errors: one setting turns sign-in off while another requires it."""
    opening = anonymous_settings(values)
    if not opening:
        return
    for name, (value, _text) in ANONYMOUS_SWITCHES.items():
        if sources[name] != "default" and values[name] != value:
            what = f"requires sign-in, but {opening[0]} turns it off"
            yield Problem(name, what, "remove one of them")


def check_anonymous_mode(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Warnings: the mode is on."""
    for setting in anonymous_settings(values):
        name, _sign, text = setting.partition("=")
        role = values["ANONYMOUS_ROLE"]
        what = f"is {text}: everyone who can open the site uses it as {role}, without an account"
        yield Problem(name, what, "remove it to require sign-in, and restart")
