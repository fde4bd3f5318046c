"""Counted actions: limits, shares of an address, concurrency slots, browsers."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import User
from config.environment.actions import SLOT_LIFE, action_limits
from config.environment.errors import Unreadable
from config.environment.registry.actions import ActionLimit, check_action_limits
from core.errors import NotFound
from moderation.models import Ban, Violation
from moderation.services.actions import (
    ActionSubject,
    LimitExceeded,
    LimitState,
    NotABrowser,
    count_action,
    is_browser,
    release_action,
    start_action,
)
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
OFFICE = "203.0.113.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _limits(settings: Any) -> None:
    settings.ACTIONS = {
        "message": {"ip": (4, MINUTE), "concurrent": (2, MINUTE)},
        "image": {"user": (2, timedelta(hours=1)), "ip": (5, MINUTE)},
        "free": {},
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """clock(61) moves the clock of the counters from now on."""
    real = time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr("time.time", lambda: real() + seconds)

    return move


def _refused(action: str, subject: ActionSubject, begin: Any = count_action) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as problem:
        begin(action, subject)
    return problem.value


def test_the_limit_of_an_address_is_exact_and_the_next_action_scores(owner: User) -> None:
    subject = ActionSubject(network=OFFICE, reported_by=owner)

    left = [count_action("message", subject).remaining for _ in range(4)]
    error = _refused("message", subject)

    assert left == [3, 2, 1, 0]
    assert 1 <= error.retry_after_seconds <= 60
    assert (error.status, error.code, error.until) == (429, "rate_limited", None)
    violation = Violation.objects.get()
    assert (violation.type, violation.score, violation.limit) == ("message", 1, "4 in 1m")
    assert (violation.subject, violation.reported_by) == (f"network:{OFFICE}", owner.pk)
    assert violation.detail == {"by": "ip", "count": 5}


def test_a_window_starts_with_the_first_action_and_expires(
    owner: User, clock: Callable[[float], None]
) -> None:
    subject = ActionSubject(network=OFFICE, reported_by=owner)
    reset_at = [count_action("message", subject).reset_at for _ in range(4)]
    assert len(set(reset_at)) == 1
    assert reset_at[0] is not None
    assert timedelta(seconds=59) < reset_at[0] - datetime.now(UTC) <= MINUTE

    clock(59)
    _refused("message", subject)
    clock(60.5)
    assert count_action("message", subject).remaining == 3


def test_each_address_user_and_action_has_its_own_counter(
    owner: User, viewer: User, editor: User
) -> None:
    for user in (viewer, editor):
        for _ in range(2):
            count_action("image", ActionSubject(user=user, reported_by=owner))
        _refused("image", ActionSubject(user=user, reported_by=owner))

    for network in (OFFICE, "2001:db8::/64"):
        assert (
            count_action("image", ActionSubject(network=network, reported_by=owner)).remaining == 4
        )
        assert (
            count_action("message", ActionSubject(network=network, reported_by=owner)).remaining
            == 3
        )


def test_the_tightest_limit_is_reported(owner: User, viewer: User, settings: Any) -> None:
    subject = ActionSubject(user=viewer, network=OFFICE, reported_by=owner)

    assert count_action("image", subject)[:2] == (2, 1)
    settings.ACTIONS = {"image": {"user": (9, timedelta(hours=1)), "ip": (5, MINUTE)}}
    assert count_action("image", subject)[:2] == (5, 3)


def test_without_limits_nothing_is_counted(owner: User, viewer: User) -> None:
    for _ in range(9):
        assert count_action("free", ActionSubject(user=viewer, reported_by=owner)) == LimitState()
        # An address is limited here, and none was named.
        assert (
            count_action("message", ActionSubject(user=viewer, reported_by=owner)) == LimitState()
        )


def test_an_action_that_is_not_configured_is_not_found(owner: User) -> None:
    for act in (count_action, start_action):
        with pytest.raises(NotFound):
            act("mesage", ActionSubject(network=OFFICE, reported_by=owner))


def test_users_sharing_an_address_wait_without_a_score(owner: User, make_user: MakeUser) -> None:
    people = [make_user("viewer") for _ in range(4)]
    for user in people:
        count_action("message", ActionSubject(user=user, network=OFFICE, reported_by=owner))

    _refused("message", ActionSubject(user=people[0], network=OFFICE, reported_by=owner))

    assert [(each.user, each.score) for each in Violation.objects.all()] == [(people[0], 0)]


def test_a_user_who_fills_a_shared_address_alone_scores(owner: User, make_user: MakeUser) -> None:
    loud, quiet = make_user("viewer"), make_user("viewer")
    for user in (quiet, loud, loud, loud):
        count_action("message", ActionSubject(user=user, network=OFFICE, reported_by=owner))

    _refused("message", ActionSubject(user=quiet, network=OFFICE, reported_by=owner))
    _refused("message", ActionSubject(user=loud, network=OFFICE, reported_by=owner))

    scores = Violation.objects.order_by("id").values_list("user", "score")
    assert list(scores) == [(quiet.pk, 0), (loud.pk, 1)]


def test_exceeding_the_interval_bans_and_returns_its_end(
    owner: User, viewer: User, settings: Any
) -> None:
    settings.BAN_INTERVAL, settings.MODERATION_SCORE_HALF_LIFE = 3, timedelta(0)
    subject = ActionSubject(user=viewer, network=OFFICE, reported_by=owner)
    for _ in range(4):
        count_action("message", subject)

    untils = [_refused("message", subject).until for _ in range(3)]

    ban = Ban.objects.get()
    assert untils == [None, None, ban.until]
    assert (ban.user, ban.network, ban.kind) == (viewer, OFFICE, "automatic")


def test_an_app_cannot_score_users_above_the_owner_of_its_key(
    admin: User, owner: User, make_user: MakeUser
) -> None:
    colleague = make_user("admin")
    for user in (owner, colleague, admin):
        for _ in range(2):
            count_action("image", ActionSubject(user=user, reported_by=admin))
        _refused("image", ActionSubject(user=user, reported_by=admin))
    _refused("image", ActionSubject(user=colleague, reported_by=owner))

    scores = Violation.objects.order_by("id").values_list("score", flat=True)
    assert list(scores) == [0, 0, 0, 1]


def test_concurrent_actions_are_limited_and_released(owner: User, viewer: User) -> None:
    subject = ActionSubject(user=viewer, reported_by=owner)
    first, second = (start_action("message", subject).slot for _ in range(2))
    assert first is not None
    assert second is not None
    assert timedelta(seconds=59) < first.until - datetime.now(UTC) <= SLOT_LIFE

    error = _refused("message", subject, start_action)
    violation = Violation.objects.get()
    assert (violation.type, violation.limit) == ("concurrent", "2 at once")
    assert (violation.user, violation.detail) == (viewer, {"action": "message"})
    assert error.retry_after_seconds == 1

    assert release_action(first.name) is True
    assert release_action(first.name) is False
    assert start_action("message", subject).slot is not None
    _refused("message", subject, start_action)


def test_slots_of_a_crashed_app_are_released_after_a_minute(
    owner: User, viewer: User, clock: Callable[[float], None]
) -> None:
    subject = ActionSubject(user=viewer, reported_by=owner)
    old = [start_action("message", subject).slot for _ in range(2)]
    clock(59)
    _refused("message", subject, start_action)
    clock(61)

    new = [start_action("message", subject).slot for _ in range(2)]

    # A previous holder cannot release a slot that now belongs to another user.
    assert [release_action(slot.name) for slot in old if slot] == [False, False]
    assert [release_action(slot.name) for slot in new if slot] == [True, True]


def test_slots_are_released_only_by_their_full_name(owner: User, viewer: User) -> None:
    slot = start_action("message", ActionSubject(user=viewer, reported_by=owner)).slot
    assert slot is not None
    key, _, _mark = slot.name.rpartition(".")

    for name in ("", "x", key, f"{key}.{'0' * 32}", f"{slot.name}0", f"{slot.name}\n", "." * 300):
        assert release_action(name) is False
    assert release_action(slot.name) is True


def test_a_rejected_start_holds_no_slot(owner: User, viewer: User) -> None:
    subject = ActionSubject(user=viewer, network=OFFICE, reported_by=owner)
    for _ in range(4):
        count_action("message", subject)
    for _ in range(3):
        _refused("message", subject, start_action)

    assert {each.type for each in Violation.objects.all()} == {"message"}
    assert start_action("message", ActionSubject(user=viewer, reported_by=owner)).slot is not None


def test_without_a_subject_no_slot_is_needed(owner: User) -> None:
    started = start_action("message", ActionSubject(network=OFFICE, reported_by=owner))

    assert (started.slot, started.standing.remaining) == (None, 3)


def test_a_client_that_is_no_browser_scores_as_configured(
    owner: User, viewer: User, settings: Any
) -> None:
    def subject(agent: str | None) -> ActionSubject:
        return ActionSubject(user=viewer, user_agent=agent, reported_by=owner)

    for agent in (FIREFOX, None):
        count_action("free", subject(agent))
    with pytest.raises(NotABrowser):
        count_action("free", subject("curl/8.5.0"))

    violation = Violation.objects.get()
    assert (violation.type, violation.score) == ("non_browser", 20)
    assert violation.ban is not None
    settings.VIOLATION_SCORES = {**settings.VIOLATION_SCORES, "non_browser": 0}
    assert count_action("free", subject("curl/8.5.0")) == LimitState()


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, True),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", True),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15", True),
        ("Opera/9.80 (X11; Linux) Presto/2.12 Version/12.16", True),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)", True),
        ("Lynx/2.9.0", True),
        ("", False),
        ("Mozilla/5.0", False),
        ("curl/8.5.0", False),
        ("python-requests/2.32", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", False),
        ("Go-http-client/2.0", False),
        ("Chrome", False),
        ("x" * 600 + FIREFOX, False),
    ],
)
def test_browsers_are_recognized_by_their_user_agent(agent: str, expected: bool) -> None:
    assert is_browser(agent) is expected


def test_a_check_is_one_statement_for_each_counter(
    owner: User, viewer: User, django_assert_num_queries: Any
) -> None:
    alone = ActionSubject(network=OFFICE, reported_by=owner)
    with django_assert_num_queries(1, using="cache"), django_assert_num_queries(0):
        count_action("message", alone)
    both = ActionSubject(user=viewer, network=OFFICE, reported_by=owner)
    with django_assert_num_queries(3, using="cache"), django_assert_num_queries(0):
        count_action("image", both)


def test_limits_of_apps_are_read_from_one_setting() -> None:
    text = ["image:user=10/1h", "image:ip=50/15", "image:concurrent=1"]
    env = {
        "LIMIT_MESSAGE_USER": True,
        "MESSAGE_USER_MAX": 7,
        "MESSAGE_USER_WINDOW": MINUTE,
        "LIMIT_MESSAGE_IP": False,
        "LIMIT_CONCURRENT_MESSAGES": False,
        "ACTION_LIMITS": check_action_limits(text),
    }

    assert env["ACTION_LIMITS"] == (
        ActionLimit("image", "user", 10, timedelta(hours=1)),
        ActionLimit("image", "ip", 50, timedelta(minutes=15)),
        ActionLimit("image", "concurrent", 1, None),
    )
    assert action_limits(env) == {
        "message": {"user": (7, MINUTE)},
        "image": {
            "user": (10, timedelta(hours=1)),
            "ip": (50, timedelta(minutes=15)),
            "concurrent": (1, SLOT_LIFE),
        },
    }


@pytest.mark.parametrize(
    "entries",
    [
        ["image"],
        ["image=10/1h"],
        ["image:user=10"],
        ["image:user=0/1h"],
        ["image:user=-1/1h"],
        ["image:user=10/1y"],
        ["image:user=10/0"],
        ["image:user=10/32d"],
        ["image:concurrent=1/1h"],
        ["image:concurrent=101"],
        ["Image:user=10/1h"],
        ["image:team=10/1h"],
        ["message:user=10/1h"],
        ["login:ip=10/1h"],
        ["image:user=1/1h", "image:user=2/1h"],
    ],
)
def test_limits_that_cannot_be_read_stop_the_start(entries: list[str]) -> None:
    with pytest.raises(Unreadable) as problem:
        check_action_limits(entries)

    assert problem.value.fix


def test_counters_contain_only_the_id_of_a_user(owner: User, viewer: User) -> None:
    slot = start_action("message", ActionSubject(user=viewer, reported_by=owner)).slot

    assert slot is not None
    assert viewer.email not in slot.name
    assert uuid.UUID(slot.name.split(":")[1].split(".")[0]) == viewer.pk
