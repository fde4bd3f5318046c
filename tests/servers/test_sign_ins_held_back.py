"""Sign-ins have half of the threads for Django at most, so that pages and API calls find one."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fcntl import LOCK_EX, flock
from queue import SimpleQueue
from typing import Any

import pytest
from django.urls import resolve
from pytest_django.fixtures import Settings

from accounts.passwords.hashers import FOLDER, hashes_at_once
from config.server.dispatch import SIGN_IN_PATHS, Serving, Start, fast_path_only
from config.server.raw_request import Environ
from core import metrics
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from tests.conftest import PASSWORD
from tests.metrics.scraped import samples
from tests.servers.fixtures import StartGatehouse
from tests.servers.test_known_answers import Question

SECONDS = 10
MAKE_PERSON = f"""
from django.utils import timezone
from accounts.models import User
person = User(email="vera@example.com", username="vera", role="viewer",
              email_verified_at=timezone.now())
person.set_password({PASSWORD!r})
person.save()
result = None
"""


class Visit(Question):
    """A request that tells when the server has done with it, answered or not."""

    def __init__(self, path: str, body: str, method: str) -> None:
        super().__init__(body.encode(), raw_path=path.encode(), method=method)
        self.is_done = threading.Event()

    def done(self) -> None:
        self.is_done.set()

    def status(self) -> int | None:
        """Of the answer; None if the library had to answer in its place."""
        assert self.is_done.wait(SECONDS)
        return self.sent[0]["status"] if self.sent else None


class Site:
    """Serving over a Django in which each sign-in waits until the test lets one go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self.begun: SimpleQueue[str] = SimpleQueue()
        self.turns: SimpleQueue[type[Exception] | None] = SimpleQueue()
        application = fast_path_only(self.django)
        self.serving = Serving(application, lambda _scope: (None, None), threads, loop)

    def django(self, environ: Environ, start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read().decode()
        if body.startswith("slow"):
            self.begun.put(body)
            failure = self.turns.get(timeout=SECONDS)
            if failure is not None:
                raise failure
        start("200 OK", [])
        return [b"answered"]

    def send(self, path: str, body: str = "", method: str = "POST") -> Visit:
        visit = Visit(path, body, method)
        self.serving.take(visit)
        return visit

    def begin(self, path: str, body: str) -> Visit:
        """Send, and wait until Django has it."""
        visit = self.send(path, body)
        assert self.begun.get(timeout=SECONDS) == body
        return visit

    def hold_back(self, path: str, body: str) -> Visit:
        """Send, and wait until the server has it, which nothing but the metrics tells."""
        before = waiting()
        visit = self.send(path, body)
        pause = threading.Event()
        for _turn in range(SECONDS * 100):
            if waiting() == before + 1:
                return visit
            pause.wait(0.01)
        raise AssertionError("it was not held back")


def waiting() -> int:
    return metrics.COUNTERS.counts()[metrics.HASHES_WAITING]


@pytest.fixture
def make_site() -> Iterator[Callable[[int], Site]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda threads: Site(loop, threads)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("path", sorted(SIGN_IN_PATHS))
def test_sign_ins_leave_half_of_the_threads_to_others(
    make_site: Callable[[int], Site], path: str
) -> None:
    site, before = make_site(4), waiting()
    visits = [site.begin(path, "slow 1"), site.begin(path, "slow 2")]
    visits += [site.hold_back(path, f"slow {number}") for number in (3, 4, 5)]

    assert site.send("/api/v1/me", method="GET").status() == 200
    assert site.send("/api/v1/users", "a body").status() == 200
    assert site.send(path, method="GET").status() == 200
    assert site.begun.empty()

    for number in (3, 4, 5):
        site.turns.put(None)
        assert site.begun.get(timeout=SECONDS) == f"slow {number}"
    site.turns.put(None)
    site.turns.put(None)
    assert [visit.status() for visit in visits] == [200] * 5
    assert waiting() == before
    # Both places are free again.
    last = [site.begin(path, "slow 6"), site.begin(path, "slow 7")]
    site.turns.put(None)
    site.turns.put(None)
    assert [visit.status() for visit in last] == [200] * 2


def test_a_sign_in_that_fails_gives_its_place_to_the_next(
    make_site: Callable[[int], Site],
) -> None:
    site = make_site(2)
    failing, following = site.begin("/sign-in", "slow 1"), site.hold_back("/sign-in", "slow 2")

    site.turns.put(RuntimeError)
    assert failing.status() is None
    assert site.begun.get(timeout=SECONDS) == "slow 2"
    site.turns.put(None)
    assert following.status() == 200


def test_other_requests_may_have_every_thread(make_site: Callable[[int], Site]) -> None:
    site = make_site(2)
    visits = [site.begin("/api/v1/users", "slow 1"), site.begin("/api/v1/users", "slow 2")]

    site.turns.put(None)
    site.turns.put(None)
    assert [visit.status() for visit in visits] == [200] * 2


def test_one_thread_answers_sign_ins_as_well(make_site: Callable[[int], Site]) -> None:
    assert make_site(1).send("/sign-in", "a form").status() == 200


def test_a_sign_in_below_a_path_is_one(
    make_site: Callable[[int], Site], settings: Settings
) -> None:
    settings.PUBLIC_PATH = "/gate"
    site = make_site(2)
    first = site.begin("/gate/sign-in", "slow 1")
    # An escaped letter is the same path, and a proxy may have removed the first part.
    second = site.hold_back("/gate/sign%2Din", "slow 2")
    third = site.hold_back("/sign-in", "slow 3")

    for _each in range(3):
        site.turns.put(None)
    assert [visit.status() for visit in (first, second, third)] == [200] * 3


def test_how_long_a_sign_in_was_held_back_is_counted(make_site: Callable[[int], Site]) -> None:
    site = make_site(2)
    visits = [site.begin("/sign-in", "slow 1"), site.hold_back("/sign-in", "slow 2")]
    before = metrics.COUNTERS.counts()["hashes_waited",]

    site.turns.put(None)
    site.turns.put(None)
    assert [visit.status() for visit in visits] == [200] * 2
    assert metrics.COUNTERS.counts()["hashes_waited",] > before


def test_users_who_are_signed_in_notice_nothing_of_a_storm(
    gatehouse_server: StartGatehouse, sqlite_data: InstanceData
) -> None:
    """With a real server, real hashes of stored passwords, and no free slot to hash in."""
    sqlite_data.shell(MAKE_PERSON)
    server = gatehouse_server(sqlite_data, WEB_THREADS="2")
    folder = sqlite_data.data_dir / FOLDER
    folder.mkdir(exist_ok=True)
    with ExitStack() as held, ThreadPoolExecutor(4) as pool:
        for slot in range(hashes_at_once()):
            flock(held.enter_context((folder / str(slot)).open("ab")), LOCK_EX)
        answers = [pool.submit(_sign_in, server) for _browser in range(4)]
        # Which Django answers, while half of its threads wait.
        assert wait_for(lambda: _value(server, "hashes_waiting") == 4)
        assert server.client().get("/sign-in").status == 200
        assert [answer.done() for answer in answers] == [False] * 4
        held.close()

        assert [answer.result(60) for answer in answers] == [302] * 4
    assert _value(server, "hashes_total") == 4
    assert _value(server, "hashes_waiting") == 0


def _sign_in(server: Gatehouse) -> int:
    client = server.client()
    client.cookies["gatehouse_csrf"] = "c" * 32
    return client.post("/sign-in", {"login": "vera@example.com", "password": PASSWORD}).status


def _value(server: Gatehouse, name: str) -> float:
    values = samples(server.client().get("/metrics").text)
    return values.get((f"gatehouse_password_{name}", ()), 0.0)


def test_the_paths_are_those_of_views() -> None:
    names = {resolve(path).url_name: path for path in SIGN_IN_PATHS if "/api/" not in path}
    assert names == {"account_login": "/sign-in", "account_signup": "/sign-up"}
    found: Any = resolve("/api/v1/auth/token")
    assert found.url_name == "token"
