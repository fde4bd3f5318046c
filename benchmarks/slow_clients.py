"""Checks beside clients that begin a request and never end it, directly and through proxies."""

import http.client
import time
from collections.abc import Iterator
from itertools import product

from benchmarks.rows import Options, Row, folder
from benchmarks.servers import gatehouse, make_data
from core.file_descriptors import allow_all
from devtools.servers.fronts import FRONTS, SITE
from devtools.servers.slow import Connect, SlowClients, by_tls, direct

COUNTS = (8, 64, 1000)
P99 = 50.0
ASKED = 500
# What else computes on the machine only ever slows a turn.
TURNS = 3
ENVIRONMENT = {"PUBLIC_URL": f"https://{SITE}", "TRUSTED_PROXIES": "127.0.0.1"}
REFUSED = 401


def measure_slow(options: Options) -> Iterator[Row]:
    """The 99th percentile of a check beside them; as bare figure the same server without them."""
    allow_all()
    with folder() as place:
        data = make_data(place, options.database_url)
        data.extra.update(ENVIRONMENT)
        with gatehouse(data) as (_server, port):
            yield from _each("direct", direct(port))
        for name, start in FRONTS.items():
            own = place / name
            own.mkdir()
            with gatehouse(data) as (_server, port):
                proxy = start(port, own)
                try:
                    yield from _each(name, by_tls(proxy))
                finally:
                    proxy.process.stop()


def _each(where: str, connect: Connect) -> Iterator[Row]:
    for count, drips in product(COUNTS, (False, True)):
        without, beside = [], []
        for _turn in range(TURNS):
            without.append(_p99(connect))
            slow = SlowClients(count, connect, drips=drips)
            try:
                beside.append(_p99(connect))
            finally:
                slow.stop()
        kind = "dripping" if drips else "silent"
        what = f"check p99, {count} {kind}, {where}"
        yield Row(what, "ms", min(beside), min(without), P99, more_is_better=False)


def _p99(connect: Connect) -> float:
    """Of one client that asks again and again, in milliseconds."""
    connection = http.client.HTTPConnection(SITE)
    connection.sock = connect()
    took = []
    for _one in range(ASKED):
        began = time.perf_counter()
        connection.request("GET", "/auth/check")
        response = connection.getresponse()
        response.read()
        took.append((time.perf_counter() - began) * 1000)
        if response.status != REFUSED:
            raise RuntimeError(f"/auth/check answered {response.status}")
    connection.close()
    return sorted(took)[int(ASKED * 0.99)]
