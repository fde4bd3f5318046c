"""Logos: PNG, JPEG and WebP, recognized by their content. Pure.

The file name and the type that a browser claims are never used. Nothing is decoded: the size comes
from the header, so a picture that would fill the memory costs nothing here and is refused. A file
must end where its format ends, so that it cannot be an archive or a page as well. SVG is refused,
because it can contain scripts and load other files.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from core.text.email_addresses import gettext_noop

# Its base64 fits into a request of the API (DATA_UPLOAD_MAX_MEMORY_SIZE).
MAX_BYTES = 180 * 1024
MAX_SIDE = 2000
PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
SUFFIXES = {PNG: "png", JPEG: "jpg", WEBP: "webp"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start of frame of all kinds of JPEG, and markers without a length.
_SOF = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


TOO_LARGE = gettext_noop("The file has more than 180 KB. Make the picture smaller.")
TOO_MANY_PIXELS = gettext_noop("The picture is too large: at most 2000 by 2000 pixels are allowed.")
DAMAGED = gettext_noop(
    "The file is damaged, or more than a picture. Save the picture again as PNG."
)
SVG = gettext_noop("SVG files can contain scripts. Export the logo as PNG, JPEG or WebP.")
NO_PICTURE = gettext_noop("This is not a PNG, JPEG or WebP file.")


class LogoInvalid(ValueError):
    """The file is no logo; the message, to be translated, says why and how to fix it."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A checked picture. digest: 16 hexadecimal digits of its content."""

    content: bytes = field(repr=False)
    media_type: str
    width: int
    height: int

    @property
    def digest(self) -> str:
        return sha256(self.content).hexdigest()[:16]

    @property
    def is_square(self) -> bool:
        """Whether it can be the icon of the page, too."""
        return self.width == self.height

    def __str__(self) -> str:
        kind, size = SUFFIXES[self.media_type].upper(), -(-len(self.content) // 1024)
        return f"{kind}, {self.width} by {self.height}, {size} KB"


def read_logo(content: bytes) -> Logo:
    """Check the content of a file. Raises LogoInvalid."""
    if len(content) > MAX_BYTES:
        raise LogoInvalid(TOO_LARGE)
    for media_type, read in ((PNG, _png_size), (JPEG, _jpeg_size), (WEBP, _webp_size)):
        try:
            size = read(content)
        except (struct.error, IndexError, StopIteration):
            size = (0, 0)
        if size is not None:
            return _checked(content, media_type, *size)
    raise LogoInvalid(_no_picture(content))


def _checked(content: bytes, media_type: str, width: int, height: int) -> Logo:
    if width < 1 or height < 1:
        raise LogoInvalid(DAMAGED)
    if max(width, height) > MAX_SIDE:
        raise LogoInvalid(TOO_MANY_PIXELS)
    return Logo(content, media_type, width, height)


def _no_picture(content: bytes) -> str:
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<?xml", b"<svg", b"<!doctype svg", b"<!--")):
        return SVG
    return NO_PICTURE


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height; None for other formats, (0, 0) for a damaged file.

    Format: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    if not content.startswith(_PNG_SIGNATURE):
        return None
    place, size, name = len(_PNG_SIGNATURE), (0, 0), b""
    while place < len(content) and name != b"IEND":
        (length,) = struct.unpack_from(">I", content, place)
        name = content[place + 4 : place + 8]
        end = place + 8 + length
        (checksum,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(content[place + 4 : end]) != checksum:
            return (0, 0)
        if place == len(_PNG_SIGNATURE):
            if name != b"IHDR":
                return (0, 0)
            size = struct.unpack_from(">II", content, place + 8)
        place = end + 4
    return size if name == b"IEND" and place == len(content) else (0, 0)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """See _png_size(). Format: ITU-T T.81, annex B."""
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    if not content.endswith(b"\xff\xd9"):
        return (0, 0)
    for marker, place in _jpeg_segments(content):
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", content, place + 3)
            return (width, height)
    return (0, 0)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """(marker, place of the length) of each segment before the data of the picture."""
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker in (0xDA, 0xD9):
            return
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        yield marker, place + 2
        (length,) = struct.unpack_from(">H", content, place + 2)
        place += 2 + max(length, 2)


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """See _png_size(). Format: https://developers.google.com/speed/webp/docs/riff_container"""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 != len(content):
        return (0, 0)
    kind, data = content[12:16], content[20:30]
    if kind == b"VP8X":
        return (
            int.from_bytes(data[4:7], "little") + 1,
            int.from_bytes(data[7:10], "little") + 1,
        )
    if kind == b"VP8L" and data[0] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 1)
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 6)
        return (width & 0x3FFF, height & 0x3FFF)
    return (0, 0)
