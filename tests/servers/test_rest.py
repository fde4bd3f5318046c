"""A server that nobody asks for anything rests."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from accounts.signals import address_requested, mail_queued
from config.worker import run_jobs_once
from tests.servers.databases import InstanceData
from tests.servers.gatehouse import Gatehouse

MOST_TICKS = 50  # of a hundredth of a second each, in three seconds


@pytest.mark.django_db
def test_a_worker_with_nothing_to_do_wakes_nobody(
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    woken: list[object] = []

    def wake(**hints: Any) -> None:
        woken.append(hints)

    for signal in (address_requested, mail_queued):
        signal.connect(wake)
    with django_capture_on_commit_callbacks(execute=True):
        assert run_jobs_once() == 0

    assert woken == []


def test_a_server_at_rest_leaves_the_processor_alone(
    gatehouse_server: Callable[..., Gatehouse], sqlite_data: InstanceData
) -> None:
    server = gatehouse_server(sqlite_data)
    pids = [process.pid for process in server.processes]
    pids += [child for pid in pids for child in _children(pid)]
    before = sum(_ticks(pid) for pid in pids)
    _pause(3.0)

    assert sum(_ticks(pid) for pid in pids) - before < MOST_TICKS


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def _ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _pause(seconds: float) -> None:

    Event().wait(seconds)
