"""The load: browsers that ask, wait for their answer and ask again, in processes of their own.

One process drives many browsers over non-blocking keep-alive connections, because on a small
machine every microsecond of the load is taken from the server that is measured.
"""

import multiprocessing
import selectors
import socket
import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple, Protocol

LOOK_SECONDS = 0.004
TIMEOUT_SECONDS = 30.0


class Ask(NamedTuple):
    """One request; any status but `expected` ends the measurement. `label` is what it counts as."""

    label: str
    expected: int
    message: bytes


class AwaitLink(NamedTuple):
    """Wait until the person `number` has a sign-in link; the journey gets its token."""

    number: int


class Reply(NamedTuple):
    """An answer: its status line and headers as they came, and its body."""

    status: int
    head: bytes
    body: bytes


Journey = Generator[Ask | AwaitLink, Reply | str, None]


class Plan(Protocol):
    """What the browsers do. Goes to other processes, so it must be picklable."""

    def prepare(self) -> None:
        """Once in each load process, before the clock starts."""

    def journey(self, number: int) -> Journey | None:
        """What the person `number` does; None when there is nothing left to do."""

    def links(self, numbers: Collection[int]) -> dict[int, str]:
        """Tokens that have arrived for these people since they began to wait."""


@dataclass(frozen=True, slots=True)
class Measured:
    """counts: answers by label; seconds: from the common start to the last answer."""

    counts: Counter[str]
    seconds: float
    waits: list[float] = field(default_factory=list)

    def rate(self, label: str) -> float:
        return self.counts[label] / self.seconds

    def wait(self, share: float) -> float:
        """Milliseconds within which that share of the answers came: 0.5 is the median."""
        return self.waits[min(len(self.waits) - 1, int(len(self.waits) * share))] * 1000


def measure(
    plan: Plan, port: int, *, seconds: float, clients: int = 32, processes: int = 2
) -> Measured:
    """Let `clients` browsers loose on 127.0.0.1:port for so long.

    Raises RuntimeError with the first answer that was not the expected one.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    pipes = []
    for part in range(processes):
        ours, theirs = context.Pipe()
        numbers = range(part, clients, processes)
        arguments = (theirs, barrier, plan, port, numbers, clients, seconds)
        context.Process(target=_work, args=arguments, daemon=True).start()
        pipes.append(ours)
    return _gather(pipes, seconds)


def _gather(pipes: list[Pipe], seconds: float) -> Measured:
    counts: Counter[str] = Counter()
    waits: list[float] = []
    longest = 0.0
    for pipe in pipes:
        if not pipe.poll(seconds + 4 * TIMEOUT_SECONDS):
            raise RuntimeError("a load process does not answer")
        result = pipe.recv()
        if not isinstance(result, Measured):
            raise RuntimeError(result)  # noqa: TRY004  # what a load process says of its failure
        counts += result.counts
        waits += result.waits
        longest = max(longest, result.seconds)
    return Measured(counts, longest, sorted(waits))


def _work(
    pipe: Pipe,
    barrier: "multiprocessing.synchronize.Barrier",  # type: ignore[name-defined]
    plan: Plan,
    port: int,
    numbers: range,
    stride: int,
    seconds: float,
) -> None:
    try:
        plan.prepare()
        crowd = Crowd(plan, port, numbers, stride)
        barrier.wait(4 * TIMEOUT_SECONDS)
        pipe.send(crowd.run(seconds))
    except Exception as error:  # whatever it is, the parent has to hear of it
        pipe.send(f"{type(error).__name__}: {error}")


class Browser:
    """One keep-alive connection and the journey on it."""

    def __init__(self, port: int, number: int) -> None:
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.journey: Journey | None = None
        self.asked: Ask | None = None
        self.since = 0.0

    def receive(self) -> Reply | None:
        """Read what there is; the whole answer once it is complete."""
        piece = self.socket.recv(262_144)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.received += piece
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return None
        self.received = b""
        return Reply(int(head[9:12]), head, body)


def _length(head: bytes) -> int:
    # RFC 9110, section 8.6.
    if head[9:12] == b"204":
        return 0
    _, found, rest = head.lower().partition(b"content-length:")
    if not found:
        raise ValueError(f"an answer without Content-Length: {head[:60]!r}")
    return int(rest.partition(b"\r\n")[0])


class Crowd:
    """The browsers of one process. Person `number`'s successor on a browser is number + stride."""

    def __init__(self, plan: Plan, port: int, numbers: range, stride: int) -> None:
        self.plan, self.stride = plan, stride
        self.selector = selectors.DefaultSelector()
        self.waiting: dict[int, Browser] = {}
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []
        self.ends_at = float("inf")
        self.busy = 0
        self.browsers = [Browser(port, number) for number in numbers]
        for browser in self.browsers:
            self.selector.register(browser.socket, selectors.EVENT_READ, browser)

    def run(self, seconds: float) -> Measured:
        """Until the time is over and every journey that has begun is at its end."""
        start = time.perf_counter()
        self.ends_at = start + seconds
        self.busy = len(self.browsers)
        for browser in self.browsers:
            self._begin(browser)
        while self.busy:
            self._turn(LOOK_SECONDS if self.waiting else TIMEOUT_SECONDS)
        return Measured(self.counts, time.perf_counter() - start, self.waits)

    def _turn(self, patience: float) -> None:
        ready = self.selector.select(patience)
        if not ready and not self.waiting:
            raise TimeoutError("no answer in time")
        for key, _events in ready:
            reply = key.data.receive()
            if reply is not None:
                self._answer(key.data, reply)
        for number, token in self._arrived():
            self._go_on(self.waiting.pop(number), token)

    def _arrived(self) -> Iterator[tuple[int, str]]:
        if self.waiting:
            yield from self.plan.links(list(self.waiting)).items()
        now = time.perf_counter()
        if any(now - browser.since > TIMEOUT_SECONDS for browser in self.waiting.values()):
            raise TimeoutError("a link did not arrive in time")

    def _answer(self, browser: Browser, reply: Reply) -> None:
        asked = browser.asked
        if asked is None or reply.status != asked.expected:
            body = reply.body[:300].decode(errors="replace")
            raise RuntimeError(f"{asked and asked.label}: answered {reply.status}: {body}")
        self.counts[asked.label] += 1
        self.waits.append(time.perf_counter() - browser.since)
        self._go_on(browser, reply)

    def _go_on(self, browser: Browser, got: Reply | str | None) -> None:
        """The journey's next step, or the next journey."""
        journey = browser.journey
        try:
            step = None if journey is None else journey.send(got)  # type: ignore[arg-type]
        except StopIteration:
            step = None
        if step is None:
            self.counts["journey"] += 1
            browser.number += self.stride
            self._begin(browser)
        else:
            self._do(browser, step)

    def _begin(self, browser: Browser) -> None:
        is_over = time.perf_counter() >= self.ends_at
        browser.journey = None if is_over else self.plan.journey(browser.number)
        if browser.journey is None:
            self.busy -= 1
            return
        self._do(browser, next(browser.journey))

    def _do(self, browser: Browser, step: Ask | AwaitLink) -> None:
        browser.since = time.perf_counter()
        if isinstance(step, AwaitLink):
            self.waiting[step.number] = browser
            return
        browser.asked = step
        if browser.socket.send(step.message) != len(step.message):
            raise RuntimeError("a request did not fit into the socket's buffer")
