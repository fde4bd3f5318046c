"""The standard scopes, and what an app learns by each. Pure.

Discovery and the page of consent read them, and those that owners make: see services.app_scopes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class Scope(NamedTuple):
    """label: what the page of consent says. claims: what tokens and userinfo tell."""

    name: str
    label: Any
    claims: tuple[str, ...] = ()


OPENID, OFFLINE = "openid", "offline_access"
SCOPES = (
    Scope(OPENID, _("know that you have signed in here"), ("sub",)),
    Scope(
        "profile", _("see your name and your language"),
        ("name", "preferred_username", "locale", "zoneinfo"),
    ),
    Scope("email", _("see your email address"), ("email", "email_verified")),
    Scope("groups", _("see your role and your groups"), ("groups",)),
    Scope(OFFLINE, _("stay signed in after you sign out here")),
)  # fmt: skip
NAMES = tuple(scope.name for scope in SCOPES)
CLAIMS = tuple(claim for scope in SCOPES for claim in scope.claims)


# What tokens of programs may have: nobody has signed in, so nothing about a sign-in.
OF_PROGRAMS = ("profile", "groups")
OF_SIGN_INS = tuple(name for name in NAMES if name not in OF_PROGRAMS)


def known(requested: Iterable[str], custom: Iterable[str] = ()) -> tuple[str, ...]:
    """The scopes that exist, in the order of the table; others are ignored (Core, 3.1.2.1).

    custom: those that owners have made, and that the app may ask for; they come last.
    """
    wanted = set(requested)
    return tuple(name for name in (*NAMES, *custom) if name in wanted)


def of_claims(names: Iterable[str]) -> tuple[str, ...]:
    """The scopes that open these claims: whoever asks for a claim asks for what its scope says."""
    wanted = set(names)
    return tuple(scope.name for scope in SCOPES if wanted & set(scope.claims))


def labels(names: Iterable[str]) -> list[Any]:
    """What each scope lets the app know."""
    wanted = set(names)
    return [scope.label for scope in SCOPES if scope.name in wanted]
