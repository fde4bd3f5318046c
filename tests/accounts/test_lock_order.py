"""One order of locks: people, then roles, then the audit chain; no two services deadlock."""

from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests.accounts.lock_everything import ACTS
from tests.accounts.lock_race import crowds_of, met_in, run_crowds
from tests.accounts.lock_services import EXCEPTIONS, all_that_lock, services_that_lock
from tests.servers.databases import InstanceData

pytestmark = pytest.mark.race


def test_every_service_takes_its_locks_in_order(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    found = run_crowds(postgres_data.url, str(tmp_path), [(name,) for name in ACTS])

    assert found.faults == [], "\n".join(found.faults)
    # Each was seen to take a lock, in an act of its own or as a part of one.
    assert sorted(services_that_lock() - found.reached) == []


def test_exceptions_are_services_that_lock() -> None:
    assert {*EXCEPTIONS} <= all_that_lock()


def test_every_pair_of_services_meets() -> None:
    met = set[frozenset[str]]().union(*map(met_in, crowds_of([*ACTS])))

    assert met == {frozenset(pair) for pair in combinations_with_replacement(ACTS, 2)}


def test_no_services_deadlock_or_fail_against_each_other(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    found = run_crowds(postgres_data.url, str(tmp_path), crowds_of([*ACTS]))

    assert found.faults == [], "\n".join(found.faults)
