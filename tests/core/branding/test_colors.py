"""Contrast of every color that follows from a brand color (WCAG 2.2, 1.4.3)."""

import re
from itertools import product

import pytest

from core.branding import colors
from core.branding.colors import BLACK, DARK, LIGHT, WHITE, Palette, contrast, palette, parse
from tests.pages.test_stylesheet import SCHEMES

# Every tenth of the color space.
STEPS = [round(part * 255 / 9) for part in range(10)]
AA = 4.5


def unreadable(found: Palette) -> list[tuple[str, str]]:
    pairs = [("text on fill", found.on_fill, found.fill), ("hover", found.on_fill, found.hover)]
    for name, scheme, shades in (("light", LIGHT, found.light), ("dark", DARK, found.dark)):
        for ground in (scheme.ground, scheme.surface, shades.soft, shades.glow):
            pairs += [(f"{name} link", shades.accent, ground)]
            pairs += [(f"{name} pointed at", shades.strong, ground)]
        for text in scheme.texts:
            pairs += [(f"{name} text", text, shades.soft), (f"{name} glow", text, shades.glow)]
    return [(name, colors.to_hex(ink)) for name, ink, ground in pairs if contrast(ink, ground) < AA]


@pytest.mark.parametrize("red", STEPS)
def test_every_text_can_be_read(red: int) -> None:
    for green, blue in product(STEPS, STEPS):
        found = palette((red, green, blue))
        assert unreadable(found) == [], found
        assert found.fill == (red, green, blue)
        assert found.on_fill in (BLACK, WHITE)


@pytest.mark.parametrize("text", ["#ffff00", "#ffffff", "#000000", "#777777", "#ff0000"])
def test_extreme_colors(text: str) -> None:
    color = parse(text)
    assert color is not None
    assert unreadable(palette(color)) == []


def test_a_color_that_can_be_read_stays_as_it_is() -> None:
    blue = (0x1D, 0x4E, 0xD8)
    assert palette(blue).light.accent == blue
    assert palette(blue).on_fill == WHITE
    # On dark it becomes lighter.
    assert colors.luminance(palette(blue).dark.accent) > colors.luminance(blue)


def test_the_grounds_are_those_of_the_stylesheet() -> None:
    for name, scheme in (("light", LIGHT), ("dark", DARK)):
        style = SCHEMES[name]
        assert scheme.ground == parse(f"#{style['ground']}")
        assert scheme.surface == parse(f"#{style['surface']}")
        assert scheme.texts == (parse(f"#{style['ink']}"), parse(f"#{style['muted']}"))


def test_the_stylesheet_holds_only_names_and_colors() -> None:
    style = colors.stylesheet(palette((255, 0, 0)))
    lines = [line for line in style.splitlines() if line.startswith("  ")]
    assert len(lines) > 40
    assert all(re.fullmatch(r"  --[a-z-]+: #[0-9a-f]{6};", line) for line in lines)


@pytest.mark.parametrize(
    "text", ["red", "red;}body{color:red", "#12", "#12345g", "#1234567", "url(x)", "#fff;", ""]
)
def test_what_is_no_color(text: str) -> None:
    assert parse(text) is None


def test_short_colors() -> None:
    assert parse("#0aF") == (0, 170, 255)
