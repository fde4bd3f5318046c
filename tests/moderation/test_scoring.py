"""The arithmetic of scores, for any events: A045."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from moderation import scoring
from moderation.scoring import NEVER
from tests.moderation.history import Event, replay

START = datetime(2026, 1, 1, tzinfo=UTC)
HALF_LIFE = timedelta(hours=24)
# Quarters, so that sums of floats are exact and a test may say "equal".
scores = some.integers(0, 400).map(lambda quarters: quarters / 4)
intervals = some.integers(1, 50).map(float)
moments = some.integers(0, 90 * 24 * 3600).map(lambda seconds: START + timedelta(seconds=seconds))
events = some.lists(some.builds(Event, moments, scores), max_size=40)


@given(events, intervals)
def test_without_decay_the_total_is_the_sum(found: list[Event], interval: float) -> None:
    steps = replay(found, half_life=NEVER, interval=interval)

    assert (steps[-1].after if steps else 0) == sum(event.score for event in found)


@given(events, intervals, some.randoms())
def test_any_order_of_the_same_moment_gives_the_same_total(
    found: list[Event], interval: float, random
) -> None:
    at_once = [Event(START, event.score) for event in found]
    shuffled = list(at_once)
    random.shuffle(shuffled)

    totals = [
        replay(order, half_life=HALF_LIFE, interval=interval)[-1:] for order in (at_once, shuffled)
    ]

    assert [step.after for step in totals[0]] == [step.after for step in totals[1]]


@given(events, intervals)
def test_a_ban_starts_exactly_when_the_level_rises(found: list[Event], interval: float) -> None:
    for step in replay(found, half_life=HALF_LIFE, interval=interval):
        rises = scoring.level(step.after, interval) > scoring.level(step.before, interval)
        assert step.is_ban is rises


@given(some.lists(scores, max_size=40), intervals)
def test_without_decay_each_multiple_bans_exactly_once(
    points: list[float], interval: float
) -> None:
    found = [Event(START + timedelta(seconds=n), score) for n, score in enumerate(points)]

    steps = replay(found, half_life=NEVER, interval=interval)

    levels = [scoring.level(step.after, interval) for step in steps]
    reached = {level for level in levels if level > 0}
    assert sum(step.is_ban for step in steps) == len(reached)


@given(some.integers(1, 100), some.integers(1, 200))
def test_a_score_of_one_bans_at_each_multiple_of_the_interval(interval: int, number: int) -> None:
    found = [Event(START, 1.0)] * number

    steps = replay(found, half_life=NEVER, interval=interval)

    banned = [place for place, step in enumerate(steps, 1) if step.is_ban]
    assert banned == list(range(interval, number + 1, interval))


@given(events, intervals)
def test_a_score_of_zero_never_bans(found: list[Event], interval: float) -> None:
    for step in replay(found, half_life=HALF_LIFE, interval=interval):
        if step.before == step.after:
            assert step.is_ban is False


@given(some.floats(0, 1e6), some.timedeltas(timedelta(0), timedelta(days=365)))
def test_decay_never_adds_and_never_goes_below_zero(total: float, age: timedelta) -> None:
    left = scoring.decayed(total, age, HALF_LIFE)

    assert 0 <= left <= total


@given(
    some.floats(0, 1e6),
    some.timedeltas(timedelta(0), timedelta(days=30)),
    some.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_decay_in_two_steps_is_decay_in_one(total: float, one: timedelta, two: timedelta) -> None:
    twice = scoring.decayed(scoring.decayed(total, one, HALF_LIFE), two, HALF_LIFE)

    assert twice == pytest.approx(scoring.decayed(total, one + two, HALF_LIFE))


@given(events)
def test_the_total_is_the_sum_of_decayed_scores(found: list[Event]) -> None:
    steps = replay(found, half_life=HALF_LIFE, interval=20)
    if not steps:
        return
    end = max(event.at for event in found)

    worth = sum(scoring.decayed(event.score, end - event.at, HALF_LIFE) for event in found)

    assert steps[-1].after == pytest.approx(worth)


@pytest.mark.parametrize(
    ("age", "left"),
    [
        (timedelta(0), 16.0),
        (timedelta(hours=24), 8.0),
        (timedelta(hours=48), 4.0),
        (timedelta(hours=12), 16 / math.sqrt(2)),
        (timedelta(hours=-5), 16.0),
    ],
)
def test_a_half_life_halves(age: timedelta, left: float) -> None:
    assert scoring.decayed(16.0, age, HALF_LIFE) == pytest.approx(left)


def test_with_a_half_life_of_zero_nothing_decays() -> None:
    assert scoring.decayed(16.0, timedelta(days=3650), NEVER) == 16.0


@pytest.mark.parametrize(
    ("before", "after", "is_ban"),
    [
        (18.0, 19.0, False),
        (19.0, 20.0, True),
        (20.0, 21.0, False),
        (39.5, 40.0, True),
        (0.0, 100.0, True),
        (0.0, 0.0, False),
        (20.0, 20.0, False),
    ],
)
def test_crossing_a_multiple_of_twenty(before: float, after: float, is_ban: bool) -> None:
    assert scoring.crosses(before, after, 20) is is_ban


def test_decay_within_seconds_does_not_postpone_a_ban() -> None:
    found = [Event(START + timedelta(seconds=10 * number), 1.0) for number in range(20)]

    steps = replay(found, half_life=timedelta(days=1), interval=20)

    assert steps[-1].after < 20
    assert [place for place, step in enumerate(steps, 1) if step.is_ban] == [20]


@pytest.mark.parametrize(
    ("total", "level"), [(0.0, 0), (19.94, 0), (19.96, 1), (20.0, 1), (39.94, 1), (39.96, 2)]
)
def test_a_total_just_below_a_multiple_is_rounded_up(total: float, level: int) -> None:
    assert scoring.level(total, 20) == level
