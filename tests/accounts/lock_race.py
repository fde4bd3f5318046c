"""Two processes that run crowds of acts against each other, round after round. Needs no pytest."""

import multiprocessing
import os
import threading
import traceback
from collections.abc import Sequence
from typing import Any

TIMEOUT_SECONDS, RESULT_SECONDS = 60, 300
PROCESSES, THREADS = 2, 3
SIZE = PROCESSES * THREADS
Crowd = tuple[str, ...]
DELETING = ("delete_a_person", "delete_oneself")


def crowds_of(acts: Sequence[str]) -> list[Crowd]:
    """Crowds of SIZE acts in which every act meets every other, and itself, at least once.

    Those that delete people meet the rest in crowds of their own: beside them an act may fail
    where elsewhere it may not.
    """
    rest = [name for name in acts if name not in DELETING]
    # Itself is met by name and place: the same act stands twice in its crowd.
    waiting = {frozenset((one, other)) for one in rest for other in rest}
    crowds = []
    while waiting:
        crowd = sorted(min(waiting, key=sorted))
        crowd = crowd * 2 if len(crowd) == 1 else crowd
        while len(crowd) < SIZE:
            gains = {
                name: sum(frozenset((name, other)) in waiting for other in {*crowd})
                for name in rest
                if name not in crowd or (crowd.count(name) == 1 and frozenset((name,)) in waiting)
            }
            crowd.append(max(gains, key=lambda name: gains[name]))
        crowds.append(tuple(crowd))
        waiting -= met_in(crowd)
    beside = SIZE - len(DELETING)
    crowds += [(*DELETING, *rest[start : start + beside]) for start in range(0, len(rest), beside)]
    return [*crowds, *((name, name) for name in DELETING)]


def met_in(crowd: Sequence[str]) -> set[frozenset[str]]:
    """The pairs that meet in it."""
    return {
        frozenset((one, other)) for place, one in enumerate(crowd) for other in crowd[place + 1 :]
    }


def run_crowds(database_url: str, data_dir: str, crowds: Sequence[Crowd]) -> list[str]:
    """What failed, or took locks in another order; in words."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(SIZE)
    results = context.Queue()
    environment = {
        "DATABASE_URL": database_url,
        "DATA_DIR": data_dir,
        "PUBLIC_URL": "http://localhost:8000",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LOG_LEVEL": "error",
        "LOGIN_MAX": "100000",
        "RECIPIENT_MAIL_MAX": "100000",
    }
    children = [
        context.Process(target=_child, args=(environment, number, crowds, barrier, results))
        for number in range(PROCESSES)
    ]
    for child in children:
        child.start()
    found = [fault for _child_ in children for fault in results.get(timeout=RESULT_SECONDS)]
    for child in children:
        child.join(TIMEOUT_SECONDS)
    assert {child.exitcode for child in children} == {0}
    return found


def _child(
    environment: dict[str, str],
    number: int,
    crowds: Sequence[Crowd],
    barrier: Any,
    results: Any,
) -> None:
    os.environ.update(environment)
    faults: list[str] = []
    try:
        import django

        django.setup()
    except BaseException:
        barrier.abort()
        results.put([traceback.format_exc(limit=-2)])
        raise
    runners = [
        threading.Thread(target=_run, args=(place, crowds, barrier, faults))
        for place in range(number, SIZE, PROCESSES)
    ]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    results.put(sorted(set(faults)))


def _run(place: int, crowds: Sequence[Crowd], barrier: Any, faults: list[str]) -> None:
    from tests.accounts.lock_acts import prepare

    try:
        for crowd in crowds:
            if place == 0:
                prepare()
            barrier.wait(TIMEOUT_SECONDS)
            if place < len(crowd):
                faults.extend(_faults_of(crowd, place))
            barrier.wait(TIMEOUT_SECONDS)
    except BaseException:
        faults.append(traceback.format_exc(limit=-4))
        barrier.abort()


def _faults_of(crowd: Crowd, place: int) -> list[str]:
    """Do the act of this place; what went wrong."""
    from django.core.exceptions import ObjectDoesNotExist
    from django.db import DatabaseError, OperationalError

    from core.errors import GatehouseError
    from tests.accounts.lock_acts import ACTS
    from tests.accounts.lock_order import watched

    found = []
    with watched() as disorder:
        try:
            ACTS[crowd[place]]()
        except (GatehouseError, ObjectDoesNotExist) as error:
            # AccessDenied, because of what another one did; alone nothing is.
            if len(crowd) == 1:
                found.append(repr(error))
        except Exception as error:
            # Whoever acts while the account is deleted is told so: that has tests of its own.
            is_of_deleting = isinstance(error, DatabaseError) and {*DELETING} & {*crowd}
            if isinstance(error, OperationalError) or not is_of_deleting:
                found.append(traceback.format_exc(limit=-4))
    others = ", ".join(crowd[:place] + crowd[place + 1 :]) or "nobody"
    return [f"{crowd[place]} against {others}: {text}" for text in found + disorder]
