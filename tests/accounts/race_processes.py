"""Real processes with a few threads each, released together, over one database file or server.

A round: the referee prepares the database, all wait at a barrier, then act at once, the
referee counts. Run by test_race.py; needs no pytest in the children.
"""

import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devtools.servers.warm import renew_settings

PROCESSES, THREADS = 2, 6
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Race:
    """Names of functions in the module `acts`: prepare(), act(number), count()."""

    prepare: str
    act: str
    count: str
    acts: str = "tests.accounts.race_actions"
    threads: int = THREADS


def environment_of(database_url: str, data_dir: str) -> dict[str, str]:
    """Of a process that runs acts over this data."""
    return {
        "DATABASE_URL": database_url,
        "DATA_DIR": data_dir,
        "PUBLIC_URL": "http://localhost:8000",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }


def run_race(database_url: str, data_dir: str, race: Race, rounds: int) -> list[Any]:
    """What count() answered after each round."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["devtools.servers.warm_project"])
    barrier = context.Barrier(PROCESSES * race.threads)
    results = context.Queue()
    environment = environment_of(database_url, data_dir)
    children = [
        context.Process(target=_child, args=(environment, number, race, rounds, barrier, results))
        for number in range(PROCESSES)
    ]
    for child in children:
        child.start()
    found = [results.get(timeout=TIMEOUT_SECONDS) for _round in range(rounds)]
    for child in children:
        child.join(TIMEOUT_SECONDS)
    assert [child.exitcode for child in children] == [0] * PROCESSES
    return found


def _child(
    environment: dict[str, str], number: int, race: Race, rounds: int, barrier: Any, results: Any
) -> None:
    os.environ.update(environment)
    import django

    assert renew_settings()
    django.setup()
    threads = [
        threading.Thread(
            target=_runner, args=(number * race.threads + place, race, rounds, barrier, results)
        )
        for place in range(race.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _runner(place: int, race: Race, rounds: int, barrier: Any, results: Any) -> None:
    race_actions = importlib.import_module(race.acts)
    prepare: Callable[[], None] = getattr(race_actions, race.prepare)
    act: Callable[[int], None] = getattr(race_actions, race.act)
    count: Callable[[], Any] = getattr(race_actions, race.count)
    try:
        for _round in range(rounds):
            if place == 0:
                prepare()
            barrier.wait(TIMEOUT_SECONDS)
            act(place)
            barrier.wait(TIMEOUT_SECONDS)
            if place == 0:
                results.put(count())
    except BaseException:
        barrier.abort()
        raise
