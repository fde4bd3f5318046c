"""Reviewers in real processes decide at once: one decision, one effect."""

from pathlib import Path

import pytest

from tests.accounts.race_processes import Race, run_race

pytestmark = pytest.mark.race
ROUNDS = 8
ACTIONS = "tests.access_reviews.race_actions"


def test_of_concurrent_decisions_exactly_one_is_made_with_its_effect(
    any_database: str, tmp_path: Path
) -> None:
    race = Race("new_review", "decide", "count_decisions", ACTIONS)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, 1, True, True)] * ROUNDS


def test_two_owners_who_disable_each_other_leave_one(any_database: str, tmp_path: Path) -> None:
    race = Race("new_review", "decide_both", "count_owners", ACTIONS)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, 1)] * ROUNDS


def test_workers_that_pass_the_due_date_at_once_disable_mail_and_close_once(
    any_database: str, tmp_path: Path
) -> None:
    race = Race("overdue_review", "pass_the_date", "count_disabled", ACTIONS)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, 1, 1, 2)] * ROUNDS
