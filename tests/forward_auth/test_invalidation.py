"""A revocation in one process applies to the next request in every other.

And what is watched for it is the very database that checks read.
"""

import asyncio
import copy
import json
import os
import re
import shutil
import sqlite3
import time
from asyncio import events
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from accounts.models import User
from applications.models import App, AppSecret
from core.invalidation import data_version, postgresql
from core.invalidation.data_version import current_data_version, opened, watch
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData, PostgresServer
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import wait_for
from forward_auth import sql as checks_sql
from forward_auth.checker import Checker
from tests.api.keys import made
from tests.forward_auth.driver import Driver
from tests.forward_auth.test_wsgi import BOARD, _environ
from tests.servers.fixtures import StartGatehouse

ROUNDS = 50
# Locked: the worker may just be writing refusals that name them.
ONE_RULE = """
from core.locks import ROLES, acquire_lock
with transaction.atomic():
    acquire_lock(ROLES)
    AccessRule.objects.all().delete()
    staff, _is_new = Group.objects.get_or_create(name="staff")
    AccessRule.objects.create(name="staff", effect="role", role="editor", path="/board",
                              position=200, group_ids=[str(staff.pk)])
"""
PERSON = """
user = person("p{number}")
Membership.objects.create(user=user, group=staff)
result = offer(user, "{kind}")
"""
MakeDriver = Callable[..., Driver]
CHECK_PATHS = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "POST"}
# What is done to whom: name, kind of credential, code, and what the next check and the next request
# of the API answer: the user's role, or the code of the error.
ACTIONS: list[tuple[str, str, str, int, str]] = [
    ("revoke", "key", "ApiKey.objects.filter(user=user).update(revoked_at=now())",
     401, "api_key_invalid"),
    ("ban", "key", "Ban.objects.create(user=user, kind='manual', created_at=now())", 403, "banned"),
    ("ban", "session", "Ban.objects.create(user=user, kind='manual', created_at=now())",
     401, "not_authenticated"),
    ("disable", "token", "user.is_active = False; user.save()", 403, "account_disabled"),
    ("demote", "session", "User.objects.filter(pk=user.pk).update(role='viewer')", 403, "viewer"),
    ("sign out", "session", "BrowserSession.objects.filter(user_id=user.pk).delete()",
     401, "not_authenticated"),
    ("end tokens", "token", "TokenFamily.objects.update(ended_at=now())", 401, "token_invalid"),
    ("delete", "key", "user.delete()", 401, "api_key_invalid"),
    ("new password", "session", "user.set_password('some other words'); user.save()",
     401, "not_authenticated"),
    ("rule", "token", "AccessRule.objects.create(name='shut', effect='deny', path='/board')",
     403, "editor"),
    ("leave the group", "key", "Membership.objects.filter(user=user).delete()", 403, "editor"),
    ("delete the group", "session", "staff.delete()", 403, "editor"),
    ("kill signing keys", "token", """
from accounts.actors import SYSTEM
from api.tokens import signing_keys
signing_keys.replace_all(actor=SYSTEM)
""", 401, "token_invalid"),
    ("plain SQL", "key", """
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("UPDATE accounts_user SET is_active = %s WHERE email = %s", [False, user.email])
""", 403, "account_disabled"),
]  # fmt: skip


@pytest.fixture
def drivers() -> Iterator[MakeDriver]:
    running: list[Driver] = []

    def make(data: InstanceData, gatehouse: Gatehouse) -> Driver:
        running.append(Driver(data, **gatehouse.environment))
        return running[-1]

    yield make
    for driver in running:
        driver.stop()


def _status(client: HTTPClient, offer: dict[str, str]) -> int:
    return client.get("/auth/check", {**CHECK_PATHS, **offer}).status


def _account(client: HTTPClient, offer: dict[str, str]) -> str:
    """What the API answers: the role of the caller, or the code of the error."""
    found = json.loads(client.get("/api/v1/me", offer).text)
    client.cookies.clear()
    return str(found.get("code") or found["role"])


# Makes an app that asks; the result is its header. Called once in a driver.
ASKING = """
import base64
from accounts.actors import SYSTEM
from applications.models import App
from applications.services import apps, secrets
app = apps.create_app(actor=SYSTEM, app=App(name="Asks", url="https://asks.example.com"))
pair = f"{app.client_id}:{secrets.create_secret(actor=SYSTEM, app=app).text}"
result = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
          "Content-Type": "application/x-www-form-urlencoded"}
"""


def _told(client: HTTPClient, app: dict[str, str], offer: dict[str, str]) -> str:
    """What an app is told about the credential: the role of its user, or "inactive"."""
    text = next(iter(offer.values())).removeprefix("Bearer ").removeprefix("gatehouse_session=")
    found = json.loads(_question(client, app, text))
    return str(found.get("code") or (found["role"] if found["active"] else "inactive"))


