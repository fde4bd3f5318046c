"""What axe finds wrong with a page."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# All that a colour scheme can change.
COLOURS = ("color-contrast", "link-in-text-block")
# And the width of the window.
SIZES = ("scrollable-region-focusable", "target-size", "meta-viewport")
RUN = "async options => (await axe.run(options)).violations"


def violations(page: Page, *rules: str) -> list[dict[str, Any]]:
    """What breaks these rules, by default all, on the page as it is."""
    # What is right need not be described: that takes most of the time on a long page.
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": [*rules]}
    # To read the script takes half as long as the rules: once for all looks at a page.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    found: list[dict[str, Any]] = page.evaluate(RUN, options)
    return found


def accessibility_errors(page: Page) -> list[str]:
    """Each violation with the element, in both colour schemes.

    The page is light again afterwards, no colour on its way.
    """
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found = violations(page, *COLOURS)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found += violations(page)
    return [f"{error['id']}: {node['html'][:200]}" for error in found for node in error["nodes"]]
