"""Two processes that run actions against each other, in rounds. Needs no pytest."""

import multiprocessing
import os
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from devtools.servers.warm import renew_settings
from tests.accounts.race_processes import environment_of

TIMEOUT_SECONDS, RESULT_SECONDS = 60, 300
PROCESSES, THREADS = 2, 20
SIZE = PROCESSES * THREADS
Crowd = tuple[str, ...]
DELETING = (
    "become_the_first_owner_of_the_directory",
    "delete_a_user",
    "delete_oneself",
)


class Found(NamedTuple):
    """What failed, or took locks in another order, in words; and the functions that took any."""

    faults: list[str]
    reached: set[str]


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


def run_crowds(database_url: str, data_dir: str, crowds: Sequence[Crowd]) -> Found:
    """Run them one after the other, the acts of each at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["devtools.servers.warm_project"])
    size = max(map(len, crowds))
    processes = min(size, PROCESSES)
    barrier = context.Barrier(size)
    results = context.Queue()
    environment = environment_of(database_url, data_dir) | {
        "LOG_LEVEL": "error",
        "LOGIN_MAX": "100000",
        "RECIPIENT_MAIL_MAX": "100000",
    }
    children = [
        context.Process(target=_child, args=(environment, places, crowds, barrier, results))
        for places in (range(number, size, processes) for number in range(processes))
    ]
    for child in children:
        child.start()
    answers = [results.get(timeout=RESULT_SECONDS) for _child_ in children]
    for child in children:
        child.join(TIMEOUT_SECONDS)
    assert {child.exitcode for child in children} == {0}
    faults = [fault for answer in answers for fault in answer.faults]
    return Found(faults, set().union(*(answer.reached for answer in answers)))


def _child(
    environment: dict[str, str],
    places: Sequence[int],
    crowds: Sequence[Crowd],
    barrier: Any,
    results: Any,
) -> None:
    os.environ.update(environment)
    found = Found([], set())
    try:
        import django

        assert renew_settings()
        django.setup()
        from tests.accounts.lock_all_actions import install

        install()
    except BaseException:
        barrier.abort()
        results.put(Found([traceback.format_exc(limit=-2)], set()))
        raise
    runners = [
        threading.Thread(target=_run, args=(place, crowds, barrier, found)) for place in places
    ]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    results.put(Found(sorted(set(found.faults)), found.reached))


def _run(place: int, crowds: Sequence[Crowd], barrier: Any, found: Found) -> None:
    from tests.accounts.lock_all_actions import prepare

    try:
        for crowd in crowds:
            if place == 0:
                prepare()
            barrier.wait(TIMEOUT_SECONDS)
            if place < len(crowd):
                _do(crowd, place, found)
            barrier.wait(TIMEOUT_SECONDS)
    except BaseException:
        found.faults.append(traceback.format_exc(limit=-4))
        barrier.abort()


def _do(crowd: Crowd, place: int, found: Found) -> None:
    """Do the act of this place, and note what went wrong."""
    from django.core.exceptions import ObjectDoesNotExist
    from django.db import DatabaseError, OperationalError

    from core.errors import GatehouseError
    from tests.accounts.lock_all_actions import ACTIONS
    from tests.accounts.lock_order import watched

    wrong = []
    with watched() as watcher:
        try:
            ACTIONS[crowd[place]]()
        except (GatehouseError, ObjectDoesNotExist) as error:
            # AccessDenied, because of what another one did; alone nothing is.
            if len(crowd) == 1:
                wrong.append(repr(error))
        except Exception as error:
            # The error for an account that is deleted meanwhile has tests of its own.
            is_of_deleting = isinstance(error, DatabaseError) and {*DELETING} & {*crowd}
            if isinstance(error, OperationalError) or not is_of_deleting:
                wrong.append(traceback.format_exc(limit=-4))
    others = ", ".join(crowd[:place] + crowd[place + 1 :]) or "nobody"
    for text in wrong + watcher.faults:
        found.faults.append(f"{crowd[place]} against {others}: {text}")
    found.reached.update(watcher.reached)
