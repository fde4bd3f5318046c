"""The grammar of durations: accepted and rejected forms, compared with a reference."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.text.durations import FIX, DurationError, format_duration, parse_duration

MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1000 * 60 * 15", 900_000),
        ("(1000 * 60 * 60 * 24) * 7", 604_800_000),
        ("1000*60*60*2", 7_200_000),
        ("7200000", 7_200_000),
        ("1000 * 60 * 15 # fifteen minutes", 900_000),
        ("1000 * 60 * 60 // one hour", 3_600_000),
        ("'1000 * 60'", 60_000),
        ('"1000 * 60" # one minute', 60_000),
        ('"1000 * 60 # one minute"', 60_000),
        ("1000 + 500 - 250", 1_250),
        ("1000 - 500 - 250", 250),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("100 / 10 / 2", 5),
        ("100 % 30", 10),
        ("7 - 10 % 4", 5),
        ("(0 - 7) % 4 + 10", 7),
        ("1.5 * 1000", 1_500),
        (".5 * 1000", 500),
        ("5. * 100", 500),
        ("1000 / 3 * 3", 1_000),
        ("-500 + 1000", 500),
        ("+500", 500),
        ("\t 1000\u0020", 1_000),
    ],
)
def test_a_product_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds * MILLISECOND


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("1w", timedelta(days=7)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1h 30m 5s", timedelta(hours=1, minutes=30, seconds=5)),
        ("1.5h", timedelta(minutes=90)),
        ("10 m", timedelta(minutes=10)),
        ("2 * 15m", timedelta(minutes=30)),
        ("15m * 2", timedelta(minutes=30)),
        ("1h / 4", timedelta(minutes=15)),
        ("1d - 1h", timedelta(hours=23)),
        ("90m % 1h", timedelta(minutes=30)),
    ],
)
def test_an_explicit_unit_overrides_the_default_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(text, bare_unit="minutes") == duration


def test_a_plain_number_has_the_unit_of_its_variable() -> None:
    assert parse_duration("5", bare_unit="minutes") == timedelta(minutes=5)
    assert parse_duration("5", bare_unit="seconds") == timedelta(seconds=5)
    assert parse_duration("5") == timedelta(milliseconds=5)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("''", "is empty"),
        ("# nothing", "is empty"),
        ("0", "'0' is zero"),
        ("1000 * 0", "'1000 * 0' is zero"),
        ("0.0000001", "'0.0000001' is zero"),
        ("-5", "'-5' is negative"),
        ("10 - 20", "'10 - 20' is negative"),
        ("1 / 0", "divides by zero"),
        ("1 / (5 - 5)", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("10 ** 3", "'10 ** 3' has an exponent, which is not understood"),
        ("10^3", "'10^3' has an exponent, which is not understood"),
        ("1e9", "'1e9' has an exponent, which is not understood"),
        ("9" * 15, f"'{'9' * 15}' is longer than ten years"),
        ("11 * 365d", "'11 * 365d' is longer than ten years"),
        ("1" * 201, "is longer than 200 characters"),
        ("(" * 21 + "1" + ")" * 21, "is nested deeper than 20 levels"),
        ("-" * 21 + "1", "is nested deeper than 20 levels"),
        ("(1000", "has a parenthesis that is not closed"),
        ("1000)", "')' is not expected there"),
        ("1000 *", "ends where a number is expected"),
        ("* 1000", "has '*' where a number is expected"),
        ("()", "has ')' where a number is expected"),
        ("1000 60", "'60' is not expected there"),
        ("1h 30", "'30' is not expected there"),
        ("15 minutes", "'minutes' is not a unit"),
        ("15M", "'M' is not a unit"),
        ("1_000", "'_' is not a unit"),
        ("1,000", "'1,000' is not understood from ',000' on"),
        ("soon", "'soon' is not understood from 'soon' on"),
        ("__import__('os')", "\"__import__('os')\" is not understood from \"__import__('os')\" on"),
        ("process.exit(1)", "'process.exit(1)' is not understood from 'process.exit(1)' on"),
        ("\u0661\u0665m", "'\u0661\u0665m' is not understood from '\u0661\u0665m' on"),
        ("15m + 5", "adds a number without a unit to one with a unit"),
        ("15m * 15m", "multiplies two numbers that both have a unit"),
        ("1h / 15m", "divides by a number with a unit"),
        ("1h % 7", "takes the remainder of numbers with and without a unit"),
        ("Infinity", "'Infinity' is not understood from 'Infinity' on"),
        ("NaN", "'NaN' is not understood from 'NaN' on"),
        ('"1000', "'\"1000' is not understood from '\"1000' on"),
    ],
)
def test_an_invalid_duration_is_rejected_with_reason_and_example(text: str, what: str) -> None:
    with pytest.raises(DurationError) as problem:
        parse_duration(text)

    assert problem.value.what == what
    assert problem.value.fix == FIX


def test_zero_is_accepted_if_allowed() -> None:
    assert parse_duration("0", allow_zero=True) == timedelta(0)


def test_the_maximum_is_ten_years() -> None:
    assert parse_duration("3653d") == timedelta(days=3653)
    with pytest.raises(DurationError, match="longer than ten years"):
        parse_duration("3653d + 1ms")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=30), "30d"),
        (timedelta(milliseconds=500), "500ms"),
        (timedelta(0), "0"),
    ],
)
def test_a_duration_is_formatted_as_it_can_be_written(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@pytest.mark.parametrize("text", ["5", "1000 * 60", "(5)"])
def test_an_ambiguous_number_without_a_unit_is_rejected(text: str) -> None:
    with pytest.raises(DurationError, match="has no unit"):
        parse_duration(text, bare_unit=None)

    assert parse_duration("1d12h", bare_unit=None) == timedelta(hours=36)


@dataclass(frozen=True)
class Sum:
    """A generated sum: how it is written and, by plain fractions, what it is."""

    text: str
    value: Fraction | None


def _combined(left: Sum, sign: str, right: Sum) -> Sum:
    text = f"({left.text}){sign} ({right.text})"
    if left.value is None or right.value is None or (sign in "/%" and right.value == 0):
        return Sum(text, None)
    if sign == "%":
        quotient = left.value / right.value
        return Sum(text, left.value - right.value * int(quotient))
    value = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }[sign](left.value, right.value)
    return Sum(text, value)


NUMBERS = st.one_of(
    st.integers(0, 100_000).map(lambda number: Sum(str(number), Fraction(number))),
    st.decimals(0, 1_000, places=2).map(lambda number: Sum(str(number), Fraction(str(number)))),
)
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.builds(_combined, inner, st.sampled_from("+-*/%"), inner),
    max_leaves=8,
)
LONGEST_MILLISECONDS = Fraction(timedelta(days=3653) // MILLISECOND)


@settings(deadline=None)
@given(SUMS)
def test_every_expression_agrees_with_fractions(generated: Sum) -> None:
    value = generated.value
    is_taken = (
        value is not None
        and len(generated.text) <= 200
        and round(value * 1_000) > 0
        and value <= LONGEST_MILLISECONDS
    )

    if is_taken:
        expected = timedelta(microseconds=round(value * 1_000))
        assert parse_duration(generated.text) == expected
    else:
        with pytest.raises(DurationError):
            parse_duration(generated.text)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("+-*/%"), st.integers(1, 99)), max_size=8))
def test_precedence_agrees_with_python(tail: list[tuple[str, int]]) -> None:
    text = "5000" + "".join(f" {sign} {number}" for sign, number in tail)
    # The text holds digits and signs of this test alone; Fraction makes the division exact.
    exact = "Fraction(5000)" + "".join(f" {sign} Fraction({number})" for sign, number in tail)
    expected = eval(exact)

    if round(expected * 1_000) <= 0 or expected > LONGEST_MILLISECONDS:
        with pytest.raises(DurationError):
            parse_duration(text)
    else:
        assert parse_duration(text) == timedelta(microseconds=round(expected * 1_000))


@settings(deadline=None)
@given(st.text(max_size=250))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with suppress(DurationError):
        assert timedelta(0) < parse_duration(text) <= timedelta(days=3653)
