"""Clients in real processes: one of them creates the user, and no member is lost."""

from pathlib import Path

import pytest

from tests.accounts.race_processes import Race, run_race

pytestmark = pytest.mark.race
ROUNDS = 3
ACTIONS = "tests.scim.race_actions"


def test_of_clients_that_create_the_same_user_one_does(any_database: str, tmp_path: Path) -> None:
    race = Race("one_client", "create_the_same_user", "count_users", ACTIONS, threads=2)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [({"201": 1, "409": 3}, 1, 3)] * ROUNDS


def test_clients_that_add_members_at_once_lose_none(any_database: str, tmp_path: Path) -> None:
    """Afterwards each database is asked every filter of the table."""
    race = Race("one_group", "add_a_member", "count_members", ACTIONS, threads=2)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [({"204": 4}, 4, [])] * ROUNDS
