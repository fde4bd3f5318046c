"""Durations such as 1h30m or 1000 * 60 * 15: parsed by a small grammar, never evaluated. Pure.

    sum      = product  (("+" | "-") product)*
    product  = factor   (("*" | "/" | "%") factor)*
    factor   = ("+" | "-") factor | "(" sum ")" | number | quantity+
    quantity = number unit          1h30m is two quantities, added

A sum without any unit is in the bare unit; in settings that is milliseconds, as in LibreChat.
`%` follows JavaScript (the sign of the left side), so that a sum means what it meant there.
"""

import re
from datetime import timedelta
from fractions import Fraction
from typing import Literal, NamedTuple

from core.text.plain_text import echo

BareUnit = Literal["ms", "seconds", "minutes"]

MILLISECONDS_OF_BARE_UNIT = {"ms": 1, "seconds": 1_000, "minutes": 60_000}
MILLISECONDS_OF_UNIT = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
MAX_TEXT_LENGTH = 200
MAX_NESTING = 20
MAX_DURATION = timedelta(days=3653)
FIX = "write a number with a unit (500ms, 30s, 15m, 24h, 30d, 1w) or a sum such as 1000 * 60 * 15"

_QUOTED = re.compile(r"""(?P<mark>["'])(?P<inside>.*?)(?P=mark)\s*(?:(?:\#|//).*)?""", re.DOTALL)
_COMMENT = re.compile(r"(?:#|//).*", re.DOTALL)
_EXPONENT = re.compile(r"\*\*|\^|\d[eE][-+]?\d")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)(?:\s*(?P<unit>[A-Za-z_]+))?|(?P<sign>[-+*/%()]))",
    re.ASCII,
)


class DurationError(ValueError):
    """The text is not a duration: `what` is wrong, and the `fix`, both without full stops."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, FIX


class Amount(NamedTuple):
    """A number, or with `is_time` a number of milliseconds that was written with a unit."""

    size: Fraction
    is_time: bool


class Token(NamedTuple):
    """A number, with its unit if it has one, or one sign."""

    text: str
    amount: Amount | None = None


def parse_duration(
    text: str, *, bare_unit: BareUnit | None = "ms", allow_zero: bool = False
) -> timedelta:
    """The duration that `text` means, to the microsecond. Raises DurationError.

    bare_unit: the unit of a number without one; None: every number needs a unit.
    """
    body = _without_quotes_and_comment(text)
    if not body:
        raise DurationError("is empty")
    amount = _Reader(_tokens(body)).read()
    size = amount.size
    if not amount.is_time:
        if bare_unit is None:
            raise DurationError(f"{echo(body)} has no unit")
        size *= MILLISECONDS_OF_BARE_UNIT[bare_unit]
    if size < 0:
        raise DurationError(f"{echo(body)} is negative")
    if size > MAX_DURATION / timedelta(milliseconds=1):
        raise DurationError(f"{echo(body)} is longer than ten years")
    duration = timedelta(microseconds=round(size * 1_000))
    if not duration and not allow_zero:
        raise DurationError(f"{echo(body)} is zero")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest way to write `duration` in our units: 15m, 1h30m, 500ms."""
    rest = duration // timedelta(milliseconds=1)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, MILLISECONDS_OF_UNIT[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0"


def _without_quotes_and_comment(text: str) -> str:
    if len(text) > MAX_TEXT_LENGTH:
        raise DurationError(f"is longer than {MAX_TEXT_LENGTH} characters")
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        text = quoted["inside"]
    return _COMMENT.sub("", text).strip()


def _tokens(body: str) -> list[Token]:
    if _EXPONENT.search(body):
        raise DurationError(f"{echo(body)} has an exponent, which is not understood")
    tokens, position = [], 0
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None:
            raise DurationError(f"{echo(body)} is not understood from {echo(body[position:])} on")
        tokens.append(_token(match))
        position = match.end()
    return tokens


def _token(match: re.Match[str]) -> Token:
    if match["sign"]:
        return Token(match["sign"])
    unit = match["unit"]
    if unit and unit not in MILLISECONDS_OF_UNIT:
        raise DurationError(f"{echo(unit)} is not a unit")
    size = Fraction(match["number"]) * MILLISECONDS_OF_UNIT.get(unit, 1)
    return Token(match[0].strip(), Amount(size, bool(unit)))


class _Reader:
    """Recursive descent over the tokens; `depth` bounds how deep it may go."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    def read(self) -> Amount:
        amount = self._sum()
        if self.position < len(self.tokens):
            raise DurationError(f"{echo(self.tokens[self.position].text)} is not expected there")
        return amount

    def _peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _take(self, signs: str) -> str:
        """The next sign if it is one of `signs`, then stepped over; else nothing."""
        token = self._peek()
        if token is None or token.amount is not None or token.text not in signs:
            return ""
        self.position += 1
        return token.text

    def _sum(self) -> Amount:
        left = self._product()
        while sign := self._take("+-"):
            right = self._product()
            if left.is_time != right.is_time:
                raise DurationError("adds a number without a unit to one with a unit")
            size = left.size + right.size if sign == "+" else left.size - right.size
            left = Amount(size, left.is_time)
        return left

    def _product(self) -> Amount:
        left = self._factor()
        while sign := self._take("*/%"):
            left = _multiplied(sign, left, self._factor())
        return left

    def _factor(self) -> Amount:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise DurationError(f"is nested deeper than {MAX_NESTING} levels")
        if sign := self._take("+-"):
            inner = self._factor()
            amount = Amount(-inner.size if sign == "-" else inner.size, inner.is_time)
        elif self._take("("):
            amount = self._sum()
            if not self._take(")"):
                raise DurationError("has a parenthesis that is not closed")
        else:
            amount = self._quantities()
        self.depth -= 1
        return amount

    def _quantities(self) -> Amount:
        token = self._peek()
        if token is None:
            raise DurationError("ends where a number is expected")
        if token.amount is None:
            raise DurationError(f"has {echo(token.text)} where a number is expected")
        self.position += 1
        total = token.amount
        while total.is_time and (token := self._peek()) and token.amount and token.amount.is_time:
            self.position += 1
            total = Amount(total.size + token.amount.size, True)
        return total


def _multiplied(sign: str, left: Amount, right: Amount) -> Amount:
    if sign == "*":
        if left.is_time and right.is_time:
            raise DurationError("multiplies two numbers that both have a unit")
        return Amount(left.size * right.size, left.is_time or right.is_time)
    if right.size == 0:
        raise DurationError("divides by zero")
    if sign == "/":
        if right.is_time:
            raise DurationError("divides by a number with a unit")
        return Amount(left.size / right.size, left.is_time)
    if left.is_time != right.is_time:
        raise DurationError("takes the remainder of numbers with and without a unit")
    quotient = left.size / right.size
    whole = quotient.numerator // quotient.denominator if quotient >= 0 else -(-quotient // 1)
    return Amount(left.size - right.size * whole, left.is_time)
