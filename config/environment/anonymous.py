"""Rules of the mode without sign-in: which setting switches it on, and who contradicts it."""

from collections.abc import Iterator, Mapping
from typing import Any

from accounts.roles import Role
from config.environment.errors import Problem

# What each setting is when it lets everybody in, and how an operator writes that.
OPENING = {
    "ANONYMOUS_MODE": (True, "true"),
    "REQUIRE_USER_AUTHENTICATION": (False, "0"),
    "FEATURE_REQUIRE_LOGIN": (False, "false"),
    "AUTH_BACKEND": ("none", "none"),
}


def opening_settings(values: Any) -> list[str]:
    """The settings that let everybody in, as `NAME=value`; none of them while the mode is off."""
    return [f"{name}={text}" for name, (value, text) in OPENING.items() if values[name] == value]


def anonymous_role(values: Any) -> Role | None:
    """The role of whoever has no account; None while sign-in is needed."""
    return Role(values["ANONYMOUS_ROLE"]) if opening_settings(values) else None


def contradictions(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Problem]:
    """Errors: somebody wrote both that everybody comes in and that sign-in is needed."""
    opening = opening_settings(values)
    if not opening:
        return
    for name, (value, _text) in OPENING.items():
        if sources[name] != "default" and values[name] != value:
            what = f"asks for sign-in while {opening[0]} lets everybody in without"
            yield Problem(name, what, "remove one of them")


def everybody_comes_in(values: Mapping[str, Any]) -> Iterator[Problem]:
    """The warning that stays while the mode is on."""
    for setting in opening_settings(values):
        name, _sign, text = setting.partition("=")
        role = values["ANONYMOUS_ROLE"]
        what = f"is {text}: whoever can open the site uses it as {role}, without an account"
        yield Problem(name, what, "remove it as soon as sign-in is wanted, and restart")
