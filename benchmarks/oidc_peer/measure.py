"""Gatehouse as an OpenID provider beside npm's oidc-provider: one core for each server, the load on
another, all in one run.

The peer keeps what it has made in SQLite, as Gatehouse does, with the same settings. A second one
keeps it in memory, and forgets it when it ends: that is no deployment, and is there to show what
the database costs.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import Measured, Plan, measure
from benchmarks.oidc_peer.data import PEOPLE, fill, sign_in_to_peer
from benchmarks.oidc_peer.plans import Authorize, Redeem, RefreshTokens, Side, SignInToApp
from benchmarks.rows import Options, Row, folder
from benchmarks.servers import gatehouse, make_data, make_users
from devtools.servers.processes import ServerProcess, accepts_connections, free_port

FOLDER = Path(__file__).parent / "node"
CLIENT, SECRET = "app", "a-secret-of-the-benchmark"
# The peer's memory holds the last thousand things, and a redeemed code makes three more.
MOST_CODES = 200
# What disturbs a load only ever slows it.
TURNS = 3
OURS, STORED, IN_MEMORY = "Gatehouse", "oidc-provider, SQLite", "oidc-provider, memory"
MISSING = f"openid: left out, its packages are missing: npm ci --prefix {FOLDER}"
ONE_CORE = "openid: left out, the servers and the load need a core each"


def measure_openid(options: Options) -> Iterator[Row]:
    """Rates of Gatehouse, and in the bare column those of the peer."""
    cores = sorted(os.sched_getaffinity(0))
    if not (FOLDER / "node_modules" / "better-sqlite3").is_dir() or shutil.which("node") is None:
        print(MISSING, file=sys.stderr)
        return
    if len(cores) < 2:
        print(ONE_CORE, file=sys.stderr)
        return
    with folder() as place, ExitStack() as stack:
        data = make_data(place, options.database_url)
        make_users(data, PEOPLE)
        client_id, secret, cookies = fill(data)
        with on_core(cores[0]):
            _server, port = stack.enter_context(gatehouse(data, 1))
            stored = stack.enter_context(peer(place, str(place / "peer.sqlite3")))
            in_memory = stack.enter_context(peer(place))
        sides = {
            OURS: Side(port, "/openid/authorize", "/openid/token", client_id, secret, cookies),
            STORED: _side_of_peer(stored),
            IN_MEMORY: _side_of_peer(in_memory),
        }
        with on_core(cores[1]):
            for what, rate in RATES.items():
                best = _best(sides, rate, options.seconds / TURNS)
                for other in (STORED, IN_MEMORY):
                    yield Row(f"{what}, beside {other}", "/s", best[OURS], best[other])


def _side_of_peer(port: int) -> Side:
    cookies = [sign_in_to_peer(port, CLIENT, number) for number in range(PEOPLE)]
    return Side(port, "/auth", "/token", CLIENT, SECRET, cookies)


def _best(
    sides: dict[str, Side], rate: Callable[[Side, float], float], seconds: float
) -> dict[str, float]:
    """The highest rate of each side, measured in turn."""
    found = dict.fromkeys(sides, 0.0)
    for _turn in range(TURNS):
        for name, side in sides.items():
            found[name] = max(found[name], rate(side, seconds))
    return found


def _load(side: Side, plan: Plan, seconds: float) -> Measured:
    return measure(plan, side.port, seconds=seconds, clients=PEOPLE, processes=1)


def _authorizations(side: Side, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as codes:
        return _load(side, Authorize(side, Path(codes)), seconds).rate("authorize")


def _redemptions(side: Side, seconds: float) -> float:
    """Codes are gathered and redeemed by turns; the time of gathering does not count."""
    count, taken = 0, 0.0
    while taken < seconds:
        with tempfile.TemporaryDirectory() as name:
            _load(side, Authorize(side, Path(name), MOST_CODES), seconds)
            codes = [code for file in Path(name).iterdir() for code in file.read_text().split()]
        measured = _load(side, Redeem(side, codes), seconds)
        count, taken = count + measured.counts["token"], taken + measured.seconds
    return count / taken


def _sign_ins(side: Side, seconds: float) -> float:
    return _load(side, SignInToApp(side), seconds).rate("journey")


def _refreshes(side: Side, seconds: float) -> float:
    return _load(side, RefreshTokens(side, clients=PEOPLE), seconds).rate("refresh")


RATES: dict[str, Callable[[Side, float], float]] = {
    "authorizations": _authorizations,
    "codes redeemed": _redemptions,
    "both in turn": _sign_ins,
    "refreshes of an app": _refreshes,
}


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def peer(place: Path, *database: str) -> Iterator[int]:
    """npm's oidc-provider; its port. database: the file, or nothing for memory."""
    port = free_port()
    command = ["node", str(FOLDER / "provider.mjs"), str(port), *database]
    server = ServerProcess(
        command, place / f"peer{port}.log", environment={**os.environ, "NODE_ENV": "production"}
    )
    try:
        server.wait_until(lambda: accepts_connections(port))
        yield port
    finally:
        server.stop()
