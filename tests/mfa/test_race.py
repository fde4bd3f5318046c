"""One code used 32 times at once in two processes: exactly one succeeds, on both databases."""

from pathlib import Path

import pytest

from tests.accounts.race_processes import Race, run_race

pytestmark = pytest.mark.race
ROUNDS = 5
ACTIONS = "tests.mfa.race_actions"


@pytest.mark.parametrize("act", ["verify_totp", "spend_recovery_code"])
def test_of_32_uses_of_one_code_exactly_one_succeeds(
    any_database: str, tmp_path: Path, act: str
) -> None:
    race = Race(prepare="one_app", act=act, count="count_won", acts=ACTIONS, threads=16)

    found = run_race(any_database, str(tmp_path), race, ROUNDS)

    assert found == [(1, True)] * ROUNDS
