"""The same operations beside ever more rows, on SQLite and PostgreSQL; and on one to three nodes.

Processor time is compared. What else the machine does adds to it where two threads share a core,
so each size has an instance of its own, and they are measured in turn.
"""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.api import refresh_tokens
from benchmarks.api_plans import CallApi, Refresh
from benchmarks.forward_data import OFFERS
from benchmarks.growth.chart import draw, short
from benchmarks.load import Measured, Plan, measure
from benchmarks.pages import DOCS, circumstances, publish, table
from benchmarks.rows import Options, Row, folder
from benchmarks.servers import (
    LIMITS,
    PUBLIC_URL,
    gatehouse,
    make_data,
    processor_seconds_of,
    processor_seconds_of_family,
)
from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.processes import ROOT

# (users, and as many sessions, keys, programs and links; audit events).
USUAL = ((1_000, 20_000), (100_000, 1_000_000))
LONG = (*USUAL, (1_000_000, 10_000_000))
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "benchmarks.growth.settings",
    "PUBLIC_URL": PUBLIC_URL,
    "LOG_LEVEL": "warning",
    **LIMITS,
}
# An index is one or two levels deeper.
FLAT = 1.5
# These read every name, once; see docs/benchmarks.md.
LINEAR = ("API search for a part", "admin search for a part")
TURNS = 3
NODES, CLIENTS = (1, 2, 3), 4
NO_POSTGRES = "growth: PostgreSQL left out, it is not installed (apt-get install postgresql)"
PAGE, PICTURE = "growth.md", DOCS / "assets" / "growth.svg"
Times = dict[str, list[float]]


def measure_growth(options: Options) -> Iterator[Row]:
    """Every operation at every size, beside its time at the first one."""
    sizes = list(LONG if options.is_long else USUAL)
    if options.events > sizes[-1][1]:
        sizes.append((sizes[-1][0], options.events))
    found: dict[str, Times] = {}
    nodes: dict[str, list[float]] = {}
    for kind, server in _databases():
        with folder() as place:
            instances = [_instance(place / str(size[1]), server, *size) for size in sizes]
            found[kind] = _in_turn(instances, [users for users, _events in sizes], kind)
            yield from _rows(found[kind], sizes, kind)
            if server is not None:
                nodes = _on_nodes(instances[-1], server, options.seconds / len(NODES))
                yield from _rows_of_nodes(nodes)
    if options.is_published:
        _publish(sizes, found, nodes)


def _databases() -> Iterator[tuple[str, PostgresServer | None]]:
    """(name, server of this run or None)."""
    yield "SQLite", None
    with _postgres() as server:
        if server is None:
            print(NO_POSTGRES, file=sys.stderr)
        else:
            yield "PostgreSQL", server


@contextmanager
def _postgres() -> Iterator[PostgresServer | None]:
    try:
        server = PostgresServer()
    except FileNotFoundError:
        yield None
        return
    try:
        yield server
    finally:
        server.stop()


def _instance(place: Path, server: PostgresServer | None, users: int, events: int) -> InstanceData:
    """With so many rows. A process of its own adds them, and says how far it is."""
    place.mkdir()
    url = server.url(server.create_database()) if server else ""
    data = dataclasses.replace(make_data(place, url), extra=SETTINGS)
    _run(data, "filling", str(users), str(events), stdout=None)
    return data


def _in_turn(instances: Sequence[InstanceData], users: Sequence[int], kind: str) -> Times:
    """The least of some turns, by operation and instance: what else runs only ever adds to it."""
    times: Times = {}
    for turn in range(TURNS):
        for place, data in enumerate(instances):
            said = f"{kind}, {users[place]:,} users, turn {turn + 1} of {TURNS}"
            print(f"measuring: {said}", file=sys.stderr, flush=True)
            output = _run(data, "operations", str(users[place]), stdout=subprocess.PIPE)
            for line in output.splitlines():
                what, value = json.loads(line)
                least = times.setdefault(what, [math.inf] * len(instances))
                least[place] = min(least[place], value)
    return times


