"""Attacks run against a complete site: real proxy, real database, real mail server.

A run of all tests takes three pairs of proxy and database where the proxy matters, and one of them,
in turn, for each other file. `make attacks` (ATTACKS=all) takes all six pairs everywhere.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devtools.servers.databases import PostgresServer, Templates
from devtools.servers.fronts import FRONTS
from tests.attacks.site import Site
from tests.servers.mail import SMTPServer

PAIRS = [("nginx", "sqlite"), ("caddy", "postgres"), ("haproxy", "sqlite")]
ALL_PAIRS = [(proxy, database) for proxy in FRONTS for database in ("sqlite", "postgres")]
is_full = os.environ.get("ATTACKS") == "all"
CHOSEN = ALL_PAIRS if is_full else PAIRS
# What each proxy does by itself.
ABOUT_PROXIES = {"test_forward_auth", "test_headers", "test_transport"}
StartSite = Callable[..., Site]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the pairs that a file does not take in this run."""
    if is_full:
        return
    here = Path(__file__).parent
    files = sorted(path.stem for path in here.glob("test_*.py") if path.stem not in ABOUT_PROXIES)
    turn = {name: PAIRS[number % len(PAIRS)] for number, name in enumerate(files)}
    left_out = [
        item
        for item in items
        if item.path.parent == here
        and item.path.stem in turn
        and getattr(item, "callspec", None) is not None
        and item.callspec.params.get("site", turn[item.path.stem]) != turn[item.path.stem]  # type: ignore[attr-defined]
    ]
    config.hook.pytest_deselected(items=left_out)
    gone = {id(item) for item in left_out}
    items[:] = [item for item in items if id(item) not in gone]


@pytest.fixture(scope="session")
def _mail_of_sites() -> Iterator[SMTPServer]:
    """Sites run on beside other tests, which find no mail of theirs in a server of their own."""
    server = SMTPServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def start_site(
    request: pytest.FixtureRequest,
    data_templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartSite]:
    """start_site("nginx", "sqlite", nodes=2, LOGIN_MAX="3") -> Site; until the tests end."""
    running: list[Site] = []

    def start(proxy: str, database: str, nodes: int = 1, **settings: str) -> Site:
        folder = tmp_path_factory.mktemp(f"{proxy}-{database}")
        postgres: PostgresServer | None = None
        if database == "postgres":
            postgres = request.getfixturevalue("postgres_server")
        data = data_templates.fresh(database, folder / "data", postgres)
        mail: SMTPServer = request.getfixturevalue("_mail_of_sites")
        running.append(Site.start(proxy, data, folder, mail, nodes=nodes, **settings))
        return running[-1]

    yield start
    for site in running:
        site.stop()


@pytest.fixture(scope="session")
def _sites() -> dict[tuple[str, str], Site]:
    """What runs already; starting all for each file would take longer than the attacks."""
    return {}


@pytest.fixture(scope="module", params=CHOSEN, ids="-".join)
def site(
    request: pytest.FixtureRequest, start_site: StartSite, _sites: dict[tuple[str, str], Site]
) -> Site:
    """One site for all tests of a worker: each makes the accounts and addresses that it needs."""
    pair: tuple[str, str] = request.param
    if pair not in _sites:
        _sites[pair] = start_site(*pair)
    return _sites[pair]
