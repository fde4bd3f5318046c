"""The arithmetic of scores. Pure: no database, no settings, no clock.

A subject's total is the sum of the scores of its violations, each halved with every half-life that
has passed since. A ban is due when the total rises past a multiple of the interval.
"""

import math
from datetime import timedelta
from typing import NamedTuple

NEVER = timedelta(0)
# Share of an interval: 0.05 of the default 20.
TOLERANCE = 1 / 400


class Step(NamedTuple):
    """The effect of one violation: the total before and after it, and whether a ban is due."""

    before: float
    after: float
    is_ban: bool


def decayed(total: float, age: timedelta, half_life: timedelta) -> float:
    """What is left of `total` after `age`. half_life 0: there is no decay.

    A negative age (a clock that was set back) changes nothing.
    """
    if half_life == NEVER or age <= timedelta(0) or not total:
        return total
    return float(total * 0.5 ** (age / half_life))


def level(total: float, interval: float) -> int:
    """floor(total / interval), with a small tolerance.

    Twenty violations within a few minutes lose some hundredths to decay on their way to 20, and the
    documented ban at 20 must not wait for the twenty-first.
    """
    return math.floor(total / interval + TOLERANCE)


def crosses(before: float, after: float, interval: float) -> bool:
    """Does the level rise? Several multiples at once are one ban."""
    return level(after, interval) > level(before, interval)


def add(
    total: float, age: timedelta, score: float, *, half_life: timedelta, interval: float
) -> Step:
    """The step of a violation of `score`, `age` after the total was `total`."""
    before = decayed(total, age, half_life)
    after = before + score
    return Step(before, after, crosses(before, after, interval))
