"""How settings are declared: constructors of variables, in sections. Values only, no reading.

duration("MAGIC_LINK_EXPIRY", default="10m", example="5m", bounds=("1m", "24h")).with_help(
    "How long a link works that a user has requested."
)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol, TypedDict, Unpack

from core.text.durations import BareUnit, parse_duration

# The largest number of most limits.
MAX_LIMIT = 100_000


class Values(Protocol):
    """Resolved settings by name: an Environment, or a plain mapping."""

    def __getitem__(self, name: str, /) -> Any: ...


class Kind(StrEnum):
    """What a value is; the text is what the reference page calls it."""

    TEXT = "text"
    BOOL = "true or false"
    INTEGER = "whole number"
    DURATION = "duration"
    LIST = "list, separated by commas"
    EMAIL = "email address"
    URL = "URL"
    PATH = "path"
    NETWORKS = "networks in CIDR notation, separated by commas"
    CHOICE = "one of a few words"
    PUBLIC_KEY = "public key in PEM, or the path of such a file"
    SECRET = "secret"  # noqa: S105 - the name of the kind
    DATABASE_URL = "database URL"


@dataclass(frozen=True, slots=True)
class Alias:
    """Another system's name for the same setting.

    `convert(text, texts)` turns that system's value into ours; `texts` are all given texts by
    name. A `yields` alias gives way to a better name, with a warning instead of an error.
    """

    name: str
    origin: str
    note: str = ""
    convert: Callable[[str, Mapping[str, str]], str] | None = None
    yields: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One setting. Defaults are written as an administrator would write them and parsed alike.

    `default_from(values)` derives the value from variables declared earlier; `default_note` says
    how. `check(value)` returns the value to keep or raises Unreadable. `generated` names the file
    under DATA_DIR/secrets that holds the value when none is given. A `strong` secret is refused
    when it is weak or published.
    """

    name: str
    kind: Kind
    help: str = ""
    example: str = ""
    default: str | None = None
    default_from: Callable[[Mapping[str, Any]], Any] | None = None
    default_note: str = ""
    aliases: tuple[Alias, ...] = ()
    origin: str = ""
    fix: str = ""
    choices: tuple[str, ...] = ()
    minimum: int | timedelta | None = None
    maximum: int | timedelta | None = None
    bare_unit: BareUnit = "ms"
    check: Callable[[Any], Any] | None = None
    required_in_production: bool = False
    strong: bool = False
    generated: str = ""

    @property
    def secret(self) -> bool:
        """Is the value never shown?"""
        return self.kind is Kind.SECRET

    @property
    def may_hold_password(self) -> bool:
        """Is the value, or a part of it, kept out of every message?"""
        return self.kind in (Kind.SECRET, Kind.DATABASE_URL)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the value may be given, the best first, without _FILE forms."""
        return (self.name, *(alias.name for alias in self.aliases))

    def with_help(self, text: str) -> "Variable":
        """The same variable with its text in the reference page: whole sentences."""
        return replace(self, help=text)


class Section:
    """Variables that belong together, under a heading of the reference page."""

    def __init__(self, title: str, intro: str, *variables: Variable) -> None:
        self.title, self.intro, self.variables = title, intro, variables


Default = str | int | Callable[[Mapping[str, Any]], Any] | None


class Options(TypedDict, total=False):
    """What each constructor takes; see Variable."""

    default_note: str
    example: str
    aliases: tuple[Alias, ...]
    origin: str
    fix: str
    choices: tuple[str, ...]
    check: Callable[[Any], Any]
    required_in_production: bool
    strong: bool
    generated: str


@dataclass(frozen=True, slots=True)
class Constructor:
    """Declares variables of one kind. A callable default derives the value from other settings."""

    kind: Kind

    def __call__(
        self, name: str, *, default: Default = None, **options: Unpack[Options]
    ) -> Variable:
        variable = Variable(name=name, kind=self.kind, **options)
        if callable(default):
            return replace(variable, default_from=default)
        return variable if default is None else replace(variable, default=str(default))


text, words = Constructor(Kind.TEXT), Constructor(Kind.LIST)
email, url, path = Constructor(Kind.EMAIL), Constructor(Kind.URL), Constructor(Kind.PATH)
networks, choice = Constructor(Kind.NETWORKS), Constructor(Kind.CHOICE)
secret, public_key = Constructor(Kind.SECRET), Constructor(Kind.PUBLIC_KEY)
database_url = Constructor(Kind.DATABASE_URL)


def switch(name: str, *, default: bool | None, **options: Unpack[Options]) -> Variable:
    """True or false; the example is the opposite of the default. Without one it may be None."""
    written = None if default is None else str(default).lower()
    variable = Constructor(Kind.BOOL)(name, default=written, **options)
    return replace(variable, example="false" if default else "true")


def integer(
    name: str, *, bounds: tuple[int, int], default: Default, **options: Unpack[Options]
) -> Variable:
    """A whole number within `bounds`."""
    variable = Constructor(Kind.INTEGER)(name, default=default, **options)
    return replace(variable, minimum=bounds[0], maximum=bounds[1])


def duration(
    name: str,
    *,
    bounds: tuple[str, str],
    default: Default,
    bare_unit: BareUnit = "ms",
    **options: Unpack[Options],
) -> Variable:
    """A time within `bounds`, such as ("1m", "24h"). `bare_unit`: that of a number without one."""
    low, high = (parse_duration(end, allow_zero=True) for end in bounds)
    variable = Constructor(Kind.DURATION)(name, default=default, **options)
    return replace(variable, minimum=low, maximum=high, bare_unit=bare_unit)


def rate_limit(
    prefix: str,
    what: str,
    count: int,
    window: str,
    *,
    maximum: int = MAX_LIMIT,
    origin: str = "LibreChat",
    note: str = "",
) -> tuple[Variable, Variable]:
    """The pair of a limit: how many of `what`, and in which time."""
    return (
        integer(
            f"{prefix}_MAX",
            default=count,
            example=str(count * 2),
            bounds=(1, maximum),
            origin=origin,
        ).with_help(f"The maximum number of {what} within {prefix}_WINDOW. {note}".strip()),
        duration(
            f"{prefix}_WINDOW",
            default=window,
            example="15m",
            bounds=("1s", "7d"),
            bare_unit="minutes",
            origin=origin,
        ).with_help(
            f"The time in which {prefix}_MAX counts. A number without a unit is in minutes."
        ),
    )
