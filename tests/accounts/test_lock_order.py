"""One order of locks: users, then roles, then the audit chain; no two services deadlock."""

from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData
from tests.accounts.lock_all_actions import ACTIONS
from tests.accounts.lock_race import crowds_of, met_in, run_crowds
from tests.accounts.lock_services import EXCEPTIONS, all_that_lock, services_that_lock

pytestmark = pytest.mark.race


def test_every_service_acquires_its_locks_in_order(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    found = run_crowds(postgres_data.url, str(tmp_path), [(name,) for name in ACTIONS])

    assert found.faults == [], "\n".join(found.faults)
    # Each was seen to take a lock, in an act of its own or as a part of one.
    assert sorted(services_that_lock() - found.reached) == []


def test_exceptions_are_services_that_lock() -> None:
    assert {*EXCEPTIONS} <= all_that_lock()


def test_every_pair_of_services_meets() -> None:
    met = set[frozenset[str]]().union(*map(met_in, crowds_of([*ACTIONS])))

    assert met == {frozenset(pair) for pair in combinations_with_replacement(ACTIONS, 2)}


def test_no_services_deadlock_or_fail_against_each_other(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    found = run_crowds(postgres_data.url, str(tmp_path), crowds_of([*ACTIONS]))

    assert found.faults == [], "\n".join(found.faults)


def test_purging_waits_for_no_lock(postgres_data: InstanceData) -> None:
    found = postgres_data.shell("""
import threading
from datetime import timedelta
from django.db import connection, transaction
from django.utils import timezone
from accounts.models import Invitation
from accounts.services.invitations import purge_invitations

now = timezone.now()
for name in ("busy", "free"):
    Invitation.objects.create(email=f"{name}@example.com", role="viewer", digest=name,
        by_system=True, created_at=now, expires_at=now - timedelta(days=1))
held, done = threading.Event(), threading.Event()

def hold():
    with transaction.atomic():
        Invitation.objects.select_for_update().get(email="busy@example.com")
        held.set()
        done.wait(60)
    connection.close()

holder = threading.Thread(target=hold)
holder.start()
held.wait(60)
result = [purge_invitations(now)]
done.set()
holder.join(60)
result.append(purge_invitations(now))
""")

    assert found == [1, 1]