def _question(client: HTTPClient, app: dict[str, str], text: str) -> bytes:
    client.connection.request("POST", "/api/v1/introspect", f"token={text}", app)
    return client.connection.getresponse().read()


def _told_after(account: str) -> str:
    """What apps are told where a check and the API answer this."""
    return account if account in ("editor", "viewer") else "inactive"


def test_the_next_request_to_every_process_is_denied(
    any_data: InstanceData, gatehouse_server: StartGatehouse, drivers: MakeDriver
) -> None:
    gatehouse = gatehouse_server(any_data, processes=3)
    driver = drivers(any_data, gatehouse)
    clients = [gatehouse.client(number) for number in range(3)]
    asking = driver(ASKING)

    for number, (name, kind, code, check, account) in enumerate(islice(cycle(ACTIONS), ROUNDS)):
        driver(ONE_RULE)
        offer = driver(PERSON.format(number=number, kind=kind))
        before = [
            (_status(client, offer), _account(client, offer), _told(client, asking, offer))
            for _again in range(3)
            for client in clients
        ]
        driver(code)
        after = [
            (_status(client, offer), _account(client, offer), _told(client, asking, offer))
            for client in clients
        ]

        assert (name, before) == (name, [(204, "editor", "editor")] * 9)
        assert (name, after) == (name, [(check, account, _told_after(account))] * 3)
    driver("from applications.models import AppSecret; AppSecret.objects.update(revoked_at=now())")
    assert [_told(client, asking, offer) for client in clients] == ["invalid_client"] * 3


def test_a_rolled_back_change_has_no_effect(
    any_data: InstanceData, gatehouse_server: StartGatehouse, drivers: MakeDriver
) -> None:
    gatehouse = gatehouse_server(any_data)
    driver = drivers(any_data, gatehouse)
    offer = driver("user = person('p'); result = offer(user, 'key')")
    driver("""
with transaction.atomic():
    User.objects.filter(pk=user.pk).update(is_active=False)
    transaction.set_rollback(True)
""")

    assert _status(gatehouse.client(), offer) == 204


def test_all_tables_of_a_decision_are_watched() -> None:
    """Listed here and not collected, so that a new table must be added deliberately.

    Those of apps are for the answers to their questions; see applications.answer_cache.
    """
    statements = [checks_sql._query(kind, "postgresql")[0] for kind in checks_sql.CREDENTIALS]
    statements += [checks_sql._factor_statement("postgresql"),
                   checks_sql._rule_statement("postgresql"),
                   checks_sql.KEY_STATEMENT]  # fmt: skip
    named = {
        table for text in statements for table in re.findall(r"(?:FROM|JOIN) (\w+)(?![.\w])", text)
    }

    named |= {App._meta.db_table, AppSecret._meta.db_table}
    assert named == set(postgresql.watched_tables())


def test_a_change_is_announced_before_other_commit_callbacks(
    postgres_data: InstanceData, tmp_path: Path
) -> None:
    """What fails after a commit leaves out all that was to follow it."""
    said = postgres_data.shell("""
from django.db import transaction
from accounts.models import User
from core.invalidation import postgresql
postgresql.track_changes()
told = []
def announce_change(): told.append("told")
postgresql.announce_change = announce_change
def broken(): raise ZeroDivisionError
try:
    with transaction.atomic():
        transaction.on_commit(broken)
        User.objects.update(name="x")
        User.objects.update(name="y")
except ZeroDivisionError:
    told.append("broken")
with transaction.atomic():
    User.objects.update(name="z")
    transaction.set_rollback(True)
User.objects.update(name="x")
result = told
""")

    assert said == ["told", "broken", "told"]


