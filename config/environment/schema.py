"""How a setting is declared: one Variable each, grouped in Sections. Values only, no reading."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from config.environment.parsing.durations import BareUnit


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
    CACHE_URL = "Redis URL"


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
    """One setting. Defaults are written as an operator would write them and parsed alike.

    `default_from(values)` derives the value from variables declared earlier; `default_note` says
    how. `check(value)` returns the value to keep or raises Unreadable. `generated` names the file
    under DATA_DIR/secrets that holds the value when none is given. A `strong` secret is refused
    when it is weak or published.
    """

    name: str
    kind: Kind
    help: str
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
        return self.kind in (Kind.SECRET, Kind.DATABASE_URL, Kind.CACHE_URL)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the value may be given, the best first, without _FILE forms."""
        return (self.name, *(alias.name for alias in self.aliases))


@dataclass(frozen=True, slots=True)
class Section:
    """Variables that belong together, under a heading of the reference page."""

    title: str
    intro: str
    variables: tuple[Variable, ...]
