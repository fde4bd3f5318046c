"""Many real clients let go at the same moment: processes of threads behind one barrier."""

import multiprocessing
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from devtools.servers.client import Answer, HTTPClient

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RaceRequest:
    """What one client does when the barrier opens; fields=None sends no body."""

    base_url: str
    method: str
    path: str
    fields: dict[str, str] | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Racers:
    """A standing crowd of clients, so that fifty rounds do not start fifty crowds.

    run() takes at most `clients` requests and returns their answers in the same order.
    """

    def __init__(self, clients: int = 32, processes: int = 4) -> None:
        self.clients = clients
        context = multiprocessing.get_context("spawn")
        # Kept: the children find its semaphores by name for as long as it lives here.
        self._barrier = context.Barrier(clients)
        share = clients // processes
        self._crowds: list[tuple[Any, Connection]] = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._barrier, share), daemon=True
            )
            process.start()
            self._crowds.append((process, ours))
        self._share = share

    def run(self, requests: Sequence[RaceRequest]) -> list[Answer]:
        """One round; clients without a request only wait at the barrier."""
        padded: list[RaceRequest | None] = [*requests]
        padded += [None] * (self.clients - len(requests))
        for number, (_, pipe) in enumerate(self._crowds):
            pipe.send(padded[number * self._share : (number + 1) * self._share])
        answers: list[Answer | None] = []
        for _, pipe in self._crowds:
            if not pipe.poll(TIMEOUT_SECONDS):
                raise TimeoutError("the race did not end")
            answers += pipe.recv()
        return [answer for answer in answers if answer is not None]

    def stop(self) -> None:
        for process, pipe in self._crowds:
            pipe.close()
            process.join(2)
            if process.is_alive():
                process.kill()


def _serve(pipe: Connection, barrier: Any, share: int) -> None:
    """One process of the crowd: runs rounds until its pipe is closed."""
    while True:
        try:
            requests = pipe.recv()
        except EOFError:
            return
        answers: list[Answer | None] = [None] * share
        threads = [
            threading.Thread(target=_run_one, args=(answers, number, request, barrier))
            for number, request in enumerate(requests)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.send(answers)


def _run_one(
    answers: list[Answer | None], number: int, request: RaceRequest | None, barrier: Any
) -> None:
    if request is None:
        barrier.wait(TIMEOUT_SECONDS)
        return
    client = HTTPClient(request.base_url, request.cookies)
    try:
        client.connect()
        barrier.wait(TIMEOUT_SECONDS)
        answers[number] = client.request(
            request.method, request.path, request.fields, request.headers
        )
    except OSError as error:
        # A server that went away is an answer too: kill -9 is part of some races.
        answers[number] = Answer(0, {}, str(error).encode())
    finally:
        client.close()
