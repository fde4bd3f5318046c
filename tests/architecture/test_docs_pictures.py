"""`make pictures` makes each picture of the documentation, and each of them is shown somewhere."""

import io
import subprocess
import sys

import pytest
from PIL import Image

from devtools.pictures.__main__ import _smaller
from devtools.pictures.catalogue import PICTURES, WHOLE
from tests.architecture.markdown import PAGES, pictures
from tests.architecture.sources import ROOT

FOLDER = ROOT / "docs" / "images"
# Made by `make bench`, because it shows figures.
MEASURED = ROOT / "docs" / "assets" / "growth.svg"
FILES = {file: picture for picture in PICTURES for file in picture.files}
MAX_BYTES = 80_000
SHOWN = [
    (page, alternative, (page.parent / target).resolve())
    for page in PAGES
    for alternative, target in pictures(page)
]


def test_each_picture_of_a_page_is_made_by_the_command() -> None:
    made = {FOLDER / file for file in FILES} | {MEASURED}

    assert [f"{page.name}: {file}" for page, _alternative, file in SHOWN if file not in made] == []


def test_each_picture_that_the_command_makes_is_shown() -> None:
    shown = {file for _page, _alternative, file in SHOWN}

    assert [file for file in FILES if FOLDER / file not in shown] == []
    assert {file.name for file in FOLDER.iterdir()} == set(FILES)


def test_each_picture_of_a_page_says_what_it_shows() -> None:
    """A picture in HTML has its text in the element that a browser without `srcset` shows."""
    texts = [page for page, alternative, file in SHOWN if file.suffix == ".png" and not alternative]

    for page in texts:
        assert page.read_text().count("<picture>") == page.read_text().count('alt="')
    assert [page.name for page in set(texts)] == ["README.md"]


@pytest.mark.parametrize("file", FILES)
def test_a_picture_is_small_and_of_its_size(file: str) -> None:
    picture = FILES[file]
    width, height = Image.open(FOLDER / file).size

    assert (FOLDER / file).stat().st_size < MAX_BYTES
    assert width == picture.size[0]
    assert picture.height == WHOLE or height == (picture.height or picture.size[1])


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devtools.pictures", "holiday"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 2
    assert "no such picture: holiday" in done.stderr


def test_colours_of_a_picture_stay_in_its_palette() -> None:
    drawn = Image.new("RGBA", (32, 32), (244, 247, 246, 255))
    drawn.paste((18, 32, 30, 255), (0, 0, 32, 16))
    png = io.BytesIO()
    drawn.save(png, "PNG")

    smaller = _smaller(png.getvalue())

    assert (smaller.mode, smaller.size) == ("P", (32, 32))
    assert {colour for _count, colour in smaller.convert("RGB").getcolors()} == {
        (244, 247, 246), (18, 32, 30),
    }  # fmt: skip
