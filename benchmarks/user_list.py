"""What many users cost: the admin panel's list of them, and a sign-in beside them."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.plans import browser_cookies
from benchmarks.rows import Options, Row, folder
from benchmarks.servers import PASSWORD, bare, email_of, gatehouse, make_data
from benchmarks.user_list_data import fill, owner_cookies
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData

FEW = 1_000
STORED = (100_000, 1_000_000)
LIST_MS, SIGN_IN_RATIO = 500.0, 1.2
LIST = "/admin/accounts/user/"
LOOKS, SIGN_INS = 9, 100
# What an administrator does in the list; user 77777 exists in each of the measured sizes.
PAGES = {
    "user list": LIST,
    "user list, an address": f"{LIST}?q=person77777@example.com",
    "user list, part of an address": f"{LIST}?q=son77777@ex",
    "user list, no match": f"{LIST}?q=nobody-at-all",
    "user list, one role": f"{LIST}?role=editor",
    "user list, one role and state": f"{LIST}?role=none&state=disabled",
}


def measure_user_list(options: Options) -> Iterator[Row]:
    """The user list beside ever more people, and a sign-in beside few and beside all of them."""
    with folder() as place, bare(place) as (_bare, bare_port):
        (place / "many").mkdir()
        many, stored = make_data(place / "many", options.database_url), 0
        hello = _milliseconds(lambda: _look(HTTPClient(f"http://127.0.0.1:{bare_port}"), "/"))
        for wanted in [size for size in STORED if size <= options.stored]:
            fill(many, stored, wanted)
            stored = wanted
            yield from _lists(many, stored, hello)
        if not options.database_url:
            yield _sign_in_row(place, many, stored)


def _lists(data: InstanceData, stored: int, hello: float) -> Iterator[Row]:
    with gatehouse(data) as (_server, port):
        client = HTTPClient(f"http://127.0.0.1:{port}", owner_cookies(data))
        for what, path in PAGES.items():
            value = _milliseconds(lambda path=path: _look(client, path))  # type: ignore[misc]
            name = f"{what}, {size_of(stored)}"
            yield Row(name, "ms", value, hello, LIST_MS, more_is_better=False)


def _look(client: HTTPClient, path: str) -> None:
    answer = client.get(path)
    if answer.status != 200:
        raise RuntimeError(f"{path}: answered {answer.status}")


def _milliseconds(act: Callable[[], None]) -> float:
    """The median of some times, after one that is not counted."""
    act()
    return statistics.median(_time(act) for _again in range(LOOKS)) * 1000


def _time(act: Callable[[], None]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _sign_in_row(place: Path, many: InstanceData, stored: int) -> Row:
    """Turn about at two servers, so that whatever else the machine does meets both alike."""
    (place / "few").mkdir()
    few = make_data(place / "few")
    fill(few, 0, FEW)
    with gatehouse(few) as (_few, few_port), gatehouse(many) as (_many, many_port):
        times: dict[int, list[float]] = {few_port: [], many_port: []}
        for number in range(SIGN_INS):
            turn = (few_port, many_port) if number % 2 else (many_port, few_port)
            for port in turn:
                times[port].append(_time(lambda port=port: sign_in(port, number)))  # type: ignore[misc]  # noqa: B023
    beside_few, beside_many = (statistics.median(times[port]) * 1000 for port in times)
    return Row(
        f"sign-in, {size_of(stored)} users",
        "ms",
        beside_many,
        beside_few,
        SIGN_IN_RATIO,
        more_is_better=False,
        is_ratio=True,
    )


def sign_in(port: int, number: int) -> None:
    """One user signs in with the password, in a new browser."""
    cookies = dict(pair.split("=") for pair in browser_cookies(number).split("; "))
    client = HTTPClient(f"http://127.0.0.1:{port}", cookies)
    fields = {"login": email_of(number), "password": PASSWORD}
    answer = client.post("/sign-in", fields)
    client.close()
    if answer.status != 302:
        raise RuntimeError(f"sign-in: answered {answer.status}")


def size_of(stored: int) -> str:
    """100 k, 1 M: how many are stored, for the name of a row."""
    return f"{stored // 1_000_000} M" if stored >= 1_000_000 else f"{stored // 1000} k"
