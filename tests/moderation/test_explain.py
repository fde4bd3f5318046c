"""The explanation of a ban: scores of events add up to the stored total."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from moderation.admin.charts import HEIGHT, MARGIN, WIDTH, Rise, crossed_level, curve
from moderation.models import Violation
from moderation.services import explain as explaining
from moderation.services.explain import explain
from tests.moderation.history import banned, violated

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def worths(found: explaining.Explanation | None) -> list[float]:
    assert found is not None
    return [round(row.worth, 6) for row in found.rows]


@pytest.mark.django_db
def test_the_score_of_an_event_halves_with_each_half_life(viewer: User) -> None:
    for days_ago, score in ((2, 8.0), (1, 8.0)):
        violated(NOON - days_ago * DAY, user=viewer, score=score)
    ban = banned(user=viewer, since=NOON)
    crossing = violated(NOON, user=viewer, score=15, ban=ban)

    found = explain(ban)

    assert worths(found) == [2.0, 4.0, 15.0]
    assert found is not None
    assert (found.crossing, found.total, found.earlier) == (crossing, 21.0, 0.0)


@pytest.mark.django_db
def test_stored_totals_are_used_and_not_the_current_half_life(viewer: User) -> None:
    violated(NOON - 6 * HOUR, user=viewer, score=10, half_life=6 * HOUR)
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=15, half_life=6 * HOUR, ban=ban)

    assert worths(explain(ban)) == [5.0, 15.0]


@pytest.mark.django_db
def test_events_without_decay_keep_their_whole_score(viewer: User) -> None:
    for days_ago in (30, 20):
        violated(NOON - days_ago * DAY, user=viewer, score=10, half_life=timedelta(0))
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=1, half_life=timedelta(0), ban=ban)

    assert worths(explain(ban)) == [10.0, 10.0, 1.0]


@pytest.mark.django_db
def test_purged_events_are_shown_as_one_sum(viewer: User) -> None:
    old = violated(NOON - DAY, user=viewer, score=10)
    violated(NOON - HOUR, user=viewer, score=4)
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=15, ban=ban)
    old.delete()

    found = explain(ban)

    assert found is not None
    assert [row.violation.score for row in found.rows] == [4.0, 15.0]
    assert found.earlier == pytest.approx(5.0)
    assert found.has_earlier
    assert sum(row.worth for row in found.rows) + found.earlier == pytest.approx(found.total)


@pytest.mark.django_db
def test_no_more_than_the_maximum_is_listed_and_the_rest_summed(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "MAX_ROWS", 3)
    for minute in range(19, 0, -1):
        violated(NOON - timedelta(seconds=minute), user=viewer, half_life=timedelta(0))
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, half_life=timedelta(0), ban=ban)

    found = explain(ban)

    assert (worths(found), found and found.earlier) == ([1.0, 1.0, 1.0], 17.0)


@pytest.mark.django_db
def test_decayed_events_and_events_with_score_zero_are_not_listed(viewer: User) -> None:
    violated(NOON - 40 * DAY, user=viewer, score=5)
    violated(NOON - HOUR, user=viewer, score=0)
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=20, ban=ban)

    found = explain(ban)

    assert worths(found) == [20.0]
    assert found is not None
    assert not found.has_earlier


@pytest.mark.django_db
def test_only_events_of_the_same_subject_before_the_ban_count(viewer: User, editor: User) -> None:
    violated(NOON - HOUR, user=editor, score=7)
    violated(NOON - HOUR, score=7)
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=20, ban=ban)
    violated(NOON + HOUR, user=viewer, score=3)

    assert worths(explain(ban)) == [20.0]


@pytest.mark.django_db
def test_a_manual_ban_and_a_purged_one_have_no_explanation(viewer: User) -> None:
    violated(NOON - HOUR, user=viewer, score=7)
    by_hand = banned(user=viewer, since=NOON, kind="manual")
    purged = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=20, ban=purged)
    Violation.objects.all().delete()

    assert (explain(by_hand), explain(purged)) == (None, None)


@pytest.mark.django_db
def test_an_explanation_takes_two_queries(
    viewer: User, django_assert_num_queries: Callable[..., object]
) -> None:
    for hours in range(50, 0, -1):
        violated(NOON - hours * HOUR, user=viewer)
    ban = banned(user=viewer, since=NOON)
    violated(NOON, user=viewer, score=20, ban=ban)

    with django_assert_num_queries(2):  # type: ignore[attr-defined]
        explain(ban)


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=5 * 24 * 3600),
            st.floats(min_value=0, max_value=50, allow_subnormal=False),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_scores_and_the_rest_always_add_up_to_the_total(events: list[tuple[int, float]]) -> None:
    rows = _chain(sorted(events))

    found, earlier = explaining._worths(rows[::-1])

    total = sum(row.worth for row in found) + earlier
    assert total == pytest.approx(rows[-1].total_after, abs=1e-6)


def _chain(events: list[tuple[int, float]]) -> list[Violation]:
    """Unsaved violations of one subject, whose half-life changes in the middle."""
    rows: list[Violation] = []
    total, last = 0.0, 0
    for number, (second, score) in enumerate(events):
        half_life = 3600 * (24 if number < len(events) // 2 else 6)
        before = total * 0.5 ** ((second - last) / half_life)
        total, last = before + score, second
        at = NOON + timedelta(seconds=second)
        rows.append(Violation(at=at, score=score, total_before=before, total_after=total))
    return rows


# The line


def test_the_line_rises_at_each_event_and_falls_between() -> None:
    drawn = curve([Rise(NOON, 0, 16), Rise(NOON + DAY, 8, 20)], 20)

    assert (drawn.top, drawn.middle, drawn.level) == (20, 10, 20)
    points = drawn.line.removeprefix("M").split("L")
    assert points[:3] == [f"0 {HEIGHT}", f"{MARGIN} {HEIGHT}", f"{MARGIN} 32"]
    assert points[-2:] == [f"{WIDTH} 96", f"{WIDTH} 0"]
    heights = [float(point.split()[1]) for point in points[2:-1]]
    assert heights == sorted(heights)
    assert len(points) == 12
    assert drawn.level_line == f"M0 0H{WIDTH}"
    assert drawn.area == f"{drawn.line}V{HEIGHT}H0Z"


def test_events_at_one_moment_are_drawn_at_the_right_edge() -> None:
    drawn = curve([Rise(NOON, 0, 10), Rise(NOON, 10, 20)], 20)

    assert drawn.line == f"M0 {HEIGHT}L600 {HEIGHT}L600 80L600 80L600 0"


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [(19, 20, 20), (39.5, 41, 40), (5, 45, 40), (20, 21, None), (3, 8, None)],
)
def test_the_level_is_the_highest_multiple_that_was_crossed(
    before: float, after: float, level: float | None
) -> None:
    assert crossed_level(before, after, 20) == level


def test_the_line_of_an_unknown_level_is_left_out() -> None:
    assert curve([Rise(NOON, 3, 8)], 20).level_line == ""


def test_a_level_just_above_the_total_is_inside_the_picture() -> None:
    # Decay has taken a little, and scoring.TOLERANCE gives it back.
    assert (curve([Rise(NOON, 0, 40)], 40.1).top, curve([Rise(NOON, 0, 40)], 40).top) == (60, 40)
