"""One order of locks: people, then roles, then the audit chain; no two services deadlock."""

from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests.accounts.lock_acts import ACTS
from tests.accounts.lock_race import ALONE, run_pairs
from tests.servers.databases import InstanceData

pytestmark = pytest.mark.race
PARTS = 8
PAIRS = list(combinations_with_replacement([act for act in ACTS if act != ALONE], 2))


def test_every_service_takes_its_locks_in_order(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    alone = [(name, ALONE) for name in ACTS]

    faults = run_pairs(postgres_data.url, str(tmp_path), alone, 1, threads=1)

    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_pair_of_services_deadlocks_or_fails(
    postgres_data: InstanceData, tmp_path: Path, part: int
) -> None:
    faults = run_pairs(postgres_data.url, str(tmp_path), PAIRS[part::PARTS], 1)

    assert faults == [], "\n".join(faults)
