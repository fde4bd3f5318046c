"""Concurrent violations in real processes: each is counted, each crossing bans once."""

from itertools import cycle, islice
from pathlib import Path

import pytest

from devtools.servers.client import Answer
from devtools.servers.databases import InstanceData
from tests.accounts.race_processes import PROCESSES, THREADS, Race, run_race
from tests.moderation.race_actions import EACH
from tests.servers.fixtures import StartGatehouse
from tests.servers.race import RaceRequest, Racers

pytestmark = pytest.mark.race
ROUNDS = 10
ACTIONS = "tests.moderation.race_actions"
CROWD = PROCESSES * THREADS


@pytest.mark.parametrize("act", ["violate_as_client", "violate_as_viewer"])
def test_parallel_violations_are_all_counted_and_each_crossing_bans_once(
    any_database: str, tmp_path: Path, act: str
) -> None:
    race = Race("clean_sheet", act, "count_bans", ACTIONS)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    number = CROWD * EACH
    assert found == [(number * 5 // 20, number, number * 5.0, True)] * ROUNDS


def test_two_owners_are_never_both_banned_concurrently(any_database: str, tmp_path: Path) -> None:
    race = Race("clean_sheet", "violate_as_owners", "count_banned_owners", ACTIONS)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, CROWD, True)] * ROUNDS


WAITING = """
from moderation.models import Ban, Score, Violation
result = [
    Violation.objects.count(),
    [round(row.total, 1) for row in Score.objects.all()],
    Ban.objects.count(),
]
"""


def test_of_32_concurrent_guesses_exactly_seven_are_checked(
    any_data: InstanceData, racing_instance: StartGatehouse, racers: Racers
) -> None:
    gatehouse = racing_instance(any_data)
    token = "c" * 32
    fields = {"login": "a@example.com", "password": "wrong", "csrfmiddlewaretoken": token}
    requests = [
        RaceRequest(url, "POST", "/sign-in", fields, {"gatehouse_csrf": token})
        for url in islice(cycle(gatehouse.urls), 32)
    ]

    answers: list[Answer] = racers.run(requests)

    assert sorted(answer.status for answer in answers) == [401] * 7 + [429] * 25
    assert all(int(a.headers["retry-after"]) > 0 for a in answers if a.status == 429)
    # This machine is scored like every client and never banned.
    assert any_data.shell(WAITING) == [25, [25.0], 0]


def test_behind_a_proxy_a_burst_bans_the_client_at_the_twentieth_violation(
    any_data: InstanceData, racing_instance: StartGatehouse, racers: Racers
) -> None:
    gatehouse = racing_instance(
        any_data, TRUSTED_PROXIES="127.0.0.0/8", MODERATION_SCORE_HALF_LIFE="0"
    )
    token = "c" * 32
    fields = {"login": "a@example.com", "password": "wrong", "csrfmiddlewaretoken": token}
    requests = [
        RaceRequest(
            url,
            "POST",
            "/sign-in",
            fields,
            {"gatehouse_csrf": token},
            {"X-Forwarded-For": "203.0.113.7"},
        )
        for url in islice(cycle(gatehouse.urls), 32)
    ]

    codes = [answer.status for _round in range(2) for answer in racers.run(requests)]

    assert codes.count(401) == 7
    violations, totals, bans = any_data.shell(WAITING)
    assert codes.count(429) == violations == totals[0]
    # Requests that had passed the check when the ban started are still counted.
    assert 20 <= violations < 40
    assert bans == 1
