"""What axe finds wrong with a page, in both colour schemes."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# All that a colour scheme can change.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def flaws(page: Page) -> list[str]:
    """Each violation with the element; the page is light again afterwards, no colour on its way."""
    found: list[dict[str, Any]] = []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += Axe().run(page, options=COLOURS).response["violations"]
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found += Axe().run(page).response["violations"]
    return [f"{flaw['id']}: {node['html'][:200]}" for flaw in found for node in flaw["nodes"]]
