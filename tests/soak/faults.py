"""The faults. Each one begins, checks that no credential works meanwhile, and ends."""

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from devtools.servers.processes import wait_for
from tests.servers.ldap import PASSWORD
from tests.servers.mail import HANG_UP, _Failing
from tests.soak.attackers import opens
from tests.soak.calls import Caller, PlannedRequest, Unsure
from tests.soak.clients import API, looks
from tests.soak.deployment import Deployment, Node
from tests.soak.journal import Credential, Journal

STOP_SECONDS = 40.0
BACK_SECONDS = 40.0
# For one second after the database is lost, a node may answer a check from memory.
DEAF_SECONDS = 1.3
CLOCK_SECONDS = 4.0
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Probe:
    """Valid credentials, which must grant no access while a node cannot verify them."""

    access: Credential
    key: Credential
    password: Credential


class Faults:
    """All faults, by name; each returns when everything runs again."""

    def __init__(
        self, deployment: Deployment, journal: Journal, probe: Probe, chance: random.Random
    ) -> None:
        self.deployment, self.journal, self.probe, self.random = deployment, journal, probe, chance
        self.caller = Caller(deployment.urls, journal, chance.randrange(10**9))
        self._pause = threading.Event()

    def all(self) -> dict[str, Callable[[], None]]:
        return {
            "kill -9 of a worker": self.kill_worker,
            "kill -9 of a node": self.kill_node,
            "SIGTERM of a node": self.stop_node,
            "PostgreSQL: fast stop": lambda: self.restart_postgres(signal.SIGINT),
            "PostgreSQL: immediate stop": lambda: self.restart_postgres(signal.SIGQUIT),
            "PostgreSQL: all connections cut": self.deployment.postgres.cut,
            "mail: hangs up": lambda: self.break_mail(HANG_UP),
            "mail: refuses for now": lambda: self.break_mail(451),
            "directory: away": self.stop_directory,
            "clock: an hour ahead": lambda: self.jump(3600.0),
            "clock: an hour behind": lambda: self.jump(-3600.0),
        }

    def run(self, name: str) -> None:
        """Run a fault. A part that does not recover is a broken promise."""
        self.journal.trouble()
        self.all()[name]()
        if not wait_for(self._is_well, BACK_SECONDS):
            self.journal.break_promise(f"not all is well again after: {name}")
        self.journal.calm()

    def wait(self, seconds: float) -> None:
        self._pause.wait(seconds)

    def kill_worker(self) -> None:
        self._any_node().kill_worker(self.random.randrange(2))

    def kill_node(self) -> None:
        node = self._any_node()
        assert node.process is not None
        node.process.kill()
        self.wait(0.5)
        node.start()

    def stop_node(self) -> None:
        node = self._any_node()
        assert node.process is not None
        node.process.process.terminate()
        code = node.process.process.wait(STOP_SECONDS)
        if code != 0:
            self.journal.break_promise(f"a node ended with {code} after SIGTERM")
        node.start()

    def restart_postgres(self, how: signal.Signals) -> None:
        self.deployment.postgres.end(how)
        self.wait(DEAF_SECONDS)
        for credential in (self.probe.access, self.probe.key):
            for planned in looks(credential):
                self._must_not_open("the database", planned)
        body = {"email": self.probe.password.person, "password": self.probe.password.secret}
        self._must_not_open("the database", PlannedRequest("POST", f"{API}/auth/token", body=body))
        self.deployment.postgres.start()

    def break_mail(self, status: int) -> None:
        self.deployment.mail.fail_with(status, MANY)
        self.wait(2.0)
        _Failing.clear(self.deployment.mail)

    def stop_directory(self) -> None:
        self.deployment.directory.process.stop()
        body = {"login": self.deployment.people[0], "password": PASSWORD}
        self._must_not_open("the directory", PlannedRequest("POST", f"{API}/auth/token", body=body))
        self.wait(1.0)
        self.deployment.directory.process = self.deployment.directory._start()
        # Gatehouse does not ask a directory server that failed again for five seconds.
        self.wait(5.0)

    def jump(self, seconds: float) -> None:
        node = self._any_node()
        self.journal.clock_is_wrong()
        node.move_clock(seconds)
        self.wait(CLOCK_SECONDS)
        node.move_clock(0.0)
        # Requests that began earlier may have read the wrong clock.
        self.wait(1.0)
        self.journal.clock_is_right()

    def _any_node(self) -> Node:
        return self.random.choice(self.deployment.nodes)

    def _must_not_open(self, part: str, planned: PlannedRequest) -> None:
        for node in range(len(self.deployment.nodes)):
            try:
                answer, _cookies = self.caller.ask(planned, node)
            except Unsure:
                continue
            if opens("", answer):
                text = f"{planned.path} answered {answer.status} at node {node} without {part}"
                self.journal.break_promise(text)

    def _is_well(self) -> bool:
        try:
            answers = [
                self.caller.ask(PlannedRequest("GET", "/health/ready"), node)[0] for node in (0, 1)
            ]
        except Unsure:
            return False
        return self.deployment.is_whole() and all('"ok"' in one.text[:20] for one in answers)