def _run(data: InstanceData, module: str, *arguments: str, stdout: int | None) -> str:
    command = [sys.executable, "-m", f"benchmarks.growth.{module}", *arguments]
    done = subprocess.run(
        command, env=data.environment(), cwd=ROOT, stdout=stdout, text=True, check=True
    )
    return done.stdout or ""


def _rows(times: Times, sizes: Sequence[tuple[int, int]], kind: str) -> Iterator[Row]:
    for place, (users, _events) in enumerate(sizes[1:], 1):
        for what, values in times.items():
            aim = 0.0 if what in LINEAR else FLAT
            name = f"{what}, {short(users)}, {kind}"
            yield Row(name, "ms", values[place], values[0], aim, False, is_ratio=True)


def _on_nodes(data: InstanceData, server: PostgresServer, seconds: float) -> dict[str, list[float]]:
    """Processor milliseconds of all nodes and the database for one operation, by their number."""
    name, value = data.shell(OFFERS)["key"].split(": ", 1)
    key = {name: value}
    found: dict[str, list[float]] = {}
    for count in NODES:
        print(f"measuring {count} of {NODES[-1]} nodes", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            nodes = [stack.enter_context(gatehouse(data, 1)) for _number in range(count)]

            def used() -> float:
                own = sum(processor_seconds_of(node) for node, _port in nodes)  # noqa: B023 - called in this turn
                return own + processor_seconds_of_family(server.process.pid)

            tokens = refresh_tokens(data, count * CLIENTS)
            for what, plans in {
                "API me by key": [CallApi(key) for _node in nodes],
                "refresh": [Refresh(tokens[place::count]) for place in range(count)],
            }.items():
                before = used()
                done = _loads(plans, [port for _node, port in nodes], seconds)
                total = sum(measured.counts["journey"] for measured in done)
                found.setdefault(what, []).append((used() - before) * 1000 / total)
    return found


def _loads(plans: list[Plan], ports: list[int], seconds: float) -> list[Measured]:
    """All at once, each at its own node."""
    with ThreadPoolExecutor(len(ports)) as pool:
        running = [
            pool.submit(measure, plan, port, seconds=seconds, clients=CLIENTS, processes=1)
            for plan, port in zip(plans, ports, strict=True)
        ]
        return [each.result() for each in running]


def _rows_of_nodes(nodes: Mapping[str, list[float]]) -> Iterator[Row]:
    for what, values in nodes.items():
        for count, value in zip(NODES[1:], values[1:], strict=True):
            name = f"{what}, {count} nodes, PostgreSQL"
            yield Row(name, "ms", value, values[0], FLAT, more_is_better=False, is_ratio=True)


def _publish(
    sizes: list[tuple[int, int]], found: Mapping[str, Times], nodes: Mapping[str, list[float]]
) -> None:
    """The tables of docs/growth.md and its picture."""
    operations = list(dict.fromkeys(what for times in found.values() for what in times))
    # Where only the audit log has grown, there is one more point of the same number of users.
    place = {users: number for number, (users, _events) in enumerate(sizes)}
    curves = {
        what: {
            kind: [(users, times[what][number]) for users, number in place.items()]
            for kind, times in found.items()
        }
        for what in operations
    }
    description = "; ".join(
        f"{what}, {kind}: {line[0][1]:.3f} to {line[-1][1]:.3f} ms"
        for what, lines in curves.items()
        for kind, line in lines.items()
    )
    title = "Processor time of one operation, by the number of users, sessions and keys"
    PICTURE.write_text(draw(curves, title, description))
    headings = ["milliseconds of processor time"]
    headings += [
        f"{kind}, {short(users)} users, {short(events)} events"
        for kind in found
        for users, events in sizes
    ]
    rows = [
        [what, *(f"{value:.3g}" for times in found.values() for value in times[what])]
        for what in operations
    ]
    text = f"Measured on {circumstances()}.\n\n{table(headings, rows)}"
    if nodes:
        own = [[what, *(f"{value:.3g}" for value in values)] for what, values in nodes.items()]
        headings = ["PostgreSQL, milliseconds", *(f"{count} nodes" for count in NODES)]
        text += f"\n\n{table(headings, own)}".replace("1 nodes", "1 node")
    publish(PAGE, "growth", text)
