"""A row of the table, and what every measurement needs to fill one."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.load import Measured, Plan, measure
from benchmarks.plans import Hello
from benchmarks.servers import bare, processor_seconds_of
from devtools.servers.processes import ServerProcess

PROCESSES = 2
# Browsers at once where times are measured too; and where only one count is.
CONNECTIONS = (1, 8, 64)
USUAL = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. aim: a bound on `value`, or on value / bare when `is_ratio`.

    aim 0 means that nothing is aimed at: the row explains another one.
    """

    what: str
    unit: str
    value: float
    bare: float
    aim: float = 0.0
    more_is_better: bool = True
    is_ratio: bool = False

    @property
    def ratio(self) -> float:
        return self.value / self.bare

    @property
    def reaches_aim(self) -> bool:
        measured = self.ratio if self.is_ratio else self.value
        return measured >= self.aim if self.more_is_better else measured <= self.aim


@dataclass(frozen=True, slots=True)
class Options:
    """seconds: length of each load; clients: browsers at once; repeats: starts that are timed;
    stored: the most rows that a figure stands beside; is_long: also what takes more than minutes;
    events: the most audit events, 0 for ten times the users; is_published: figures go to docs/.
    """

    seconds: float = 10.0
    clients: int = 32
    repeats: int = 5
    users: int = 20_000
    stored: int = 1_000_000
    database_url: str = ""
    is_long: bool = False
    events: int = 0
    is_published: bool = False


@dataclass(frozen=True, slots=True)
class Bare:
    """The bare server: answers a second, and milliseconds of processor time for each."""

    rate: float
    cost: float


def bare_rate(options: Options, place: Path) -> Bare:
    with bare(place, PROCESSES) as (server, port):
        load = loader(options, port)
        measured, cost = with_cost(server, lambda: load(Hello()))
    return Bare(measured.rate("hello"), cost)


def loader(options: Options, port: int) -> Callable[[Plan], Measured]:
    return lambda plan: measure(plan, port, seconds=options.seconds, clients=options.clients)


def at_each_count(
    what: str, port: int, options: Options, plan: Callable[[], Plan]
) -> Iterator[Row]:
    """Rate, median and 99th percentile of a plan of one request, with each count of browsers.

    plan: makes a new one for each load.
    """
    beside = _bare_at_each_count(options)
    for clients in CONNECTIONS:
        some = dataclasses.replace(options, clients=clients)
        ours, theirs = loader(some, port)(plan()), beside[clients]
        name = f"{what}, {clients} conn."
        yield Row(name, "/s", ours.rate("journey"), theirs.rate("journey"))
        yield Row(f"{name} p50", "ms", ours.wait(0.5), theirs.wait(0.5), more_is_better=False)
        yield Row(f"{name} p99", "ms", ours.wait(0.99), theirs.wait(0.99), more_is_better=False)


@cache
def _bare_at_each_count(options: Options) -> dict[int, Measured]:
    with folder() as place, bare(place, PROCESSES) as (_server, port):
        some = {clients: dataclasses.replace(options, clients=clients) for clients in CONNECTIONS}
        return {clients: loader(own, port)(Hello()) for clients, own in some.items()}


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def with_cost(server: ServerProcess, run: Callable[[], Measured]) -> tuple[Measured, float]:
    """The load, and the milliseconds of processor time that the server used for each journey."""
    before = processor_seconds_of(server)
    measured = run()
    used = processor_seconds_of(server) - before
    return measured, used * 1000 / measured.counts["journey"]
