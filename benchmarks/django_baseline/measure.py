"""The stock stack beside the bare server, and Gatehouse beside the stock stack."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import forward_data
from benchmarks.api import refresh_tokens
from benchmarks.api_plans import Refresh, message
from benchmarks.django_baseline import data as stock_data
from benchmarks.django_baseline.data import fill_stock, make_stock
from benchmarks.forward_data import BOARD
from benchmarks.load import Ask, Journey
from benchmarks.plans import PlanBase, SignIn
from benchmarks.rows import CONNECTIONS, PROCESSES, USUAL, Options, Row, folder, loader
from benchmarks.servers import bare, gatehouse, make_checked, wsgi_server
from benchmarks.wrk import MISSING, BenchRequest, is_there, load, settled
from devtools.servers.databases import InstanceData

USERS = 1000
STORED = 100_000
KINDS = ("session", "token", "key")
MISSING_STOCK = (
    "stock: left out, its packages are missing: "
    ".venv/bin/pip install --require-hashes -r requirements/bench.txt"
)


@dataclass(frozen=True, slots=True)
class StockRefresh(PlanBase):
    """Each browser refreshes its own token, with the newest one that it has been given."""

    tokens: list[str] = field(repr=False)

    def journey(self, number: int) -> Journey:
        place = number % len(self.tokens)
        body = {"refresh": self.tokens[place]}
        reply = yield Ask("refresh", 200, message("POST", "/refresh", {}, body))
        given = json.loads(reply.body)  # type: ignore[union-attr]
        self.tokens[place] = given.get("refresh", self.tokens[place])


@dataclass(frozen=True, slots=True)
class Trio:
    """The three servers at their ports, and how long each is asked."""

    options: Options
    stock: int
    ours: int
    bare: int

    def rows(
        self, kind: str, request: tuple[BenchRequest, BenchRequest], connections: int
    ) -> Iterator[Row]:
        """request: to the stock stack and to Gatehouse. One after the other, the bare one last."""
        stock, ours, bare_one = (
            settled(each, port, seconds=self.options.seconds, connections=connections)
            for each, port in zip(
                (*request, BenchRequest("/")), (self.stock, self.ours, self.bare), strict=True
            )
        )
        yield Row(f"stock: {kind}", "/s", stock.rate, bare_one.rate)
        yield Row(f"stock: {kind} p50", "ms", stock.p50, bare_one.p50, more_is_better=False)
        yield Row(f"stock: {kind} p99", "ms", stock.p99, bare_one.p99, more_is_better=False)
        yield Row(f"beside stock: {kind}", "/s", ours.rate, stock.rate)


def measure_stock(options: Options) -> Iterator[Row]:
    """The operations that both have. "beside stock" is Gatehouse, its bare column the stock one."""
    if not is_there():
        print(f"stock: {MISSING}", file=sys.stderr)
        return
    if importlib.util.find_spec("rest_framework_api_key") is None:
        print(MISSING_STOCK, file=sys.stderr)
        return
    with folder() as place:
        ours = make_checked(place / "ours", USERS)
        stock = make_stock(place / "stock", USERS)
        with (
            _stock_server(stock) as stock_port,
            gatehouse(ours, PROCESSES) as (_ours_server, port),
            bare(place, PROCESSES) as (_bare, bare_port),
        ):
            trio = Trio(options, stock_port, port, bare_port)
            yield from _checks(trio, ours, stock)
            yield from _different(trio, ours, stock)
            yield from _sign_ins(trio)
            yield from _refreshes(trio, ours, stock, "refresh")
        rotating = make_stock(place / "rotating", USERS, rotates=True)
        with (
            _stock_server(rotating) as stock_port,
            gatehouse(ours, PROCESSES) as (_ours_server, port),
            bare(place, PROCESSES) as (_bare, bare_port),
        ):
            trio = Trio(options, stock_port, port, bare_port)
            yield from _refreshes(trio, ours, rotating, "refresh, once-only tokens")


@contextmanager
def _stock_server(data: InstanceData) -> Iterator[int]:
    target, environment = "benchmarks.django_baseline.wsgi:application", data.environment()
    with wsgi_server(target, data.data_dir, PROCESSES, environment=environment) as (_server, port):
        yield port


def _checks(trio: Trio, ours: InstanceData, stock: InstanceData) -> Iterator[Row]:
    """The same credential again and again."""
    theirs, own = stock.shell(stock_data.OFFERS), ours.shell(forward_data.OFFERS)
    for kind in KINDS:
        request = (
            BenchRequest(f"/check/{kind}", (theirs[kind],)),
            BenchRequest("/auth/check", (*BOARD, own[kind])),
        )
        for connections in CONNECTIONS:
            yield from trio.rows(f"check by {kind}, {connections} conn.", request, connections)


def _different(trio: Trio, ours: InstanceData, stock: InstanceData) -> Iterator[Row]:
    """Every request brings another credential. Gatehouse's own files hold no tokens."""
    fill_stock(stock, STORED)
    ours.shell(forward_data.FILL.format(count=STORED, folder=ours.data_dir))
    for kind in ("session", "key"):
        name = f"{kind}.headers"
        request = (
            BenchRequest(f"/check/{kind}", each=stock.data_dir / name),
            BenchRequest("/auth/check", BOARD, each=ours.data_dir / name),
        )
        yield from trio.rows(f"{kind}, all different of {STORED // 1000} k", request, USUAL)


def _sign_ins(trio: Trio) -> Iterator[Row]:
    plan = SignIn(USERS)
    theirs, own = (
        loader(trio.options, port)(plan).rate("sign-in") for port in (trio.stock, trio.ours)
    )
    hello = load(BenchRequest("/"), trio.bare, seconds=trio.options.seconds, connections=USUAL).rate
    yield Row("stock: sign-in", "/s", theirs, hello)
    yield Row("beside stock: sign-in", "/s", own, theirs)


def _refreshes(trio: Trio, ours: InstanceData, stock: InstanceData, what: str) -> Iterator[Row]:
    tokens = stock.shell(stock_data.REFRESH_TOKENS.format(count=trio.options.clients))
    theirs = loader(trio.options, trio.stock)(StockRefresh(tokens)).rate("refresh")
    plan = Refresh(refresh_tokens(ours, trio.options.clients))
    own = loader(trio.options, trio.ours)(plan).rate("refresh")
    hello = load(BenchRequest("/"), trio.bare, seconds=trio.options.seconds, connections=USUAL).rate
    yield Row(f"stock: {what}", "/s", theirs, hello)
    yield Row(f"beside stock: {what}", "/s", own, theirs)
