"""PNG files with at most 256 colours, which are a third as large. Pure: bytes to bytes."""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_COLOURS = 256
Colour = tuple[int, int, int]


def smaller(png: bytes) -> bytes:
    """The same picture with a palette. `png`: 8 bits each for red, green, blue and perhaps alpha.

    Colours that are nearly equal become one, which only soft edges of letters have many of. Raises
    ValueError for another kind of PNG.
    """
    width, height, pixels = _pixels(png)
    counts = Counter(pixels)
    nearest = _palette_index([colour for colour, _count in counts.most_common()])
    palette = dict.fromkeys(nearest.values())
    number = {colour: place for place, colour in enumerate(palette)}
    places = {colour: number[kept] for colour, kept in nearest.items()}
    packed = bytes(places[pixel] for pixel in pixels)
    lines = b"".join(b"\0" + packed[row * width : (row + 1) * width] for row in range(height))
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(bytes(colour) for colour in palette)),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def size(png: bytes) -> tuple[int, int]:
    """(width, height) in pixels."""
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _palette_index(colours: list[Colour]) -> dict[Colour, Colour]:
    """Colour -> the colour of the palette. `colours`: the most frequent one first."""
    distance = 0
    while True:
        kept: list[Colour] = []
        found: dict[Colour, Colour] = {}
        for colour in colours:
            near = next((other for other in kept if _distance(colour, other) <= distance), None)
            if near is None:
                kept.append(colour)
                if len(kept) > MAX_COLOURS:
                    break
            found[colour] = near or colour
        else:
            return found
        distance += 3


def _distance(one: Colour, other: Colour) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixels(png: bytes) -> tuple[int, int, list[Colour]]:
    """Width, height, and the colour of each pixel, row by row."""
    width, height = size(png)
    depth, kind, _compression, _filters, interlaced = png[24:29]
    if depth != 8 or kind not in (2, 6) or interlaced:
        raise ValueError("a PNG of 8 bits for each colour, without interlacing, is needed")
    channels = 3 if kind == 2 else 4
    raw = zlib.decompress(_image_data(png))
    step = width * channels + 1
    before = bytearray(step - 1)
    pixels: list[Colour] = []
    for row in range(height):
        line = bytearray(raw[row * step + 1 : (row + 1) * step])
        _unfilter(raw[row * step], line, before, channels)
        pixels += zip(line[::channels], line[1::channels], line[2::channels], strict=True)
        before = line
    return width, height, pixels


def _image_data(png: bytes) -> bytes:
    at, found = len(SIGNATURE), b""
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            found += png[at + 8 : at + 8 + length]
        at += length + 12
    return found


def _unfilter(kind: int, line: bytearray, before: bytearray, channels: int) -> None:
    """Undo the filter of a row, in place. See the PNG specification, 9.2."""
    for place, value in enumerate(line):
        left = line[place - channels] if place >= channels else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = before[place]
        elif kind == 3:
            guess = (left + before[place]) // 2
        elif kind == 4:
            corner = before[place - channels] if place >= channels else 0
            guess = _paeth(left, before[place], corner)
        else:
            return
        line[place] = (value + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
