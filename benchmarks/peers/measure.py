"""Gatehouse beside other systems: one core for each server, the load on another, all in one run.

The systems take turns, and each figure is the best of some short loads: what disturbs a load only
ever slows it.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks.load import Measured, Plan, measure
from benchmarks.oidc_peer.measure import on_core
from benchmarks.pages import circumstances, publish, table
from benchmarks.peers.contenders import (
    ASKED,
    CHECK,
    GLEWLWYD,
    NODE,
    PEOPLE,
    REDEEMED,
    SIGN_IN,
    TOKEN,
    WHO,
    Contender,
    allauth_headless,
    better_auth,
    glewlwyd,
    ours,
)
from benchmarks.rows import Options, Row, folder
from devtools.servers.processes import wait_for

TURNS, CLIENTS = 3, 8
MISSING = f"peers: better-auth left out, its packages are missing: npm ci --prefix {NODE}"
NO_GLEWLWYD = "peers: glewlwyd left out, it is not installed (apt-get install glewlwyd)"
ONE_CORE = "peers: left out, the servers and the load need a core each"
Rates = dict[str, dict[str, float]]


def measure_peers(options: Options) -> Iterator[Row]:
    """Rates of Gatehouse, and in the bare column those of a peer."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print(ONE_CORE, file=sys.stderr)
        return
    with folder() as place, ExitStack() as stack:
        (place / "ours").mkdir()
        with on_core(cores[0]):
            first = stack.enter_context(ours(place / "ours"))
            peers = [stack.enter_context(start(place)) for start in _starts()]
        with on_core(cores[1]):
            rates = _rates([first, *peers], options.seconds / TURNS)
    for what, by_name in rates.items():
        for peer in peers:
            if peer.name in by_name:
                name = f"{what}, {peer.name}"
                yield Row(name, "/s", by_name[first.name], by_name[peer.name])
    if options.is_published:
        _publish(rates, first.name, [peer.name for peer in peers])


def _starts() -> Iterator[Callable[[Path], AbstractContextManager[Contender]]]:
    if (NODE / "node_modules" / "better-auth").is_dir() and shutil.which("node"):
        yield better_auth
    else:
        print(MISSING, file=sys.stderr)
    yield allauth_headless
    if (GLEWLWYD / "usr/bin/glewlwyd").exists():
        yield glewlwyd
    else:
        print(NO_GLEWLWYD, file=sys.stderr)


def _rates(contenders: list[Contender], seconds: float) -> Rates:
    """The best rate by operation and system."""
    rates: Rates = {}
    for turn in range(TURNS):
        print(f"measuring: turn {turn + 1} of {TURNS}", file=sys.stderr, flush=True)
        for what in (CHECK, WHO, TOKEN, SIGN_IN):
            for each in contenders:
                if what in each.plans:
                    _keep(rates, what, each, _load(each, each.plans[what], seconds).rate("journey"))
        for each in contenders:
            for what, rate in _links(each, turn, seconds):
                _keep(rates, what, each, rate)
    return rates


def _keep(rates: Rates, what: str, contender: Contender, rate: float) -> None:
    best = rates.setdefault(what, {})
    best[contender.name] = max(best.get(contender.name, 0.0), rate)


def _load(contender: Contender, plan: Plan, seconds: float) -> Measured:
    return measure(plan, contender.port, seconds=seconds, clients=CLIENTS, processes=1)


def _links(contender: Contender, turn: int, seconds: float) -> Iterator[tuple[str, float]]:
    """Each turn has people of its own, who ask once and open their link once."""
    if contender.links is None:
        return
    people = range(turn * PEOPLE // TURNS, (turn + 1) * PEOPLE // TURNS)
    links, before = contender.links, contender.links.count()
    asked = _load(contender, links.ask(people), seconds)
    end, count = time.perf_counter(), asked.counts["journey"]
    # Gatehouse makes links after the answer.
    if not wait_for(lambda: links.count() - before == count, 120):
        raise RuntimeError("not every request has led to a link")
    yield ASKED, count / (asked.seconds + time.perf_counter() - end)
    redeemed = _load(contender, links.redeem(links.tokens(people)), seconds)
    yield REDEEMED, redeemed.rate("journey")


def _publish(rates: Rates, first: str, peers: list[str]) -> None:
    """The table of docs/benchmarks.md."""
    headings = ["a second", first, *(text for peer in peers for text in (peer, "ratio"))]
    rows = []
    for what, by_name in rates.items():
        cells = [what, f"{by_name[first]:,.0f}"]
        for peer in peers:
            rate = by_name.get(peer)
            cells += ["", ""] if rate is None else [f"{rate:,.0f}", f"{by_name[first] / rate:.2f}"]
        rows.append(cells)
    publish("benchmarks.md", "peers", f"Measured on {circumstances()}.\n\n{table(headings, rows)}")
