"""The first screen of README.md, in browsers: an owner, then a colleague, signed in by link."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.architecture.sources import ROOT
from tests.conftest import PASSWORD

pytestmark = pytest.mark.browser
SET_UP = """
from accounts.services.first_run import ensure_owner, issue_setup_link
result = issue_setup_link(ensure_owner()).token
"""
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"http://127\.0\.0\.1:\d+/magic-link/[\w-]+")


def _press(page: Page, words: str) -> None:
    """A button or link that the first screen names."""
    assert words in README.partition("## What it looks like")[0]
    page.get_by_role("link", name=words, exact=True).or_(
        page.get_by_role("button", name=words, exact=True)
    ).first.click()


def test_from_the_printed_link_to_a_colleague_who_is_signed_in(
    browser: Browser, sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    token = sqlite_data.shell(SET_UP)
    server = gatehouse_server(sqlite_data)
    mine = browser.new_context(base_url=server.url)
    page = mine.new_page()

    page.goto(f"/set-up/{token}")
    page.locator("input[type=email]").fill("olga@example.com")
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(f"{server.url}/admin/set-up/")

    _press(page, "People")
    _press(page, "Add user")
    page.locator("input[name=email]").fill("anna@example.com")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#result_list").get_by_role("link", name="anna@example.com").click()
    page.get_by_text("Get sign-in link…").click()
    page.get_by_role("button", name="Get sign-in link", exact=True).click()
    page.wait_for_load_state()
    found = LINK.search(page.content())
    assert found is not None

    colleague = browser.new_context(base_url=server.url)
    other = colleague.new_page()
    other.goto(found[0])
    _press(other, "Sign in")
    expect(other).to_have_url(f"{server.url}/account/")
    assert "anna@example.com" in other.inner_text("body")
    for context in (mine, colleague):
        context.close()
