"""Fixtures of real servers. tests/conftest.py loads this module as a plug-in.

Everything runs on free ports of 127.0.0.1 in temporary folders, starts when first asked for, and
is ended by its own process id, whatever became of the test.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from devtools.servers.databases import InstanceData, PostgresServer, Templates, copy_data
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import program
from tests.servers.mail import ResendServer, SMTPServer
from tests.servers.node import OpenIDProvider
from tests.servers.race import Racers

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
StartGatehouse = Callable[..., Gatehouse]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL: .url(name), .create_database(), .execute()."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _smtp_server() -> Iterator[SMTPServer]:
    server = SMTPServer()
    yield server
    server.stop()


@pytest.fixture
def smtp_server(_smtp_server: SMTPServer) -> SMTPServer:
    """An SMTP server: .port, .mails, .fail_with(451, times=2), .fail_with(HANG_UP)."""
    _smtp_server.clear()
    return _smtp_server


@pytest.fixture(scope="session")
def _resend_server() -> Iterator[ResendServer]:
    server = ResendServer()
    yield server
    server.stop()


@pytest.fixture
def resend_server(_resend_server: ResendServer) -> ResendServer:
    """Resend's API: .url, .requests, .delivered, .fail_with(429, times=2)."""
    _resend_server.clear()
    return _resend_server


@pytest.fixture(scope="session")
def openid_provider() -> Iterator[OpenIDProvider]:
    """A certified OpenID provider: .issuer, .sign_in("anna"), .rotate(keep=True)."""
    server = OpenIDProvider()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def data_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Migrated data, which the fixtures below copy; all workers of a run share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    templates = folder / "templates"
    templates.mkdir(exist_ok=True)
    return Templates(templates)


@pytest.fixture
def sqlite_data(data_templates: Templates, tmp_path: Path) -> InstanceData:
    """Fresh migrated data on SQLite."""
    return data_templates.fresh("sqlite", tmp_path)


@pytest.fixture
def postgres_data(
    data_templates: Templates, tmp_path: Path, postgres_server: PostgresServer
) -> Iterator[InstanceData]:
    """Fresh migrated data on PostgreSQL."""
    data = data_templates.fresh("postgres", tmp_path, postgres_server)
    yield data
    postgres_server.drop_database(data.url.rpartition("/")[2])


@pytest.fixture(params=["sqlite", "postgres"])
def any_data(request: pytest.FixtureRequest) -> InstanceData:
    """Fresh migrated data, once on SQLite and once on PostgreSQL; its DATA_DIR is tmp_path."""
    return request.getfixturevalue(f"{request.param}_data")


@pytest.fixture
def any_database(any_data: InstanceData) -> str:
    """DATABASE_URL of any_data."""
    return any_data.url


@pytest.fixture
def gatehouse_server(tmp_path: Path) -> Iterator[StartGatehouse]:
    """gatehouse_server(data, processes=2, LOGIN_MAX="1000") -> a running Gatehouse with `data`."""
    running: list[Gatehouse] = []

    def start(data: InstanceData, processes: int = 1, **environment: str) -> Gatehouse:
        running.append(Gatehouse(data, tmp_path, processes, environment))
        return running[-1]

    yield start
    for gatehouse in running:
        gatehouse.stop()


@pytest.fixture
def racing_instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartGatehouse]:
    """racing_instance(any_data, LOGIN_MAX="1000") -> a running Gatehouse for tests of races.

    On SQLite two processes; on PostgreSQL three nodes, each with a DATA_DIR of its own.
    """
    running: list[Gatehouse] = []

    def start(data: InstanceData, **environment: str) -> Gatehouse:
        folder: Path = tmp_path_factory.mktemp("race")
        if data.url.startswith("sqlite"):
            running.append(Gatehouse(data, folder, 2, environment))
            return running[-1]
        hosts = [folder / f"node{number}" for number in range(3)]
        for host in hosts:
            copy_data(data.data_dir, host)
        running.append(Gatehouse(data, folder, 3, environment, hosts))
        return running[-1]

    yield start
    for gatehouse in running:
        gatehouse.stop()


@pytest.fixture(scope="session")
def racers() -> Iterator[Racers]:
    """32 clients in 4 processes: .run([RaceRequest(...), ...]) -> [Answer, ...]."""
    crowd = Racers()
    yield crowd
    crowd.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    # Playwright's event loop stays in this thread, where Django would refuse database queries.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    chromium = program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        loop = asyncio._get_running_loop()
        yield opened
        asyncio._set_running_loop(loop)  # hidden by tests without a browser
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a new browser profile."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
