"""Fixtures for every test: users with fixed roles, their browsers, the clock."""

import asyncio
import gc
import importlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from accounts.roles import Role
from api.tokens.signing_keys import key_set_cache
from core.branding import current
from core.crypto.encryption import decrypt
from forward_auth.checker import CHECKER
from forward_auth.services import denials, key_usage
from mail.models import OutboxMail
from tests.migrated_databases import share_databases

pytest_plugins = ["tests.servers.fixtures"]

PASSWORD = "correct horse battery staple"
MakeUser = Callable[..., User]
# A test with one of these starts other processes.
SERVERS = {"data_templates", "postgres_server", "browser", "racers", "openid_provider",
           "image"}  # fmt: skip


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three workers more than cores: much of the time goes by while servers and browsers start.

    Not where those tests are left out, as in `make test ARGS=tests/accounts`.
    """
    return (os.cpu_count() or 1) + 3 * ("not race" not in config.option.markexpr)


def pytest_configure() -> None:
    """Collecting creates a million objects, none of which is garbage: do not search them for it."""
    gc.disable()


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Each worker of a whole run first compiles its share of the tests, the others load it.

    Rewriting the assertions takes as long as all the rest of collecting.
    """
    config, worker = collector.config, os.environ.get("PYTEST_XDIST_WORKER", "gw")
    if not isinstance(collector, pytest.Session) or config.args != config.getini("testpaths"):
        return
    number, workers = worker[2:], int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = sorted(config.rootpath.glob("tests/**/test_*.py"))
    for file in files[int(number or 0) :: workers]:
        name = ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
        # Pytest meets an error again where it collects the file, and reports it.
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def pytest_collection_finish() -> None:
    """From here on search for garbage again, but only among what the tests create."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that wait for servers, so that no worker waits for them at the end.

    A test that may use the database may use the cache's own file too. Emptying the tables after a
    test would take the rows that migrations made: the named locks.
    """
    waiting = {item.path for item in items if SERVERS & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in waiting)
    for item in items:
        for mark in item.iter_markers("django_db"):
            mark.kwargs.setdefault("databases", "__all__")
            if mark.kwargs.get("transaction"):
                raise pytest.UsageError(
                    f"{item.nodeid}: transaction=True empties the database that other tests use; "
                    "take django_capture_on_commit_callbacks, or a server with its own database."
                )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hide the event loop of a browser: the product caches nothing in a thread that runs one.

    Playwright leaves its own running in this thread between the tests that use it.
    """
    if "browser" in getattr(item, "fixturenames", ()):
        return (yield)
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(running)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """pytest-django asks for this before it creates the databases."""
    if "PYTEST_XDIST_WORKER" in os.environ and all(
        connection.vendor == "sqlite" for connection in connections.all()
    ):
        share_databases(connections.all(), tmp_path_factory.getbasetemp().parent)


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Limits, signing keys and checks start from nothing in each test that has a database."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("db")
        cache.clear()
        key_set_cache.forget()
        # A test that is undone leaves no change behind for the next one to see.
        CHECKER._forget_settings()


@pytest.fixture(autouse=True)
def _default_branding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is that of the settings, without a query, until a test calls current.forget()."""
    monkeypatch.setattr(current, "_cached", (current.combine(None), math.inf))


@pytest.fixture(autouse=True)
def _nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What checks of other tests have left in memory for the worker is not written in this one."""
    monkeypatch.setattr(denials, "_waiting", denials._Waiting())
    monkeypatch.setattr(key_usage, "_waiting", key_usage._Waiting())


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of limits begin with the test, so that its attempts never fall into two of them."""
    start = int(time.time())

    def end_of_window(_value: object, period: int) -> int:
        return start + period * ((int(time.time()) - start) // period + 1)

    monkeypatch.setattr("django_ratelimit.core._get_window", end_of_window)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A page in German leaves the thread in German; the next test starts in English."""
    with translation.override("en"):
        yield


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """make_user(role="admin", email=…, password=…, **fields) -> User; verified by default."""

    def make(
        role: str = Role.VIEWER,
        email: str | None = None,
        password: str | None = PASSWORD,
        is_verified: bool = True,
        **fields: object,
    ) -> User:
        user = User(email=email or f"{role}{User.objects.count()}@example.com", role=role, **fields)
        user.set_password(password)
        user.email_verified_at = timezone.now() if is_verified else None
        user.save(force_insert=True)
        return user

    return make


@pytest.fixture
def viewer(make_user: MakeUser) -> User:
    return make_user("viewer", "viewer@example.com", name="Vera Viewer", username="vera")


@pytest.fixture
def editor(make_user: MakeUser) -> User:
    return make_user("editor", "editor@example.com", name="Edgar Editor")


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user("admin", "admin@example.com", name="Ada Admin")


@pytest.fixture
def owner(make_user: MakeUser) -> User:
    return make_user("owner", "owner@example.com", name="Olga Owner")


@pytest.fixture
def stranger() -> Client:
    """An anonymous browser on this machine."""
    return Client(headers={"host": "localhost:8000"})


@pytest.fixture
def browser_of(db: None) -> Callable[[User], Client]:
    """browser_of(user) -> a browser signed in as `user` through the sign-in page."""

    def sign_in(user: User, password: str = PASSWORD) -> Client:
        client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        answer = client.post("/sign-in", {"login": user.email, "password": password})
        assert answer.status_code == 302, answer.content
        return client

    return sign_in


@pytest.fixture
def mails(db: None) -> Callable[[], list[OutboxMail]]:
    """The mails in the outbox, oldest first."""
    return lambda: list(OutboxMail.objects.order_by("id"))


def text_of(mail: OutboxMail) -> str:
    """The plain text of a mail that has not been sent yet."""
    body: dict[str, str] = json.loads(decrypt(mail.sealed_body, f"outbox.sealed_body:{mail.pk}"))
    return body["text"]


def messages_of(answer: Any) -> list[str]:
    """The messages of a page, without the offers to undo, which tests/admin/test_undo.py tests."""
    texts = [str(message) for message in answer.context["messages"]]
    return [text for text in texts if 'class="undo-link"' not in text]


def path_in(mail: OutboxMail) -> str:
    """The path of the one link in a mail."""
    (url,) = re.findall(r"^http://localhost:8000(/\S+)$", text_of(mail), re.MULTILINE)
    return str(url)


@pytest.fixture
def at_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """at_time(timedelta(minutes=11)) moves the clock of django.utils.timezone from now on."""
    real_now = timezone.now

    def move(offset: timedelta) -> datetime:
        monkeypatch.setattr(timezone, "now", lambda: real_now() + offset)
        return timezone.now()

    return move