@pytest.fixture
def hosts(
    postgres_data: InstanceData,
    gatehouse_server: StartGatehouse,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[InstanceData, Gatehouse, Gatehouse]:
    """Two hosts over one PostgreSQL: each has a DATA_DIR of its own with the same secrets."""
    folder: Path = tmp_path_factory.mktemp("other-host")
    shutil.copytree(postgres_data.data_dir, folder, dirs_exist_ok=True)
    (folder / "epoch").unlink(missing_ok=True)
    other = InstanceData("postgres", postgres_data.url, folder)
    first = gatehouse_server(postgres_data)
    return postgres_data, first, gatehouse_server(other, PUBLIC_URL=first.url)


def test_another_host_is_notified(
    hosts: tuple[InstanceData, Gatehouse, Gatehouse], drivers: MakeDriver
) -> None:
    data, first, second = hosts
    driver, client = drivers(data, first), second.client()
    asking = driver(ASKING)

    for number, (name, kind, code, check, account) in enumerate(ACTIONS):
        driver(ONE_RULE)
        offer = driver(PERSON.format(number=number, kind=kind))
        assert wait_for(lambda offer=offer: _status(client, offer) == 204, 2)
        assert wait_for(lambda offer=offer: _account(client, offer) == "editor", 2)
        assert _told(client, asking, offer) == "editor"
        driver(code)

        assert wait_for(lambda offer=offer, check=check: _status(client, offer) == check), name
        assert wait_for(lambda offer=offer, account=account: _account(client, offer) == account), (
            name
        )
        assert _told(client, asking, offer) == _told_after(account), name


def test_another_host_denies_even_without_notifications(
    hosts: tuple[InstanceData, Gatehouse, Gatehouse],
    drivers: MakeDriver,
    postgres_server: PostgresServer,
) -> None:
    data, first, second = hosts
    driver, client = drivers(data, first), second.client()

    for number in range(10):
        offer = driver(f"user = person('p{number}'); result = offer(user, 'key')")
        assert [_status(client, offer) for _again in range(3)] == [204] * 3
        _cut_listeners(postgres_server)
        driver("ApiKey.objects.filter(user=user).update(revoked_at=now())")

        assert wait_for(lambda offer=offer: _status(client, offer) == 401)


def test_no_cache_is_used_longer_than_a_second_without_a_listener() -> None:
    """How long it really takes is measured by `make bench ARGS=forward`."""
    assert postgresql.BEAT_SECONDS < postgresql.TRUSTED_SECONDS <= 1.0


def _cut_listeners(server: PostgresServer) -> None:
    server.execute(
        sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'gatehouse-epoch'"
        )
    )


def test_listeners_reconnect(
    postgres_data: InstanceData, gatehouse_server: StartGatehouse, postgres_server: PostgresServer
) -> None:
    gatehouse_server(postgres_data, processes=2)
    count = sql.SQL(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatehouse-epoch'"
        " AND datname = {}"
    ).format(sql.Literal(postgres_data.url.rpartition("/")[2]))

    def listeners() -> int:
        return int(postgres_server.execute(count)[0][0])

    assert wait_for(lambda: listeners() == 2, 5)
    _cut_listeners(postgres_server)
    assert wait_for(lambda: listeners() == 2, 5)


def _read_beside_a_loop() -> None:
    """In a thread of its own, so that neither these connections nor the loop are left behind."""
    before = opened()
    assert current_data_version() is not None
    loop = asyncio.new_event_loop()
    events._set_running_loop(loop)  # Django gives this thread other connections from here on
    try:
        raw = opened().connection
        raw.execute("CREATE TEMPORARY TABLE beside_a_loop (name)")
        first = current_data_version()
        raw.execute("INSERT INTO beside_a_loop VALUES (1)")

        assert opened() is connections["default"] is not before
        assert current_data_version() not in (first, None)
        raw.close()
    finally:
        events._set_running_loop(None)
        loop.close()
        before.connection.close()


@pytest.mark.django_db
def test_the_connection_that_reads_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with ThreadPoolExecutor(1) as threads:
        threads.submit(_read_beside_a_loop).result()


@pytest.mark.django_db
@pytest.mark.parametrize("is_undone", [True, False])
def test_rolled_back_reads_are_not_cached(viewer: User, is_undone: bool) -> None:
    checker = Checker(current_data_version)
    asked = _environ("/auth/check", **BOARD, HTTP_X_API_KEY=made(viewer).text)
    with transaction.atomic():
        User.objects.filter(pk=viewer.pk).update(is_active=False)
        inside = [checker.check(asked).decision.status for _again in range(3)]
        transaction.set_rollback(is_undone)

    assert inside == [403] * 3
    assert checker.check(asked).decision.status == (204 if is_undone else 403)


class _Files:
    """SQLite files as the product opens them; the first is what this thread reads."""

    def __init__(self, folder: Path) -> None:
        self.path = self.make(folder / "people.sqlite3")
        self.wrapper = self._wrapper()

    @staticmethod
    def make(path: Path) -> Path:
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("CREATE TABLE person (name)")
            raw.commit()
        return path

    def _wrapper(self) -> BaseDatabaseWrapper:
        theirs = connections["default"]
        wanted = copy.deepcopy(theirs.settings_dict) | {"NAME": str(self.path)}
        return type(theirs)(wanted, "default")

    def connect(self) -> BaseDatabaseWrapper:
        """Another thread's connection."""
        wrapper = self._wrapper()
        wrapper.inc_thread_sharing()
        wrapper.ensure_connection()
        return wrapper


def _write(wrapper: BaseDatabaseWrapper) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("INSERT INTO person VALUES ('somebody')")


def _moved(path: Path, to: Path) -> None:
    for end in ("", "-wal", "-shm"):
        if Path(f"{path}{end}").exists():
            os.replace(f"{path}{end}", f"{to}{end}")


