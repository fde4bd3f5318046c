"""`make pictures` makes each picture of the documentation, and each of them is shown somewhere."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from devtools.pictures import png
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
    picture, data = FILES[file], (FOLDER / file).read_bytes()
    width, height = png.size(data)

    assert len(data) < MAX_BYTES
    assert width == picture.size[0]
    assert picture.height == WHOLE or height == (picture.height or picture.size[1])


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devtools.pictures", "holiday"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 2
    assert "no such picture: holiday" in done.stderr


# Smaller files


def _picture(
    colours: list[list[tuple[int, int, int]]], *, alpha: bool, filters: list[int]
) -> bytes:
    """A PNG whose rows use these filters: 0 none, 1 left, 2 up, 3 average, 4 Paeth."""
    rows, before = b"", [0] * (len(colours[0]) * (4 if alpha else 3))
    for kind, row in zip(filters, colours, strict=True):
        values = [value for colour in row for value in (*colour, *([255] if alpha else []))]
        step = 4 if alpha else 3
        filtered = []
        for place, value in enumerate(values):
            left = values[place - step] if place >= step else 0
            corner = before[place - step] if place >= step else 0
            guess = [0, left, before[place], (left + before[place]) // 2]
            guess.append(png._paeth(left, before[place], corner))
            filtered.append((value - guess[kind]) & 0xFF)
        rows += bytes([kind, *filtered])
        before = values
    header = struct.pack(">IIBBBBB", len(colours[0]), len(colours), 8, 6 if alpha else 2, 0, 0, 0)
    return (
        png.SIGNATURE
        + png._chunk(b"IHDR", header)
        + png._chunk(b"IDAT", zlib.compress(rows))
        + png._chunk(b"IEND", b"")
    )


def _colours(data: bytes) -> list[tuple[int, int, int]]:
    """The pixels of a PNG with a palette and without filters."""
    width, height = png.size(data)
    palette = data[data.index(b"PLTE") + 4 :]
    lines = zlib.decompress(png._image_data(data))
    places = [
        lines[row * (width + 1) + 1 + column] for row in range(height) for column in range(width)
    ]
    return [(palette[at * 3], palette[at * 3 + 1], palette[at * 3 + 2]) for at in places]


@pytest.mark.parametrize("alpha", [False, True])
def test_a_smaller_picture_has_the_same_pixels(alpha: bool) -> None:
    rows = [[((row * 9 + at * 40) % 256, at * 7, row * 50) for at in range(5)] for row in range(5)]

    smaller = png.smaller(_picture(rows, alpha=alpha, filters=[0, 1, 2, 3, 4]))

    assert _colours(smaller) == [colour for row in rows for colour in row]


def test_many_colours_become_256_that_are_near() -> None:
    rows = [[(row, at, 0) for at in range(32)] for row in range(32)]

    found = _colours(png.smaller(_picture(rows, alpha=False, filters=[1] * 32)))

    assert len(set(found)) <= png.MAX_COLOURS
    wanted = [colour for row in rows for colour in row]
    assert max(png._distance(one, other) for one, other in zip(found, wanted, strict=True)) < 10


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        png.smaller(b"GIF89a" + b"\0" * 40)
