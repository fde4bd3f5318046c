"""The buttons that copy a secret, and forms that are sent once, in a real browser."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.template.loader import render_to_string
from django.utils.html import escape
from playwright.sync_api import Browser, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.pages.axe import accessibility_errors
from tests.pages.test_in_browser import USERS, sign_in

CLIPBOARD = ["clipboard-read", "clipboard-write"]
NEW_KEY = "form.new-key button[type=submit]"


def copied(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.fixture
def instance(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> tuple[Gatehouse, dict[str, str]]:
    """A running Gatehouse with Vera, and paths that hold tokens."""
    paths = sqlite_data.shell(USERS)
    return gatehouse_server(sqlite_data), paths


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(permissions=CLIPBOARD, viewport={"width": 320, "height": 740})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("value", ['"><script>alert(1)</script>', "a & b"])
def test_values_are_escaped(value: str) -> None:
    for rows in (None, 3):
        context = {"id": "x", "label": "Link", "value": value, "rows": rows}
        html = render_to_string("elements/copy_field.html", context)
        assert "<script>alert" not in html
        assert escape(value) in html


def test_without_script_the_button_is_hidden_and_the_field_is_complete() -> None:
    context = {"id": "link", "label": "Vera", "value": "https://example.com/x", "help": "Once."}
    html = render_to_string("elements/copy_field.html", context)
    assert '<span class="copy" hidden>' in html
    assert re.search(r'<input id="link" type="text" readonly value="https://example.com/x"', html)
    assert '<label for="link">Vera</label>' in html
    assert 'aria-describedby="link-help"' in html
    assert 'id="link-help">Once.' in html


def test_a_text_area_keeps_every_line() -> None:
    context = {"id": "links", "label": "All", "value": "\na\nb", "rows": 4}
    html = render_to_string("elements/copy_field.html", context)
    # HTML drops the first line break of a text area.
    assert ">\n\na\nb</textarea>" in html


@pytest.mark.browser
def test_a_new_key_is_copied(instance: tuple[Gatehouse, dict[str, str]], page: Page) -> None:
    gatehouse, _secret = instance
    sign_in(page, gatehouse, "vera@example.com")
    page.goto(f"{gatehouse.url}/account/keys")
    page.fill("input[name=name]", "backup")
    page.click(NEW_KEY)
    button = page.get_by_role("button", name="Copy: API key")
    button.click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert copied(page) == page.inner_text("#key")
    assert copied(page).startswith("gth_")
    assert accessibility_errors(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_without_a_clipboard_the_text_is_selected(
    instance: tuple[Gatehouse, dict[str, str]], page: Page
) -> None:
    gatehouse, _secret = instance
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
        "document.execCommand = () => false;"
    )
    sign_in(page, gatehouse, "vera@example.com")
    page.goto(f"{gatehouse.url}/account/keys")
    page.fill("input[name=name]", "backup")
    page.click(NEW_KEY)
    page.get_by_role("button", name="Copy: API key").click()
    page.get_by_role("status").filter(has_text="Selected: press Ctrl+C").wait_for(state="attached")
    assert page.evaluate("getSelection().toString()") == page.inner_text("#key")


@pytest.mark.browser
def test_a_form_of_a_single_use_link_is_sent_once(
    instance: tuple[Gatehouse, dict[str, str]], page: Page
) -> None:
    gatehouse, secret = instance
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto(gatehouse.url + secret["link"])
    page.eval_on_selector(
        "form[data-once]", "form => { form.requestSubmit(); form.requestSubmit(); }"
    )
    page.wait_for_url("**/account/")
    assert sent.count("POST") == 1
