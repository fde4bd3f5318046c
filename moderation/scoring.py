"""The arithmetic of scores. Pure: no database, no settings, no clock.

A subject's total is the sum of the scores of all its violations, each halved with every half-life
that has passed since. A ban falls when the total crosses a multiple of the interval upwards.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

NEVER = timedelta(0)
# Of an interval: 0.05 of the usual 20.
NEXT_TO_NOTHING = 1 / 400


class Event(NamedTuple):
    """A scored violation."""

    at: datetime
    score: float


class Step(NamedTuple):
    """What one violation does to a total: before it, after it, and whether a ban falls."""

    before: float
    after: float
    is_ban: bool


def decayed(total: float, age: timedelta, half_life: timedelta) -> float:
    """What is left of `total` after `age`. half_life 0: all of it, for ever.

    An age below 0 (a clock that was set back) takes nothing away and adds nothing.
    """
    if half_life == NEVER or age <= timedelta(0) or not total:
        return total
    return float(total * 0.5 ** (age / half_life))


def level(total: float, interval: float) -> int:
    """floor(total / interval), where a total that lacks next to nothing counts as whole.

    Twenty violations within some minutes lose a few hundredths to decay on their way to 20; nobody
    who reads "20" expects the ban to wait for the twenty-first.
    """
    return math.floor(total / interval + NEXT_TO_NOTHING)


def crosses(before: float, after: float, interval: float) -> bool:
    """Does the level rise? One ban, however many multiples are jumped over."""
    return level(after, interval) > level(before, interval)


def add(
    total: float, age: timedelta, score: float, *, half_life: timedelta, interval: float
) -> Step:
    """A violation of `score`, `age` after the total was `total`."""
    before = decayed(total, age, half_life)
    after = before + score
    return Step(before, after, crosses(before, after, interval))


def replay(events: Iterable[Event], *, half_life: timedelta, interval: float) -> list[Step]:
    """The steps of events in the order of their time, from a total of 0."""
    steps: list[Step] = []
    total, last = 0.0, None
    for event in sorted(events):
        age = timedelta(0) if last is None else event.at - last
        step = add(total, age, event.score, half_life=half_life, interval=interval)
        steps.append(step)
        total, last = step.after, event.at
    return steps
