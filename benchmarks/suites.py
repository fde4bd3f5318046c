"""The measurements. Each returns rows of the table and stands beside the bare server."""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.api import measure_api, measure_keys
from benchmarks.django_baseline.measure import measure_stock
from benchmarks.forward import measure_forward
from benchmarks.growth.measure import measure_growth
from benchmarks.limits import measure_limits
from benchmarks.load import Measured, Plan
from benchmarks.oidc_peer.measure import measure_openid
from benchmarks.peers.measure import measure_peers
from benchmarks.plans import AskAndRedeem, AskForLinks, Redeem, SignIn
from benchmarks.rows import (
    CONNECTIONS,
    PROCESSES,
    Options,
    Row,
    at_each_count,
    bare_rate,
    folder,
    loader,
    with_cost,
)
from benchmarks.servers import (
    PASSWORD,
    bare,
    gatehouse,
    make_data,
    make_users,
    memory_of,
    seconds_to_answer,
)
from benchmarks.slow_clients import measure_slow
from benchmarks.user_list import measure_user_list
from devtools.servers.databases import InstanceData
from devtools.servers.processes import ServerProcess, free_port, wait_for

SETTLE_SECONDS = 2.0
COUNT_LINKS = "from magiclinks.models import LoginLink; result = LoginLink.objects.count()"
ALL_TOKENS = "from benchmarks.outbox import all_tokens; result = all_tokens()"
# As the server's own threads do: each process admits as many hashes at once as there are cores.
HASH = """
import sys, threading, time
import django
django.setup()
from django.contrib.auth.hashers import check_password, make_password
password, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
encoded, counts = make_password(password), [0] * threads
print("ready", flush=True)
begin = float(sys.stdin.readline())
def work(number):
    while time.time() < begin:
        time.sleep(0.001)
    while time.time() < begin + seconds:
        assert check_password(password, encoded)
        counts[number] += 1
running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for thread in running: thread.start()
for thread in running: thread.join()
print(sum(counts))
"""


def measure_start(options: Options) -> Iterator[Row]:
    """From the command to the first answer, on data that are there already."""
    with folder() as place:
        data = make_data(place, options.database_url)
        port = free_port()
        environment = data.environment(PORT=str(port))
        ours = [sys.executable, "manage.py", "serve"]
        theirs = [sys.executable, "-m", "benchmarks.wsgi_baseline", str(port), "1", "8"]
        value, beside = (
            statistics.median(
                seconds_to_answer(command, port, place / "log", environment)
                for _ in range(options.repeats)
            )
            for command in (ours, theirs)
        )
    yield Row("start to first answer", "s", value, beside, 2.0, more_is_better=False)


def measure_memory(options: Options) -> Iterator[Row]:
    """Proportional memory of all processes of a server at rest that has answered once."""
    with folder() as place:
        with gatehouse(make_data(place, options.database_url)) as (server, _port):
            value = _memory_at_rest(server)
        with bare(place) as (server, _port):
            beside = _memory_at_rest(server)
    yield Row("memory at rest", "MB", value, beside, 130.0, more_is_better=False)


def _memory_at_rest(server: ServerProcess) -> float:
    threading.Event().wait(SETTLE_SECONDS)
    return memory_of(server)


def measure_links(options: Options) -> Iterator[Row]:
    """Magic links: asked for, made by the worker, redeemed; apart and as a whole."""
    with folder() as place:
        data = make_data(place, options.database_url)
        make_users(data, options.users)
        hello = bare_rate(options, place)
        with gatehouse(data, PROCESSES) as (_server, port):
            load = loader(options, port)
            asked, links_per_second = _ask(data, load, options)
            yield Row("magic-link requests", "/s", asked.rate("request"), hello.rate)
            yield Row("links made by the worker", "/s", links_per_second, hello.rate)
            plans = _redemptions(_tokens(data))
            redeemed = load(next(plans))
            yield Row("magic-link redemptions", "/s", redeemed.rate("redemption"), hello.rate)
            yield from at_each_count("redemption", port, options, lambda: next(plans))
    with folder() as place:
        data = make_data(place, options.database_url)
        make_users(data, options.users)
        with gatehouse(data, PROCESSES) as (server, port):
            load = loader(options, port)
            plan = AskAndRedeem(data.environment(), options.users)
            whole, cost = with_cost(server, lambda: load(plan))
    yield Row("request + redemption pairs", "/s", whole.rate("journey"), hello.rate, 400.0)
    yield Row("processor time of a pair", "ms", cost, hello.cost)


def _ask(
    data: InstanceData, load: Callable[[Plan], Measured], options: Options
) -> tuple[Measured, float]:
    """The requests, and how many links a second came of them until the last one was made."""
    start = time.perf_counter()
    asked = load(AskForLinks(options.users))
    end = time.perf_counter()
    total = asked.counts["request"]
    if not wait_for(lambda: data.shell(COUNT_LINKS) == total, 600):
        raise RuntimeError("not every request has led to a link")
    # Without the start of the load processes, which is no work of the server.
    lead = end - start - asked.seconds
    return asked, total / (time.perf_counter() - start - lead)


def _redemptions(tokens: dict[int, str]) -> Iterator[Redeem]:
    """As many plans as there are loads; a link can be used once, so each has its own part."""
    users, parts = sorted(tokens.items()), 1 + len(CONNECTIONS)
    for part in range(parts):
        yield Redeem(users[part::parts])


def _tokens(data: InstanceData) -> dict[int, str]:
    return {int(number): token for number, token in data.shell(ALL_TOKENS).items()}


def measure_sign_in(options: Options) -> Iterator[Row]:
    """Sign-ins with a password beside bare Argon2id with the same parameters and concurrency."""
    with folder() as place:
        data = make_data(place, options.database_url)
        make_users(data, 1000)
        hello = bare_rate(options, place)
        hashes = _hash_rate(data, options)
        with gatehouse(data, PROCESSES) as (_server, port):
            signed_in = loader(options, port)(SignIn(1000))
            times = list(at_each_count("sign-in", port, options, lambda: SignIn(1000)))
    rate = signed_in.rate("sign-in")
    yield Row("sign-ins beside the bare server", "/s", rate, hello.rate)
    yield Row("sign-ins beside bare Argon2id", "/s", rate, hashes, 0.9, is_ratio=True)
    yield from times


def _hash_rate(data: InstanceData, options: Options) -> float:
    arguments = [PASSWORD, str(options.clients // PROCESSES), str(options.seconds)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HASH, *arguments],
            env=data.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in running:
        _line_of(process)
    begin = f"{time.time() + 0.5}\n"
    counts = [int(process.communicate(begin, timeout=120)[0]) for process in running]
    return sum(counts) / options.seconds


def _line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints. Raises RuntimeError when it has ended instead."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a hashing process ended early")
    return line


MEASURES: dict[str, Callable[[Options], Iterator[Row]]] = {
    "start": measure_start,
    "memory": measure_memory,
    "links": measure_links,
    "sign-in": measure_sign_in,
    "api": measure_api,
    "keys": measure_keys,
    "limits": measure_limits,
    "users": measure_user_list,
    "forward": measure_forward,
    "slow": measure_slow,
    "stock": measure_stock,
    "openid": measure_openid,
    "peers": measure_peers,
    "growth": measure_growth,
}
