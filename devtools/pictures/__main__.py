"""`make pictures`: make the pictures of README.md and docs/ in docs/images/.

Each run makes up a new instance in a temporary folder and removes it afterwards. Names choose some:
make pictures ARGS="users denial". Needs Chromium.
"""

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, Response, sync_playwright

from devtools.pictures.catalogue import EDITOR, NO_ONE, OWNER, PICTURES, WHOLE, Picture
from devtools.pictures.instance import PROVIDERS, URL, DemoInstance
from devtools.pictures.mail_server import mail_server
from devtools.servers.processes import ROOT, program

FOLDER = Path(os.path.relpath(ROOT / "docs" / "images"))


def main(arguments: Sequence[str]) -> int:
    """Make the pictures, and print what was written."""
    names = [picture.name for picture in PICTURES]
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where they are written; docs/images by default"
    )
    options = parser.parse_args(arguments)
    chosen = set(options.names)
    if unknown := chosen - set(names):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    if "denial" in chosen:
        chosen.add("denied")  # which causes it
    wanted = [picture for picture in PICTURES if not chosen or picture.name in chosen]
    with (
        tempfile.TemporaryDirectory(prefix="gatehouse-pictures-") as folder,
        mail_server() as mail,
    ):
        instance = DemoInstance(Path(folder))
        with _browser(instance) as browser:
            with instance.serve(mail):
                camera = Camera(browser, instance, options.folder)
                camera.take_all(picture for picture in wanted if not picture.has_providers)
            with instance.serve({**mail, **PROVIDERS}):
                camera.take_all(picture for picture in wanted if picture.has_providers)
    return 0


@contextmanager
def _browser(instance: DemoInstance) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "chromium-browser", "google-chrome"),
            args=[
                "--no-sandbox",
                "--hide-scrollbars",
                f"--host-resolver-rules=MAP localhost:8000 127.0.0.1:{instance.port}",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


class Camera:
    """A signed-in browser window of each person that looks at a page."""

    def __init__(self, browser: Browser, instance: DemoInstance, folder: Path) -> None:
        self._folder = folder
        listed = instance.manage("listusers", "--role", "editor", "--json").splitlines()
        editors = [user for user in map(json.loads, listed) if user["is_active"]]
        self._editor = str(editors[0]["email"])
        links = {OWNER: instance.link, EDITOR: instance.manage("magiclink", self._editor).strip()}
        self._pages = {
            who: self._signed_in(_window(browser), links.get(who))
            for who in (OWNER, EDITOR, NO_ONE)
        }

    @staticmethod
    def _signed_in(page: Page, link: str | None) -> Page:
        if link:
            page.goto(link)
            page.click("main button[type=submit]")
            page.wait_for_url(f"{URL}/account/")
        return page

    def take_all(self, pictures: Iterable[Picture]) -> None:
        """Take each of them."""
        for picture in pictures:
            self.take(picture)

    def take(self, picture: Picture) -> None:
        """Write its files, and print each."""
        page = self._pages[picture.seen_by]
        width, height = picture.size
        page.set_viewport_size({"width": width, "height": picture.height or height})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        statuses: list[int] = []

        def note(response: Response) -> None:
            if response.request.is_navigation_request():
                statuses.append(response.status)

        page.on("response", note)
        picture.open(page, self._editor)
        page.wait_for_load_state("networkidle")
        page.remove_listener("response", note)
        if statuses[-1] != picture.status:
            raise ValueError(f"{picture.name}: {page.url} answers {statuses[-1]}")
        if picture.height == WHOLE:
            _fit(page, width)
        for file, scheme in zip(picture.files, ("light", "dark"), strict=False):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            target = self._folder / file
            image = _smaller(page.screenshot(animations="disabled", caret="hide"))
            image.save(target, optimize=True)
            print(f"{target}  {image.width}x{image.height}  {target.stat().st_size // 1024} kB")


def _smaller(png: bytes) -> Image.Image:
    """The picture with a palette of 256 colours, whose file is a third as large."""
    opened = Image.open(io.BytesIO(png)).convert("RGB")
    return opened.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _fit(page: Page, width: int) -> None:
    """Make the window as high as the page, whose own height may depend on it."""
    for _attempt in range(5):
        height = page.evaluate("document.documentElement.scrollHeight")
        if page.viewport_size == {"width": width, "height": height}:
            return
        page.set_viewport_size({"width": width, "height": height})


def _window(browser: Browser) -> Page:
    context = browser.new_context(base_url=URL, locale="en-GB", timezone_id="UTC")
    return context.new_page()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
