"""Counts of several processes are summed."""

import os
import threading
from collections.abc import Callable

import pytest

from core import metrics
from core.metrics import HASHES_WAITING, NAME_BYTES, ROWS, SharedCounters


def in_a_process(act: Callable[[], None]) -> None:
    """Run `act` in a child as the server forks its workers, and let it die without clean-up."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> SharedCounters:
    shared = SharedCounters()
    shared.share()
    os.register_at_fork(after_in_child=shared._detach)
    return shared


def test_counts_of_several_processes_are_summed(counts: SharedCounters) -> None:
    counts.add("checks", "204", "short", by=3)
    in_a_process(lambda: counts.add("checks", "204", "short"))
    in_a_process(lambda: counts.add("limits", "sign-in"))

    assert counts.counts() == {("checks", "204", "short"): 4, ("limits", "sign-in"): 1}


def test_counts_of_a_replaced_worker_are_kept(counts: SharedCounters) -> None:
    counts.add("checks")
    for _worker in range(2 * metrics.COLUMNS):
        in_a_process(lambda: counts.add("checks"))

    assert counts.counts() == {("checks",): 1 + 2 * metrics.COLUMNS}


def test_gauges_of_a_process_end_with_it(counts: SharedCounters) -> None:
    counts.add("mine")
    in_a_process(lambda: counts.add(*HASHES_WAITING))
    in_a_process(lambda: counts.add("successor"))

    assert counts.counts()[HASHES_WAITING] == 0


def test_no_count_of_many_threads_is_lost(counts: SharedCounters) -> None:
    def add_many() -> None:
        for _time in range(20_000):
            counts.add("checks")

    threads = [threading.Thread(target=add_many) for _thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts.counts() == {("checks",): 160_000}


def test_the_number_of_keys_is_limited(counts: SharedCounters) -> None:
    for number in range(ROWS + 50):
        counts.add("names", str(number))
    counts.add("long", "x" * NAME_BYTES)
    counts.add("names", "0")

    assert len(counts.counts()) == ROWS
    assert counts.counts()["names", "0"] == 2


def test_a_counter_handle_is_the_same_counter_in_every_process(counts: SharedCounters) -> None:
    handle = counts.handle("checks", "204")
    handle.add()
    in_a_process(handle.add)
    counts.add("checks", "204")

    assert counts.counts() == {("checks", "204"): 3}
