"""Providers in a real Chromium: the click, the consent page on another site, and back."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.federation.social.double import SocialDouble, usual_path
from tests.pages.axe import violations

pytestmark = pytest.mark.browser
USERS = f"""
from accounts.actors import SYSTEM
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="olga@example.com", role="owner", password="{PASSWORD}",
            verified=True)
create_user(actor=SYSTEM, email="taken@example.org", password="{PASSWORD}", verified=True)
"""
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


class LocalGatehouse(Gatehouse):
    """By name, as the callbacks of the double expect it."""

    @property
    def urls(self) -> list[str]:
        return [f"http://localhost:{port}" for port in self.ports]


@pytest.fixture
def instance(
    sqlite_data: InstanceData, tmp_path: Path, double: SocialDouble
) -> Iterator[Gatehouse]:
    sqlite_data.shell(USERS)
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.federation.social.browser_settings",
        "SOCIAL_DOUBLE_URL": double.url,
        "SOCIAL_DOUBLE_KEY": double.team_pem,
    }
    gatehouse = LocalGatehouse(sqlite_data, tmp_path, 1, environment)
    yield gatehouse
    gatehouse.stop()


@pytest.fixture
def lead_to_double(double: SocialDouble) -> Callable[[BrowserContext], None]:
    """lead_to_double(context): the double plays the public addresses of the providers."""

    def fulfill(route: Route) -> None:
        parts = urlsplit(route.request.url)
        url = f"{double.url}{usual_path(parts.netloc, parts.path)}?{parts.query}"
        route.fulfill(response=route.fetch(url=url))

    return lambda context: context.route("https://**/*", fulfill)


@pytest.fixture(params=["light", "dark"])
def visitor(
    browser: Browser,
    request: pytest.FixtureRequest,
    lead_to_double: Callable[[BrowserContext], None],
) -> Iterator[Page]:
    """A page in either colour scheme, without scripts: every page works so."""
    context = browser.new_context(
        color_scheme=request.param, viewport=DESKTOP, java_script_enabled=request.param == "light"
    )
    lead_to_double(context)
    yield context.new_page()
    context.close()


def go_through(page: Page, instance: Gatehouse, label: str, choice: str = "Allow") -> None:
    page.goto(f"{instance.url}/sign-in")
    page.get_by_role("button", name=f"Continue with {label}").click()
    page.get_by_role("button", name=choice).click()
    page.wait_for_url(f"{instance.url}/**")


@pytest.mark.parametrize("label", ["Google", "Apple"])
def test_a_user_signs_in_from_another_site(
    label: str, instance: Gatehouse, visitor: Page, double: SocialDouble
) -> None:
    go_through(visitor, instance, label)
    assert visitor.url == f"{instance.url}/account/"
    assert "anna@example.org" in visitor.locator("main").inner_text()


def test_a_denied_consent_has_its_own_page(
    instance: Gatehouse, visitor: Page, double: SocialDouble
) -> None:
    go_through(visitor, instance, "Apple", "Deny")
    assert visitor.locator("h1").inner_text() == "You stopped the sign-in"
    visitor.get_by_role("link", name="Back to sign-in").click()
    assert visitor.locator("h1").inner_text() == "Sign in"


def test_provider_pages_are_accessible_and_follow_the_csp(
    instance: Gatehouse,
    page: Page,
    double: SocialDouble,
    lead_to_double: Callable[[BrowserContext], None],
) -> None:
    lead_to_double(page.context)
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    found: list[str] = []

    def examine(name: str) -> None:
        found.extend(f"{name}: {each['id']}" for each in violations(page))
        page.set_viewport_size(PHONE)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.append(f"{name}: wider than a phone")
        page.set_viewport_size(DESKTOP)

    page.goto(f"{instance.url}/sign-in")
    examine("sign-in")
    page.goto(f"{instance.url}/oauth/google/callback?state=x")
    examine("state lost")
    double.users["google"]["email"] = "taken@example.org"
    go_through(page, instance, "Google")
    examine("account exists")
    go_through(page, instance, "Discord")
    examine("account")
    page.get_by_role("button", name="Connect Facebook").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/account/?notice=connected")
    page.get_by_role("link", name="Disconnect Discord").click()
    examine("disconnect")
    page.get_by_role("button", name="Disconnect Discord").click()
    page.wait_for_url("**/account/?notice=disconnected")

    assert found == []
    assert [line for line in said if "Failed to load resource" not in line] == []
