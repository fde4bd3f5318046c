"""Checks for proxies: hot, all different, refused, during a storm of sign-ins; and revocation."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.forward_data import BOARD, FILL, OFFERS, REVOKE
from benchmarks.plans import SignIn
from benchmarks.rows import CONNECTIONS, PROCESSES, USUAL, Options, Row, folder, loader
from benchmarks.servers import bare, gatehouse, make_checked
from benchmarks.wrk import MISSING, BenchRequest, Heard, best, is_there, load, settled
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData
from devtools.servers.driver import Driver

USERS = 1000
MANY, MANY_P99 = 32, 5.0
STORED = (64, 100_000, 1_000_000)
PIECE = 100_000
HOT, DIFFERENT, STORM, STORM_P99 = 0.85, 1 / 3, 0.6, 15.0
NICE = 10
# What disturbs a load only ever slows it; another tenant of the machine does so for seconds.
TURNS = 3
ROUNDS, DELAY_MS = 20, 1000.0


class Bench:
    """Gatehouse and the bare server side by side; each figure has its own of the bare one."""

    def __init__(self, options: Options, port: int, bare_port: int) -> None:
        self.options, self.port, self.bare_port = options, port, bare_port

    def both(self, request: BenchRequest, connections: int = USUAL) -> tuple[Heard, Heard]:
        """Ours and the bare one in turn, the best of each; both get the same headers."""
        seconds = self.options.seconds / TURNS
        hello = dataclasses.replace(request, path="/", is_refused=False)
        load(request, self.port, seconds=1, connections=connections)
        ours, theirs = [], []
        for _turn in range(TURNS):
            ours.append(load(request, self.port, seconds=seconds, connections=connections))
            theirs.append(load(hello, self.bare_port, seconds=seconds, connections=connections))
        return best(ours), best(theirs)

    def rates(self, what: str, request: BenchRequest, aim: float = 0.0) -> Iterator[Row]:
        """Rate and times at every number of connections; the aim is of the usual one."""
        for connections in CONNECTIONS:
            ours, theirs = self.both(request, connections)
            name = f"{what}, {connections} conn."
            own_aim = aim if connections == USUAL else 0.0
            yield Row(name, "/s", ours.rate, theirs.rate, own_aim, is_ratio=True)
            yield Row(f"{name} p50", "ms", ours.p50, theirs.p50, more_is_better=False)
            yield Row(f"{name} p99", "ms", ours.p99, theirs.p99, more_is_better=False)

    def rate(self, what: str, request: BenchRequest, aim: float = 0.0) -> Row:
        ours, theirs = self.both(request)
        return Row(what, "/s", ours.rate, theirs.rate, aim, is_ratio=True)


def measure_forward(options: Options) -> Iterator[Row]:
    """Everything of forward auth. Without wrk there is nothing to measure it with."""
    if not is_there():
        print(MISSING)
        return
    with folder() as place:
        data = make_checked(place, USERS, options.database_url)
        with (
            bare(place, PROCESSES) as (_bare, bare_port),
            gatehouse(data, PROCESSES) as (_server, port),
        ):
            bench = Bench(options, port, bare_port)
            yield from _hot(bench, data)
            yield from _different(bench, data, place)
            yield from _storm(bench, data, place)
            yield _revocation(port, data)


def _hot(bench: Bench, data: InstanceData) -> Iterator[Row]:
    """The same credential again and again."""
    offers: dict[str, str] = data.shell(OFFERS)
    for kind, header in offers.items():
        request = BenchRequest("/auth/check", (*BOARD, header))
        yield from bench.rates(f"check by {kind}", request, HOT)
        yield from _of_many(bench, request, f"check by {kind}, {MANY} conn.")
    yield bench.rate("denied check", BenchRequest("/auth/check", BOARD, is_refused=True))
    token = BenchRequest("/auth/check?token=1", (*BOARD, offers["key"]))
    yield bench.rate("check with Remote-Token", token)
    yield bench.rate("key set (JWKS)", BenchRequest("/.well-known/jwks.json"))
    yield bench.rate("/health/live", BenchRequest("/health/live"))


def _of_many(bench: Bench, request: BenchRequest, what: str) -> Iterator[Row]:
    """Over as many connections as a proxy keeps open."""
    ours, theirs = bench.both(request, MANY)
    yield Row(what, "/s", ours.rate, theirs.rate, is_ratio=True)
    yield Row(f"{what} p99", "ms", ours.p99, theirs.p99, MANY_P99, more_is_better=False)


def _different(bench: Bench, data: InstanceData, place: Path) -> Iterator[Row]:
    """Every request brings another credential, beside ever more stored ones."""
    stored = 0
    for wanted in _sizes(bench.options):
        while stored < wanted:
            piece = min(PIECE, wanted - stored)
            data.shell(FILL.format(count=piece, folder=str(place)))
            stored += piece
        for kind in ("key", "session"):
            request = BenchRequest("/auth/check", BOARD, each=place / f"{kind}.headers")
            # Of 64 each comes again within the five seconds that it is remembered.
            aim = DIFFERENT if wanted > STORED[0] else 0.0
            yield bench.rate(f"{kind}, each of {wanted} in turn", request, aim)


def _sizes(options: Options) -> list[int]:
    return [size for size in STORED if size <= options.stored]


def _storm(bench: Bench, data: InstanceData, place: Path) -> Iterator[Row]:
    """Checks while browsers sign in: by the same processes, and by a group of their own."""
    offers: dict[str, str] = data.shell(OFFERS)
    request = BenchRequest("/auth/check", (*BOARD, offers["session"]))
    yield from _beside_sign_ins(
        bench, request, bench.port, "check during a storm of sign-ins", STORM
    )
    with (
        gatehouse(data, PROCESSES, niceness=NICE) as (_pages, pages),
        gatehouse(data, PROCESSES, "--checks-only") as (_checks, port),
    ):
        alone = Bench(bench.options, port, bench.bare_port)
        yield from _beside_sign_ins(alone, request, pages, "the same, --checks-only", STORM)
        for kind, header in offers.items():
            hot = BenchRequest("/auth/check", (*BOARD, header))
            yield from _of_many(alone, hot, f"--checks-only: by {kind}, {MANY} conn.")
        for kind in ("key", "session"):
            different = BenchRequest("/auth/check", BOARD, each=place / f"{kind}.headers")
            most = _sizes(bench.options)[-1]
            yield alone.rate(f"--checks-only: {kind}, each of {most} in turn", different)


def _beside_sign_ins(
    bench: Bench, request: BenchRequest, pages: int, what: str, aim: float = 0.0
) -> Iterator[Row]:
    """Beside the same without sign-ins. pages: the port at which browsers sign in."""
    seconds = bench.options.seconds
    quiet = settled(request, bench.port, seconds=seconds, connections=USUAL)
    signing_in = dataclasses.replace(bench.options, seconds=seconds + 6, clients=8)
    storm = threading.Thread(target=lambda: loader(signing_in, pages)(SignIn(USERS)))
    storm.start()
    threading.Event().wait(3)
    stormy = settled(request, bench.port, seconds=seconds, connections=USUAL)
    storm.join()
    yield Row(what, "/s", stormy.rate, quiet.rate, aim, is_ratio=True)
    p99 = STORM_P99 if aim else 0.0
    yield Row(f"{what}, p99", "ms", stormy.p99, quiet.p99, p99, more_is_better=False)


def _revocation(port: int, data: InstanceData) -> Row:
    """The longest time from the end of a revocation in another process to the first refusal."""
    driver, delays = Driver(data), []
    for _round in range(ROUNDS):
        key = data.shell(OFFERS)["key"].partition(": ")[2]
        ask = _asker(HTTPClient(f"http://127.0.0.1:{port}"), key)
        if [ask() for _again in range(20)] != [204] * 20:
            raise RuntimeError("a right key was refused")
        revoked_at = float(driver(REVOKE.format(key=key)))
        while ask() == 204:
            pass
        delays.append((time.time() - revoked_at) * 1000)
    driver.stop()
    return Row("revocation delay, longest", "ms", max(delays), max(delays), DELAY_MS, False)


def _asker(client: HTTPClient, key: str) -> Callable[[], int]:
    headers = dict(line.split(": ", 1) for line in BOARD)
    return lambda: client.get("/auth/check", {**headers, "X-API-Key": key}).status
