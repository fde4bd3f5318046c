"""What the command writes starts a Gatehouse in which people sign in through Authentik."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.environment.dotenv import read_dotenv
from devtools.servers.databases import InstanceData
from tests.federation.authentik.conftest import Run
from tests.federation.authentik.double import AuthentikDouble
from tests.pages.pages import read
from tests.servers.branded_providers import SECRET, BrandedProviders
from tests.servers.fixtures import StartGatehouse


@pytest.fixture
def branded_providers() -> Iterator[BrandedProviders]:
    """A certified provider in Authentik's dress; its client is gatehouse with SECRET."""
    providers = BrandedProviders()
    yield providers
    providers.stop()


@pytest.mark.django_db
def test_the_written_settings_allow_a_sign_in(
    authentik: AuthentikDouble,
    run: Run,
    branded_providers: BrandedProviders,
    gatehouse_server: StartGatehouse,
    sqlite_data: InstanceData,
    tmp_path: Path,
) -> None:
    authentik.issuer = f"{branded_providers.origin}/application/o/gate/"
    authentik.add_provider(client_id="gatehouse", client_secret=SECRET)
    file = tmp_path / "settings.env"
    run("--slug", "gate", "--write-env", str(file))
    lines, problems = read_dotenv(file)
    assert problems == []

    written = {name: line.value for name, line in lines.items()}
    gatehouse = gatehouse_server(sqlite_data, ALLOW_UNVERIFIED_EMAIL_LOGIN="true", **written)
    branded_providers.use_site(gatehouse.url)
    branded_providers.person("authentik", sub="a1", email="anna@example.com", name="Anna A")
    browser = gatehouse.client()

    assert "Authentik" in browser.get("/sign-in").text
    leaving = browser.post("/oauth/authentik/login", {})
    [url] = [
        link
        for each in read(leaving.body).all("a")
        if (link := each.attributes.get("href") or "").startswith(branded_providers.origin)
    ]
    back = urlsplit(branded_providers.visit(url))
    arrived = browser.get(f"{back.path}?{back.query}")

    assert (back.path, arrived.status) == ("/api/auth/callback/authentik", 302)
    assert "anna@example.com" in browser.get("/account/").text
