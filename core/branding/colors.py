"""A brand color as a palette with enough contrast, and as a stylesheet. Pure.

WCAG 2.2 asks for 4.5 between text and its ground (1.4.3), and 3 for edges (1.4.11). The brand color
itself fills buttons, with black or white text. Links and edges use it darker or lighter until they
can be read on every ground of the scheme.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

RGB = tuple[int, int, int]
TEXT_CONTRAST = 4.5
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
STEPS = 100
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scheme:
    """Colors of one scheme in gatehouse.css that do not depend on the brand.

    toward: to where a color moves to gain contrast. tints: shares of the brand color in `soft` and
    `glow`, at most.
    """

    toward: RGB
    ground: RGB
    surface: RGB
    texts: tuple[RGB, ...]
    tints: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SchemeColors:
    """Colors of one scheme that depend on the brand, as in gatehouse.css.

    accent: links and edges. strong: links on `soft`, and while they are pointed at.
    """

    accent: RGB
    strong: RGB
    soft: RGB
    glow: RGB


@dataclass(frozen=True, slots=True)
class Palette:
    """fill: the brand color. on_fill: black or white. hover: the fill that is pointed at."""

    fill: RGB
    on_fill: RGB
    hover: RGB
    light: SchemeColors
    dark: SchemeColors


def parse(text: str) -> RGB | None:
    """The color of `#rrggbb` or `#rgb`; None for anything else."""
    if _HEX.fullmatch(text) is None:
        return None
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16))


def to_hex(color: RGB) -> str:
    """`#rrggbb`, in lower case."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _color(text: str) -> RGB:
    color = parse(text)
    if color is None:
        raise ValueError(text)
    return color


LIGHT = Scheme(
    toward=BLACK,
    ground=_color("#f4f7f6"),
    surface=WHITE,
    texts=(_color("#12201e"), _color("#51625f")),
    tints=(0.12, 0.1),
)
DARK = Scheme(
    toward=WHITE,
    ground=_color("#0c1312"),
    surface=_color("#141d1b"),
    texts=(_color("#e6efed"), _color("#a0b2ae")),
    tints=(0.22, 0.12),
)


def luminance(color: RGB) -> float:
    """Relative luminance by WCAG, 0 to 1."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: RGB, second: RGB) -> float:
    """Contrast ratio by WCAG, 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def mix(color: RGB, other: RGB, share: float) -> RGB:
    """`color` with a share of `other`, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return (red, green, blue)


def palette(fill: RGB) -> Palette:
    """All colors that follow from the brand color."""
    on_fill = max(WHITE, BLACK, key=lambda text: contrast(fill, text))
    # Away from the text, so that the contrast only grows.
    hover = mix(fill, WHITE if on_fill == BLACK else BLACK, 0.18)
    return Palette(fill, on_fill, hover, _colors(fill, LIGHT), _colors(fill, DARK))


def _colors(fill: RGB, scheme: Scheme) -> SchemeColors:
    soft = _tint(fill, scheme.surface, scheme.tints[0], scheme.texts)
    glow = _tint(fill, scheme.ground, scheme.tints[1], scheme.texts)
    accent = _readable(fill, (scheme.ground, scheme.surface, soft, glow), scheme.toward)
    return SchemeColors(accent, mix(accent, scheme.toward, 0.25), soft, glow)


def _tint(fill: RGB, ground: RGB, share: float, texts: Iterable[RGB]) -> RGB:
    """`ground` with as much of the brand color as leaves every text readable."""
    for step in range(STEPS, 0, -1):
        tint = mix(ground, fill, share * step / STEPS)
        if all(contrast(text, tint) >= TEXT_CONTRAST for text in texts):
            return tint
    return ground


def _readable(fill: RGB, grounds: Iterable[RGB], toward: RGB) -> RGB:
    """The brand color, or as little darker or lighter as makes it readable on all grounds."""
    grounds = tuple(grounds)
    for step in range(STEPS):
        color = mix(fill, toward, step / STEPS)
        if all(contrast(color, ground) >= TEXT_CONTRAST for ground in grounds):
            return color
    return toward


def stylesheet(colors: Palette) -> str:
    """Custom properties of gatehouse.css and of the admin, for both schemes.

    Contains nothing but names of ours and `#rrggbb`.
    """
    light, dark = _rules(colors, colors.light), _rules(colors, colors.dark)
    return f":root {{\n{light}}}\n@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n"


def _rules(colors: Palette, scheme: SchemeColors) -> str:
    names = {
        "accent": scheme.accent,
        "accent-strong": scheme.strong,
        "soft": scheme.soft,
        "glow": scheme.glow,
        "fill": colors.fill,
        "on-fill": colors.on_fill,
        "fill-hover": colors.hover,
        # The admin of Django.
        "primary": colors.fill,
        "primary-fg": colors.on_fill,
        "secondary": scheme.accent,
        "breadcrumbs-link-fg": scheme.accent,
        "link-fg": scheme.accent,
        "link-hover-color": scheme.strong,
        "link-selected-fg": scheme.strong,
        "message-success-bg": scheme.soft,
        "selected-bg": scheme.soft,
        "selected-row": scheme.soft,
        "button-fg": colors.on_fill,
        "button-bg": colors.fill,
        "button-hover-bg": colors.hover,
        "default-button-bg": colors.fill,
        "default-button-hover-bg": colors.hover,
        "object-tools-fg": scheme.accent,
        "object-tools-hover-bg": scheme.soft,
        "bar-good": scheme.accent,
    }
    return "".join(f"  --{name}: {to_hex(color)};\n" for name, color in names.items())
