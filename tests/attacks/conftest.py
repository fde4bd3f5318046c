"""The list of attacks runs at a whole site: real proxy, real database, real mail server.

Each run takes three of the six pairs of proxy and database; `ATTACKS=all` takes all six.
"""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.attacks.site import Site
from tests.servers.databases import PostgresServer, Templates
from tests.servers.fronts import FRONTS
from tests.servers.mail import SMTPServer

PAIRS = [("nginx", "sqlite"), ("caddy", "postgres"), ("haproxy", "sqlite")]
ALL_PAIRS = [(proxy, database) for proxy in FRONTS for database in ("sqlite", "postgres")]
is_full = os.environ.get("ATTACKS") == "all"
CHOSEN = ALL_PAIRS if is_full else PAIRS
StartSite = Callable[..., Site]


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
        mail: SMTPServer = request.getfixturevalue("_smtp_server")
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
