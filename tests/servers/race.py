"""Many clients that send a request at the same moment: threads in processes, with a barrier."""

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
    """The request of one client when the barrier opens. fields: of a form, or body; or neither."""

    base_url: str
    method: str
    path: str
    fields: dict[str, str] | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


class Racers:
    """Processes of clients that run many rounds, so that not every round starts new ones.

    run() takes at most `clients` requests and returns their answers in the same order.
    """

    def __init__(self, clients: int = 32, processes: int = 4) -> None:
        self.clients = clients
        context = multiprocessing.get_context("spawn")
        # Keep a reference: the children find its semaphores by name while it exists.
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
        """Run one round. Clients without a request only wait at the barrier."""
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
    """Run rounds in one process until its pipe is closed."""
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
            request.method, request.path, request.fields, request.headers, body=request.body
        )
    except OSError as error:
        # A closed connection is a result, too: some races kill the server.
        answers[number] = Answer(0, {}, str(error).encode())
    finally:
        client.close()
