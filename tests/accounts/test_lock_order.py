"""One order of locks: people, then roles, then the audit chain; no two services deadlock."""

from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests.accounts.lock_acts import ACTS
from tests.accounts.lock_race import crowds_of, met_in, run_crowds
from tests.servers.databases import InstanceData

pytestmark = pytest.mark.race


def test_every_service_takes_its_locks_in_order(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    faults = run_crowds(postgres_data.url, str(tmp_path), [(name,) for name in ACTS])

    assert faults == [], "\n".join(faults)


def test_every_pair_of_services_meets() -> None:
    met = set[frozenset[str]]().union(*map(met_in, crowds_of([*ACTS])))

    assert met == {frozenset(pair) for pair in combinations_with_replacement(ACTS, 2)}


def test_no_services_deadlock_or_fail_against_each_other(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    faults = run_crowds(postgres_data.url, str(tmp_path), crowds_of([*ACTS]))

    assert faults == [], "\n".join(faults)
