"""An idle server does no work."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.signals import address_requested
from config.worker import run_jobs_once
from mail.signals import mail_queued


@pytest.mark.django_db
def test_an_idle_worker_wakes_no_other_process(
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
