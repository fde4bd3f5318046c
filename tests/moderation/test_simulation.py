"""The simulation: stored violations under other limits, compared with what happened."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from moderation.models import Ban, Score, Violation
from moderation.services.simulation import Policy, Replay, replay
from tests.moderation.history import Event, banned, violated
from tests.moderation.history import replay as steps_of

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW_IN_FORCE = Policy(20, DAY)


def outcome(found: Replay) -> dict[str, tuple[str, int, int]]:
    """Subject -> (change, bans that would have fallen, bans that fell)."""
    return {
        one.user.email if one.user else one.network: (one.change, len(one.would), len(one.was))
        for one in found.results
    }


def flood(user: User, count: int, *, score: float = 1, since: datetime = NOON - DAY) -> None:
    """Violations a second apart, the twentieth point of which brings a ban."""
    for number in range(count):
        at = since + timedelta(seconds=number)
        row = violated(at, user=user, score=score, half_life=timedelta(0))
        if int(row.total_after // 20) > int(row.total_before // 20):
            Violation.objects.filter(pk=row.pk).update(ban=banned(user=user, since=at))


def test_a_lower_interval_bans_more_and_a_higher_one_fewer(viewer: User, editor: User) -> None:
    flood(viewer, 25)
    flood(editor, 12)

    never = Policy(20, timedelta(0))
    assert outcome(replay(never, days=7, now=NOON)) == {viewer.email: ("same", 1, 1)}
    assert outcome(replay(Policy(10, timedelta(0)), days=7, now=NOON)) == {
        editor.email: ("new", 1, 0),
        viewer.email: ("same", 2, 1),
    }
    assert outcome(replay(Policy(30, timedelta(0)), days=7, now=NOON)) == {
        viewer.email: ("spared", 0, 1)
    }


def test_a_shorter_half_life_bans_fewer_slow_clients(viewer: User) -> None:
    for hours in range(40, 0, -2):
        violated(NOON - hours * HOUR, user=viewer)

    assert outcome(replay(Policy(20, timedelta(0)), days=7, now=NOON)) == {
        viewer.email: ("new", 1, 0)
    }
    assert outcome(replay(Policy(20, 4 * HOUR), days=7, now=NOON)) == {}


def test_a_score_by_type_replaces_the_stored_one(viewer: User, editor: User) -> None:
    violated(NOON - HOUR, user=viewer, kind="message")
    violated(NOON - HOUR, user=editor, kind="login")

    found = replay(Policy(20, DAY, {"message": 20.0}), days=1, now=NOON)

    assert outcome(found) == {viewer.email: ("new", 1, 0)}
    assert (found.results[0].highest, found.events, found.subjects) == (20.0, 2, 2)


def test_a_score_of_zero_excludes_a_type(viewer: User) -> None:
    flood(viewer, 25)

    assert outcome(replay(Policy(20, DAY, {"login": 0.0}), days=7, now=NOON)) == {
        viewer.email: ("spared", 0, 1)
    }


def test_bans_start_when_the_interval_is_crossed(viewer: User) -> None:
    flood(viewer, 25)

    (verdict,) = replay(Policy(10, timedelta(0)), days=7, now=NOON).results

    begin = NOON - DAY
    assert verdict.would == (begin + timedelta(seconds=9), begin + timedelta(seconds=19))
    assert verdict.was == (begin + timedelta(seconds=19),)


def test_only_the_last_days_are_simulated_starting_from_zero(viewer: User) -> None:
    violated(NOON - 8 * DAY, user=viewer, score=15, half_life=timedelta(0))
    violated(NOON - 6 * DAY, user=viewer, score=15, half_life=timedelta(0))
    violated(NOON + HOUR, user=viewer, score=15, half_life=timedelta(0))

    week = replay(Policy(20, timedelta(0)), days=7, now=NOON)

    assert (outcome(week), week.events, week.since) == ({}, 1, NOON - 7 * DAY)
    assert outcome(replay(Policy(20, timedelta(0)), days=9, now=NOON)) == {
        viewer.email: ("new", 1, 0)
    }


def test_it_stops_at_the_maximum_and_reports_its_start(viewer: User) -> None:
    rows = [violated(NOON - hours * HOUR, user=viewer) for hours in (5, 4, 3, 2, 1)]

    cut = replay(NOW_IN_FORCE, days=7, now=NOON, maximum=3)
    whole = replay(NOW_IN_FORCE, days=7, now=NOON, maximum=5)

    assert (cut.events, cut.is_cut, cut.since) == (3, True, rows[1].at)
    assert (whole.events, whole.is_cut, whole.since) == (5, False, NOON - 7 * DAY)


def test_good_users_come_first_and_are_counted(viewer: User, editor: User, admin: User) -> None:
    for user in (viewer, editor, admin):
        flood(user, 12)
    signed_in = NOON - 2 * HOUR
    User.objects.filter(pk=editor.pk).update(last_login=signed_in)
    User.objects.filter(pk=admin.pk).update(last_login=NOON - 30 * DAY)

    found = replay(Policy(10, timedelta(0)), days=7, now=NOON)

    assert [one.good_sign_in for one in found.results] == [signed_in, None, None]
    assert found.results[0].user == editor
    assert (found.good, found.would, found.was) == (1, 3, 0)


def test_a_good_user_without_a_ban_is_not_counted(viewer: User) -> None:
    flood(viewer, 25)
    User.objects.filter(pk=viewer.pk).update(last_login=NOON)

    assert replay(Policy(30, DAY), days=7, now=NOON).good == 0


def test_networks_are_simulated_by_their_address() -> None:
    for network in ("203.0.113.7", "2001:db8::/64"):
        violated(NOON - HOUR, network=network, score=20)

    assert outcome(replay(NOW_IN_FORCE, days=1, now=NOON)) == {
        "203.0.113.7": ("new", 1, 0),
        "2001:db8::/64": ("new", 1, 0),
    }


def test_exempt_networks_and_the_last_owner_are_never_banned(owner: User, settings: Any) -> None:
    for network in ("203.0.113.7", "198.51.100.9", "127.0.0.1"):
        violated(NOON - HOUR, network=network, score=20)
    violated(NOON - HOUR, user=owner, score=20)
    settings.MODERATION_ALLOWED_NETWORKS = (ip_network("203.0.113.0/24"),)

    assert outcome(replay(NOW_IN_FORCE, days=1, now=NOON)) == {"198.51.100.9": ("new", 1, 0)}


def test_one_of_two_owners_can_be_banned(owner: User, make_user: Callable[..., User]) -> None:
    make_user("owner", "second@example.com")
    violated(NOON - HOUR, user=owner, score=20)

    assert outcome(replay(NOW_IN_FORCE, days=1, now=NOON)) == {owner.email: ("new", 1, 0)}


def test_it_agrees_with_the_arithmetic_of_scores(viewer: User, editor: User) -> None:
    for number in range(60):
        user = viewer if number % 3 else editor
        violated(NOON - (60 - number) * HOUR, user=user, score=1 + number % 5)
    policy = Policy(7, 5 * HOUR)

    found = {one.subject: one for one in replay(policy, days=7, now=NOON).results}

    for user in (viewer, editor):
        rows = Violation.objects.filter(user=user)
        events = [Event(row.at, row.score) for row in rows]
        steps = steps_of(events, half_life=policy.half_life, interval=policy.interval)
        pairs = zip(sorted(events), steps, strict=True)
        verdict = found[f"user:{user.pk}"]
        assert verdict.would == tuple(event.at for event, step in pairs if step.is_ban)
        assert verdict.would
        assert verdict.highest == max(step.after for step in steps)
        assert verdict.events == len(events)


def test_it_writes_nothing_and_its_queries_do_not_grow(make_user: Callable[..., User]) -> None:
    def grow(count: int) -> None:
        for _ in range(count):
            flood(make_user(), 3)

    grow(2)
    with CaptureQueriesContext(connection) as few:
        replay(Policy(2, DAY), days=7, now=NOON)
    grow(10)
    before = list(Violation.objects.order_by("pk").values())
    with CaptureQueriesContext(connection) as many:
        found = replay(Policy(2, DAY), days=7, now=NOON)

    assert found.would == 12
    assert len(many) == len(few) == 3
    assert list(Violation.objects.order_by("pk").values()) == before
    assert (Ban.objects.count(), Score.objects.count()) == (0, 0)
