"""What axe finds wrong with a page."""

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# The menu of the admin panel, in a wide and in a narrow window.
MENU = ("#panel-nav", "#panel-menu")
# All that a colour scheme can change.
COLOURS = ("color-contrast", "link-in-text-block")
# And the width of the window.
SIZES = ("scrollable-region-focusable", "target-size", "meta-viewport")


def violations(page: Page, *rules: str, but: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What breaks these rules, by default all, on the page as it is.

    but: selectors of parts that are the same on many pages and are judged on one of them.
    """
    # What is right need not be described: that takes most of the time on a long page.
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": [*rules]}
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    where = {"include": [["html"]], "exclude": [[part] for part in but]}
    found: dict[str, Any] = page.evaluate(
        "([where, options]) => axe.run(where, options)", [where, options]
    )
    return list(found["violations"])


def accessibility_errors(page: Page) -> list[str]:
    """Each violation with the element, in both colour schemes.

    The page is light again afterwards, no colour on its way.
    """
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found = violations(page, *COLOURS)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found += violations(page)
    return [f"{error['id']}: {node['html'][:200]}" for error in found for node in error["nodes"]]
