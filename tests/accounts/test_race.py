"""Races: exactly one first admin, and always an owner; 50 times, on both databases."""

from pathlib import Path

import pytest

from tests.accounts.race_processes import Race, run_race

pytestmark = pytest.mark.race
ROUNDS = 50


def test_of_many_first_sign_ups_exactly_one_becomes_admin(
    any_database: str, tmp_path: Path
) -> None:
    race = Race(prepare="clear_instance", act="sign_up", count="count_users")

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, 1, True)] * ROUNDS


def test_of_many_first_sign_ups_exactly_one_takes_over_the_keys(
    any_database: str, tmp_path: Path
) -> None:
    race = Race(prepare="anonymous_keys", act="sign_up", count="count_takers")

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, 1, 3, True)] * ROUNDS


def test_concurrent_removal_of_both_owners_leaves_one(any_database: str, tmp_path: Path) -> None:
    race = Race(prepare="two_owners", act="remove_an_owner", count="count_owners")

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, True)] * ROUNDS


def test_concurrent_disconnects_leave_one_sign_in_method(any_database: str, tmp_path: Path) -> None:
    race = Race(prepare="two_identities", act="disconnect_one", count="count_ways_in")

    found = run_race(any_database, str(tmp_path), race, 10)

    assert found == [(1, True)] * 10


def test_of_many_that_undo_one_entry_at_once_one_does(any_database: str, tmp_path: Path) -> None:
    race = Race(prepare="one_change", act="undo_it", count="count_undone")

    found = run_race(any_database, str(tmp_path), race, 10)

    assert found == [(1, "viewer", True)] * 10


def test_a_request_for_a_second_owner_is_decided_once(any_database: str, tmp_path: Path) -> None:
    race = Race(prepare="one_request", act="decide_it", count="count_decisions", threads=2)

    found = run_race(any_database, str(tmp_path), race, 8)

    assert found == [(1, True, True)] * 8
