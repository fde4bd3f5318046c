"""The deployment under test: PostgreSQL, slapd, a mail server, two Gatehouse nodes."""

import os
import shutil
import signal
import struct
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from psycopg import sql

from devtools.servers.databases import InstanceData, PostgresServer, Templates
from devtools.servers.gatehouse import SERVE, is_live
from devtools.servers.processes import ROOT, ServerProcess, free_port
from tests.servers.ldap import SERVICE_DN, SERVICE_PASSWORD, SUFFIX, USERS, DirectoryServer
from tests.servers.mail import SMTPServer

Server = TypeVar("Server", PostgresServer, DirectoryServer, SMTPServer)
WORKERS = 2
DIRECTORY_USERS = 12
BACK_SECONDS = 30.0
OWNER = """
from accounts.models import User
from api.apikeys.services import KeyRequest, create_key
from django.utils import timezone
owner = User.objects.create(email="owner@example.com", role="owner",
                            email_verified_at=timezone.now())
key_request = KeyRequest(name="soak", scopes=["read", "write", "users", "moderation"])
result = create_key(actor=owner, user=owner, key_request=key_request).text
"""
HIGH = "100000"
LIMITS = (
    "LOGIN_MAX",
    "MAGIC_LINK_MAX",
    "REGISTER_MAX",
    "RECIPIENT_MAIL_MAX",
    "API_KEY_MAX",
    "API_KEY_FAILURES_MAX",
)


class DurablePostgres(PostgresServer):
    """A server that loses no acknowledged commit at an immediate stop, and can be restarted."""

    def _options(self) -> list[str]:
        # No fsync is needed, because only the server is killed and not the machine.
        return [*super()._options(), "-c", "synchronous_commit=on"]

    def end(self, how: signal.Signals) -> None:
        """Stop by SIGINT (fast) or SIGQUIT (immediate; the next start recovers from the log)."""
        self.process.stop(how)

    def cut(self) -> None:
        """Close all other connections; the server keeps running."""
        self.execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )


class Node:
    """A node with its own DATA_DIR, port and clock, and two worker processes."""

    def __init__(self, data: InstanceData, folder: Path, name: str) -> None:
        self.data, self.name, self.port = data, name, free_port()
        self.log = folder / f"{name}.log"
        self._clock = folder / f"{name}.clock"
        self.process: ServerProcess | None = None
        self.move_clock(0.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it responds."""
        environment = self.data.environment(
            HOST="127.0.0.1",
            PORT=str(self.port),
            PYTHONPATH=os.pathsep.join([str(ROOT), str(Path(__file__).parent / "clock")]),
            SOAK_CLOCK=str(self._clock),
        )
        self.process = ServerProcess(
            [sys.executable, "-c", SERVE], self.log, environment=environment
        )
        self.process.wait_until(lambda: is_live(self.port), BACK_SECONDS)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def move_clock(self, seconds: float) -> None:
        """Set the difference to the true time, for all processes of the node."""
        mode = "r+b" if self._clock.exists() else "w+b"
        with self._clock.open(mode) as file:
            file.write(struct.pack("d", seconds))

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        return self.process.children()

    def kill_worker(self, number: int) -> int:
        """`kill -9` one worker; returns its process id."""
        pid = self.workers()[number % WORKERS]
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_whole(self) -> bool:
        """Do all workers run, and does the node respond?"""
        return len(self.workers()) == WORKERS and is_live(self.port)


class Deployment:
    """All servers, started; stop() stops them. owner_key: an API key of the owner, all scopes."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-soak-"))
        # The folder is kept, with the journal and the logs, if a promise was broken.
        self.is_kept = False
        self._stack.callback(self._clear)
        self.postgres = DurablePostgres()
        self._started(self.postgres)
        self.directory = self._started(DirectoryServer())
        self.mail = self._started(SMTPServer())
        self.people = [f"dora{number}" for number in range(DIRECTORY_USERS)]
        for uid in self.people:
            self.directory.add_user(uid)
        self.nodes = self._make_nodes()
        self.owner_key: str = self.data.shell(OWNER)
        for node in self.nodes:
            node.start()
            self._stack.callback(node.stop)

    def _clear(self) -> None:
        if not self.is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _started(self, server: Server) -> Server:
        self._stack.callback(server.stop)
        return server

    @property
    def data(self) -> InstanceData:
        return self.nodes[0].data

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def _make_nodes(self) -> list[Node]:
        templates = Templates(self.folder / "templates")
        templates.folder.mkdir()
        first = templates.fresh("postgres", self.folder / "one", self.postgres)
        shutil.copytree(first.data_dir, self.folder / "two")
        second = InstanceData("postgres", first.url, self.folder / "two")
        nodes = [Node(first, self.folder, "one"), Node(second, self.folder, "two")]
        for node in nodes:
            node.data.extra.update(self._settings(nodes[0].url))
        return nodes

    def _settings(self, public_url: str) -> dict[str, str]:
        return {
            **dict.fromkeys(LIMITS, HIGH),
            "PUBLIC_URL": public_url,
            "WEB_WORKERS": str(WORKERS),
            "BAN_VIOLATIONS": "false",
            "SESSION_EXPIRY": "24h",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(self.mail.port),
            "EMAIL_ENCRYPTION": "none",
            "EMAIL_FROM": "gate@example.com",
            "LDAP_URL": self.directory.url,
            "LDAP_BASE_DN": USERS,
            "LDAP_GROUP_BASE_DN": SUFFIX,
            "LDAP_BIND_DN": SERVICE_DN,
            "LDAP_BIND_PASSWORD": SERVICE_PASSWORD,
            "LDAP_DEFAULT_ACCESS": "viewer",
        }

    def is_whole(self) -> bool:
        """Do all workers of all nodes run, and do the nodes respond?"""
        return all(node.is_whole() for node in self.nodes)

    def stop(self) -> None:
        self._stack.close()
