"""One parser for each kind of value: text in, value out, or Unreadable with a fix. Pure.

Parsers of what may hold a password never repeat the text.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from config.environment.errors import Unreadable
from config.environment.parsing.databases import parse_database_url
from config.environment.parsing.public_keys import KeySetting, parse_key_setting
from config.environment.parsing.urls import parse_url
from config.environment.schema import Kind, Variable
from core.text.durations import BareUnit, DurationError, format_duration, parse_duration
from core.text.email_addresses import AddressError, parse_email
from core.text.plain_text import echo

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")
# LobeChat's lists may be separated by the full-width comma.
SEPARATOR = re.compile("[,\uff0c]")
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


def parse(variable: Variable, text: str) -> Any:
    """The value that `text` means for `variable`. Raises Unreadable with a fix for it."""
    try:
        value = PARSERS[variable.kind](variable, _unquoted(variable, text))
        return variable.check(value) if variable.check else value
    except Unreadable as error:
        names_value = not variable.example or f"{variable.name}=" in error.fix
        example = "" if names_value else f", for example {variable.name}={variable.example}"
        raise Unreadable(error.what, variable.fix or error.fix + example) from None


def _unquoted(variable: Variable, text: str) -> str:
    """Without quotes around it: `docker run --env-file` hands them on. Secrets stay as they are."""
    if variable.secret:
        return text
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if is_quoted and text[0] not in text[1:-1] else text


def _text(_variable: Variable, text: str) -> str:
    if not text.isprintable():
        raise Unreadable("contains a line break or another control character", "write one line")
    return text


def _bool(_variable: Variable, text: str) -> bool:
    folded = text.lower()
    if folded in TRUE:
        return True
    if folded in FALSE:
        return False
    raise Unreadable(f"{echo(text)} is neither true nor false", "write true or false")


def _integer(variable: Variable, text: str) -> int:
    if WHOLE_NUMBER.fullmatch(text) is None:
        raise Unreadable(f"{echo(text)} is not a whole number", "write a whole number")
    number = int(text)
    _check_bounds(variable, number, text)
    return number


def read_duration(text: str, bare_unit: BareUnit, *, allow_zero: bool = False) -> timedelta:
    """parse_duration() that raises Unreadable."""
    try:
        return parse_duration(text, bare_unit=bare_unit, allow_zero=allow_zero)
    except DurationError as error:
        raise Unreadable(error.what, error.fix) from None


def _duration(variable: Variable, text: str) -> timedelta:
    duration = read_duration(text, variable.bare_unit, allow_zero=variable.minimum == timedelta(0))
    _check_bounds(variable, duration, text)
    return duration


def _check_bounds(variable: Variable, value: Any, text: str) -> None:
    low, high = variable.minimum, variable.maximum
    fix = f"write {bounds(variable)}"
    if low is not None and value < low:
        raise Unreadable(f"{echo(text)} is too small", fix)
    if high is not None and value > high:
        raise Unreadable(f"{echo(text)} is too large", fix)


def bounds(variable: Variable) -> str:
    """The allowed range in words: `1 to 64`, `at least 1m`, or nothing."""
    low, high = (
        format_duration(end) if isinstance(end, timedelta) else end
        for end in (variable.minimum, variable.maximum)
    )
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return "" if high is None else f"at most {high}"


def _list(_variable: Variable, text: str) -> list[str]:
    return [item.strip() for item in SEPARATOR.split(text) if item.strip()]


def _email(_variable: Variable, text: str) -> str:
    try:
        return parse_email(text)
    except AddressError:
        raise Unreadable(f"{echo(text)} is not an email address", "write one address") from None


def _url(_variable: Variable, text: str) -> str:
    return parse_url(text)


def _path(_variable: Variable, text: str) -> Path:
    return Path(text).expanduser()


def _networks(variable: Variable, text: str) -> list[Network]:
    return [_network(item) for item in _list(variable, text)]


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        fix = "write networks such as 10.0.0.0/8, or single addresses, separated by commas"
        raise Unreadable(f"{echo(text)} is not a network ({error})", fix) from None
    if network.prefixlen == 0:
        raise Unreadable(
            f"{echo(text)} trusts the whole internet, so every client could choose the address "
            "that limits, bans and the audit log use",
            "name only the network of your own reverse proxies",
        )
    return network


def _choice(variable: Variable, text: str) -> str:
    folded = text.lower()
    if folded not in variable.choices:
        choices = ", ".join(variable.choices)
        raise Unreadable(f"{echo(text)} is not one of {choices}", f"write one of {choices}")
    return folded


def _public_key(_variable: Variable, text: str) -> KeySetting:
    return parse_key_setting(text)


def _secret(_variable: Variable, text: str) -> str:
    return text


def _database_url(_variable: Variable, text: str) -> str:
    parse_database_url(text)
    return text


PARSERS: dict[Kind, Callable[[Variable, str], Any]] = {
    Kind.TEXT: _text,
    Kind.BOOL: _bool,
    Kind.INTEGER: _integer,
    Kind.DURATION: _duration,
    Kind.LIST: _list,
    Kind.EMAIL: _email,
    Kind.URL: _url,
    Kind.PATH: _path,
    Kind.NETWORKS: _networks,
    Kind.CHOICE: _choice,
    Kind.PUBLIC_KEY: _public_key,
    Kind.SECRET: _secret,
    Kind.DATABASE_URL: _database_url,
}