@pytest.fixture
def files(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Files]:
    made = _Files(tmp_path)
    here = data_version._LocalState()
    here.wrapper = made.wrapper
    monkeypatch.setattr(data_version, "_local_state", here)
    yield made
    made.wrapper.close()


def _watches(files: _Files, writer: BaseDatabaseWrapper) -> bool:
    """Is each of three writes seen at once, and nothing where nothing is written?"""
    seen = []
    for _again in range(3):
        before = [current_data_version(), current_data_version()]
        _write(writer)
        seen.append(before[0] == before[1] != current_data_version())
    return seen == [True] * 3


def test_the_database_file_is_watched_by_its_shared_memory(files: _Files) -> None:
    assert _watches(files, files.connect())
    assert data_version._local_state.watched is not None
    assert data_version._local_state.watched.memory is not None


def test_a_replaced_database_file_is_not_watched(files: _Files, tmp_path: Path) -> None:
    """This thread has opened the first one, but was not asked about it until now."""
    opened()
    writer = files.connect()
    _moved(files.path, tmp_path / "old.sqlite3")
    files.make(files.path)
    other = files.connect()
    _write(other)

    assert _watches(files, writer)


def test_a_replaced_shared_memory_file_is_not_watched(files: _Files, tmp_path: Path) -> None:
    writer = files.connect()
    _write(writer)
    opened()
    memory = Path(f"{files.path}-shm")
    kept = memory.read_bytes()
    memory.rename(tmp_path / "away")
    memory.write_bytes(kept)

    assert _watches(files, writer)


def test_a_reopened_connection_watches_the_current_file(files: _Files, tmp_path: Path) -> None:
    first = current_data_version()
    files.wrapper.close()
    _moved(files.path, tmp_path / "old.sqlite3")
    files.make(files.path)

    assert current_data_version() not in (first, None)
    assert _watches(files, files.connect())


def test_a_file_replaced_while_being_opened_is_not_reported(
    files: _Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.Connection.__init__

    class Slow(sqlite3.Connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            connect(self, *arguments, **options)
            _moved(files.path, tmp_path / "old.sqlite3")
            files.make(files.path)

    from_file = type("FromFile", (data_version.FileConnection, Slow), {})
    files.wrapper.settings_dict["OPTIONS"]["factory"] = from_file

    assert current_data_version() is not None
    assert opened().connection.file is None
    assert data_version._local_state.watched is not None
    assert data_version._local_state.watched.memory is None


def test_nothing_is_cached_within_an_open_transaction(files: _Files) -> None:
    raw = opened().connection
    assert current_data_version() is not None
    raw.execute("BEGIN")
    inside = current_data_version()
    raw.execute("ROLLBACK")

    assert inside is None
    assert current_data_version() is not None


def test_a_thread_without_a_connection_is_told_the_same_version(files: _Files) -> None:
    writer, version = files.connect(), watch()
    assert version is not None
    with ThreadPoolExecutor(1) as threads:
        for _again in range(3):
            before = current_data_version()
            assert threads.submit(version).result() == before
            _write(writer)
            assert threads.submit(version).result() == current_data_version() != before
        files.wrapper.close()
        assert threads.submit(version).result() is None
        assert watch() is not None
        assert threads.submit(version).result() is None


def test_a_thread_without_a_connection_is_told_nothing_without_shared_memory(
    files: _Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_version, "_wal_memory", lambda _raw: None)
    version = watch()

    assert version is not None
    assert version() is None


def test_caches_of_another_database_than_the_listeners_are_not_used(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    settings.DATA_DIR = tmp_path
    postgresql._shared.cache_clear()
    name = postgres_server.create_database()
    urls = [postgres_server.url(), postgres_server.url(), postgres_server.url(name)]
    servers = []
    for url in urls:
        with psycopg.connect(url) as raw:
            servers.append(postgresql.server_of(raw))
    postgres_server.drop_database(name)
    listens, same, other = servers
    monkeypatch.setattr(postgresql.Beat, "at", time.monotonic() + 60)
    monkeypatch.setattr(postgresql.Beat, "server", listens)

    assert listens is not None
    assert postgresql.shared_data_version(same) == postgresql._shared().memory[:]
    assert postgresql.shared_data_version(other) is None
    assert postgresql.shared_data_version(None) is None
    postgresql._shared.cache_clear()


def test_a_replaced_shared_file_is_shared_from_then_on(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    shared = postgresql._Shared()
    shared.follow()
    kept = shared.memory
    (tmp_path / "epoch").unlink()
    of_new_processes, _file = postgresql._map_file(tmp_path / "epoch")

    shared.follow()

    of_new_processes[:] = b"12345678"
    assert shared.memory[:] == b"12345678"
    assert shared.memory is not kept
