"""A PostgreSQL server in a temporary folder, and a migrated database for each test."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from devtools.servers.processes import (
    ROOT,
    ServerProcess,
    free_port,
    program,
)
from devtools.servers.quick import SECONDS, Ended, Loaded, loaded, warmed

PREPARE = """
import django
django.setup()
from config.management.commands.serve import Command
Command().prepare()
"""
SHELL = """
import json, sys
import django
django.setup()
result = None
exec(sys.argv[1])
print("\\n" + json.dumps(result, default=str))
"""
MANAGE = """
import runpy, sys
sys.argv[0] = "manage.py"
runpy.run_path("manage.py", run_name="__main__")
"""
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class InstanceData:
    """The data of one instance.

    kind: "sqlite" or "postgres". url: its DATABASE_URL. seconds: what runs longer is killed.
    """

    kind: str
    url: str
    data_dir: Path
    extra: dict[str, str] = field(default_factory=dict)
    seconds: float | None = SECONDS

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process that uses this data, without the settings of the tests."""
        inherited = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ
        }
        own = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.url,
            "LOG_FORMAT": "json",
            # Ports differ between runs, but tests expect fixed names of cookies.
            "COOKIE_SUFFIX": "none",
        }
        return inherited | own | self.extra | more

    def python(self, code: str, *arguments: str, **more: str) -> str:
        """Run code in a process with this data; returns the output. Raises with the error text."""
        environment = self.environment(**more)
        done = starter(environment).run(
            code, *arguments, environment=environment, seconds=self.seconds
        )
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout

    def shell(self, code: str, **more: str) -> Any:
        """Run code with Django set up; returns its variable `result`, which must be JSON."""
        return json.loads(self.python(SHELL, code, **more).splitlines()[-1])

    def manage(self, *arguments: str, **more: str) -> Ended:
        """Run `manage.py arguments` with this data."""
        environment = self.environment(**more)
        return starter(environment).run(
            MANAGE, *arguments, environment=environment, seconds=self.seconds
        )


def starter(environment: Mapping[str, str]) -> Loaded:
    """The parent for a process with this environment; `warmed` has imported this project only."""
    return warmed if environment["DJANGO_SETTINGS_MODULE"] == "config.settings" else loaded


class PostgresServer:
    """A PostgreSQL cluster in a temporary folder, on a Unix socket and a port of 127.0.0.1."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-postgres-"))
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        self._run_initdb()
        self.start()

    def start(self) -> None:
        """Start the server, also after halt(), on the same port and data."""
        self.process = ServerProcess(
            [_postgres_program("postgres"), "-D", str(self.folder / "data"), *self._options()],
            self.folder / "log",
            user=self.user,
        )
        self.process.wait_until(self._answers)

    def halt(self) -> None:
        """Stop the server and close its connections."""
        self.process.stop(signal.SIGINT)

    def _run_initdb(self) -> None:
        identity: dict[str, Any] = (
            {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        )
        command = [_postgres_program("initdb"), "-D", str(self.folder / "data"), "-U", "gatehouse"]
        command += ["-A", "trust", "-N", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **identity)

    def _options(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            # The data need not survive a power failure.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 200,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _answers(self) -> bool:
        try:
            self.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres") -> str:
        """The DATABASE_URL of one of its databases."""
        return f"postgresql://gatehouse@127.0.0.1:{self.port}/{database}"

    def execute(
        self, statement: sql.SQL | sql.Composed, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction; returns its rows, if any."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def run(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, of the version of the server."""
        subprocess.run([_postgres_program(name), *arguments], check=True, capture_output=True)

    def is_waited(self) -> bool:
        """Does any transaction wait for a lock?"""
        return bool(self.execute(sql.SQL("SELECT 1 FROM pg_locks WHERE NOT granted")))

    def create_database(self, template: str = "template1") -> str:
        """Copy the database `template`; returns the name of the copy."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, and close its connections."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        self.process.stop(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)


def _postgres_program(name: str) -> str:
    """The folder of the server's programs, which Debian does not put into PATH."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    for folder in reversed(folders):
        if (folder / name).exists():
            return str(folder / name)
    return program(name)


class Templates:
    """Migrated data that each test copies: a folder for SQLite, a database for PostgreSQL.

    folder: may be shared by processes that run at once; the first one makes the data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, InstanceData] = {}

    def fresh(self, kind: str, target: Path, server: PostgresServer | None = None) -> InstanceData:
        """New migrated data of a kind ("sqlite", "postgres"), with secrets and static files."""
        if kind not in self._made:
            self._made[kind] = self._make_on_postgres(server) if server else self._make_on_sqlite()
        template = self._made[kind]
        copy_data(template.data_dir, target)
        if server is None:
            return InstanceData(kind, _sqlite_url(target), target)
        name = server.create_database(template.url.rpartition("/")[2])
        return InstanceData(kind, server.url(name), target)

    def _make_on_sqlite(self) -> InstanceData:
        folder, unfinished = self.folder / "sqlite", self.folder / "sqlite-unfinished"
        with self._locked("sqlite"):
            if not folder.exists():
                unfinished.mkdir(mode=0o700)
                InstanceData("sqlite", _sqlite_url(unfinished), unfinished).python(PREPARE)
                unfinished.rename(folder)
        return InstanceData("sqlite", _sqlite_url(folder), folder)

    def _make_on_postgres(self, server: PostgresServer) -> InstanceData:
        """Each process has a server of its own, which loads what that of the first one has made.

        Its static files are those of SQLite's data.
        """
        static = self._make_on_sqlite().data_dir / "static"
        folder, unfinished = self.folder / "postgres", self.folder / "postgres-unfinished"
        url, dump = server.url(server.create_database()), self.folder / "postgres.sql"
        with self._locked("postgres"):
            if folder.exists():
                server.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(dump), url)
            else:
                unfinished.mkdir(mode=0o700)
                _link_files(static, unfinished / "static")
                InstanceData("postgres", url, unfinished).python(PREPARE)
                server.run("pg_dump", "-f", str(dump), url)
                unfinished.rename(folder)
        return InstanceData("postgres", url, folder)

    @contextmanager
    def _locked(self, kind: str) -> Iterator[None]:
        with (self.folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def copy_data(source: Path, target: Path) -> None:
    """Copy a DATA_DIR; its several hundred collected static files become hard links."""
    shutil.copytree(source, target, ignore=_only_at(source, "static"), dirs_exist_ok=True)
    _link_files(source / "static", target / "static")


def _only_at(folder: Path, name: str) -> Callable[[str, list[str]], set[str]]:
    return lambda visited, _names: {name} if visited == str(folder) else set()


def _link_files(source: Path, target: Path) -> None:
    """`collectstatic` replaces files and leaves unchanged ones alone: no copy changes another."""
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    """A test may put the data of two databases into one folder."""
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'gatehouse.sqlite3'}"
