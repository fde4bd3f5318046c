"""Two processes that run a pair of acts against each other, round after round. Needs no pytest."""

import multiprocessing
import os
import threading
import traceback
from collections.abc import Sequence
from typing import Any

TIMEOUT_SECONDS, RESULT_SECONDS = 60, 300
Pair = tuple[str, str]
# What the other process does while an act runs alone.
ALONE = "nothing"
DELETING = {"delete_a_person", "delete_oneself"}


def run_pairs(
    database_url: str, data_dir: str, pairs: Sequence[Pair], rounds: int, threads: int = 2
) -> list[str]:
    """What failed, or took locks in another order; in words."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2 * threads)
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
        context.Process(
            target=_child, args=(environment, place, pairs, rounds, threads, barrier, results)
        )
        for place in range(2)
    ]
    for child in children:
        child.start()
    found = [fault for _child_ in children for fault in results.get(timeout=RESULT_SECONDS)]
    for child in children:
        child.join(TIMEOUT_SECONDS)
    assert [child.exitcode for child in children] == [0, 0]
    return found


def _child(
    environment: dict[str, str],
    place: int,
    pairs: Sequence[Pair],
    rounds: int,
    threads: int,
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
        threading.Thread(
            target=_run, args=(place, place == number == 0, pairs, rounds, barrier, faults)
        )
        for number in range(threads)
    ]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    results.put(sorted(set(faults)))


def _run(
    place: int, prepares: bool, pairs: Sequence[Pair], rounds: int, barrier: Any, faults: list[str]
) -> None:
    from tests.accounts.lock_acts import prepare

    try:
        for pair in pairs:
            for _round in range(rounds):
                if prepares:
                    prepare()
                barrier.wait(TIMEOUT_SECONDS)
                faults.extend(_faults_of(pair, place))
                barrier.wait(TIMEOUT_SECONDS)
    except BaseException:
        faults.append(traceback.format_exc(limit=-4))
        barrier.abort()


def _faults_of(pair: Pair, place: int) -> list[str]:
    """Do the act of this place; what went wrong."""
    from django.core.exceptions import ObjectDoesNotExist
    from django.db import DatabaseError, OperationalError

    from accounts.errors import GatehouseError
    from tests.accounts.lock_acts import ACTS
    from tests.accounts.lock_order import watched

    found = []
    with watched() as disorder:
        try:
            ACTS[pair[place]]()
        except (GatehouseError, ObjectDoesNotExist) as error:
            # Refused, because of what the other one did; alone nothing is.
            if pair[1] == ALONE:
                found.append(repr(error))
        except Exception as error:
            # Whoever acts while the account is deleted is told so: that has tests of its own.
            is_of_deleting = isinstance(error, DatabaseError) and DELETING & {*pair}
            if isinstance(error, OperationalError) or not is_of_deleting:
                found.append(traceback.format_exc(limit=-4))
    found += disorder if pair[1] == ALONE else []
    return [f"{pair[place]} against {pair[1 - place]}: {text}" for text in found]
