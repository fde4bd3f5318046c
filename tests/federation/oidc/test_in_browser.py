"""In Chromium: from the button on the sign-in page to the account, and sign-out."""

import re

import pytest
from playwright.sync_api import Page, expect

from devtools.servers.databases import InstanceData
from tests.federation.oidc.conftest import branded_env
from tests.servers.branded_providers import BrandedProviders
from tests.servers.fixtures import StartGatehouse

pytestmark = pytest.mark.browser


@pytest.fixture
def own_branded_providers() -> object:
    """Providers of this test's own: they know one address of Gatehouse at a time."""
    providers = BrandedProviders()
    yield providers
    providers.stop()


def test_a_click_leads_to_the_provider_and_back_to_the_account(
    own_branded_providers: BrandedProviders,
    sqlite_data: InstanceData,
    gatehouse_server: StartGatehouse,
    page: Page,
) -> None:
    env = branded_env(own_branded_providers) | {
        "AUTH_COGNITO_LABEL": "Pool",
        "OPENID_USE_END_SESSION_ENDPOINT": "true",
    }
    gatehouse = gatehouse_server(sqlite_data, **env)
    own_branded_providers.use_site(gatehouse.url)
    own_branded_providers.person("cognito", sub="c1", email="carl@example.com", email_verified=True)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    page.goto(f"{gatehouse.url}/sign-in")
    page.get_by_role("button", name=re.compile("Pool")).click()
    page.wait_for_url(f"{gatehouse.url}/account/")
    expect(page.get_by_text("carl@example.com").first).to_be_visible()

    page.goto(f"{gatehouse.url}/sign-out")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile(re.escape(f"{own_branded_providers.origin}/pool/session/end")))

    page.goto(f"{gatehouse.url}/account/")
    assert page.url.startswith(f"{gatehouse.url}/sign-in")
    assert [text for text in said if "Content Security Policy" in text and "form" in text] == []


def test_the_sign_in_works_without_scripts(
    own_branded_providers: BrandedProviders,
    sqlite_data: InstanceData,
    gatehouse_server: StartGatehouse,
    browser,
) -> None:
    gatehouse = gatehouse_server(sqlite_data, **branded_env(own_branded_providers))
    own_branded_providers.use_site(gatehouse.url)
    own_branded_providers.person("cognito", sub="c2", email="cora@example.com", email_verified=True)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(f"{gatehouse.url}/oauth/cognito/login")
    page.get_by_role("button", name=re.compile("Cognito")).click()
    page.wait_for_url(f"{gatehouse.url}/account/")

    context.close()
