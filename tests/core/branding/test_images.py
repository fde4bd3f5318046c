"""Which files are taken as a logo."""

from collections.abc import Callable

import pytest

from core.branding.images import MAX_BYTES, MAX_SIDE, LogoInvalid, read_logo
from tests.core.branding import pictures

MAKERS = {
    "png": (pictures.png, "image/png"),
    "jpeg": (pictures.jpeg, "image/jpeg"),
    "webp": (pictures.webp, "image/webp"),
    "webp_lossless": (pictures.webp_lossless, "image/webp"),
    "webp_extended": (pictures.webp_extended, "image/webp"),
}
Maker = Callable[..., bytes]


@pytest.mark.parametrize("name", MAKERS)
def test_a_picture_is_known_by_its_content(name: str) -> None:
    make, media_type = MAKERS[name]
    logo = read_logo(make(120, 40))
    assert (logo.media_type, logo.width, logo.height) == (media_type, 120, 40)
    assert not logo.is_square


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("size", [(10_000, 10_000), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)])
def test_a_picture_that_would_fill_the_memory_is_refused(name: str, size: tuple[int, int]) -> None:
    make, _media_type = MAKERS[name]
    with pytest.raises(LogoInvalid, match="at most 2000 by 2000"):
        read_logo(make(*size))


@pytest.mark.parametrize("name", MAKERS)
def test_no_part_of_a_picture_breaks_the_reader(name: str) -> None:
    make, _media_type = MAKERS[name]
    content = make()
    for end in range(len(content)):
        with pytest.raises(LogoInvalid):
            read_logo(content[:end])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("more", [b"PK\x03\x04archive", b"<script>alert(1)</script>", b"\0"])
def test_a_file_that_is_something_else_too_is_refused(name: str, more: bytes) -> None:
    make, _media_type = MAKERS[name]
    with pytest.raises(LogoInvalid, match="damaged, or more than a picture"):
        read_logo(make() + more)


@pytest.mark.parametrize(
    "content",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?><svg/>',
        b"\xef\xbb\xbf\n <SVG/>",
        b"<!-- a --><svg/>",
    ],
)
def test_svg_is_refused_with_the_reason(content: bytes) -> None:
    with pytest.raises(LogoInvalid, match="SVG files can contain scripts"):
        read_logo(content)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<html>", b"\x89PNG", b"BM", b"RIFFxxxxWAVE"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(LogoInvalid):
        read_logo(content)


def test_a_damaged_png_is_refused() -> None:
    content = bytearray(pictures.png())
    content[18] ^= 1  # the width no longer agrees with the checksum
    with pytest.raises(LogoInvalid, match="damaged"):
        read_logo(bytes(content))


def test_the_limit_in_bytes() -> None:
    filler = pictures.chunk(b"tEXt", b"x" * MAX_BYTES)
    content = pictures.png()
    with pytest.raises(LogoInvalid, match="180 KB"):
        read_logo(content[:33] + filler + content[33:])
