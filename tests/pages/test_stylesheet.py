"""Contrast of the colours in both schemes, and user preferences."""

import re
from pathlib import Path

import pytest
from django.conf import settings

STYLE = (Path(settings.BASE_DIR) / "static" / "gatehouse.css").read_text()
COLOURS = re.compile(r"--([a-z-]+): #([0-9a-f]{3,6});")
LIGHT_TEXT, DARK_TEXT = STYLE.split("@media (prefers-color-scheme: dark)", 1)
LIGHT = dict(COLOURS.findall(LIGHT_TEXT))
SCHEMES = {"light": LIGHT, "dark": LIGHT | dict(COLOURS.findall(DARK_TEXT))}
# Text on its ground, as the rules pair them (WCAG 2.2, 1.4.3).
TEXTS = [
    *((ink, ground) for ink in ("ink", "muted", "accent") for ground in ("ground", "surface")),
    *((ink, "soft") for ink in ("ink", "muted", "accent-strong")),
    ("muted", "glow"),
    ("ink", "field"),
    ("ink", "bad-soft"),
    ("ink", "warn-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-bad", "bad"),
    ("bad", "surface"),
    ("bad", "bad-soft"),
    ("warn", "warn-soft"),
]
# Edges that say what can be used, and the focus ring (WCAG 2.2, 1.4.11).
EDGES = [("field-line", "surface"), ("field-line", "field"), ("bad", "field"), ("accent", "ground")]


def luminance(colour: str) -> float:
    """Relative luminance of a hexadecimal colour, 0 to 1."""
    digits = "".join(2 * digit for digit in colour) if len(colour) == 3 else colour
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(scheme: str, first: str, second: str) -> float:
    """Contrast of two custom properties, 1 to 21."""
    low, high = sorted(luminance(SCHEMES[scheme][name]) for name in (first, second))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_formula_is_correct() -> None:
    assert luminance("fff") == pytest.approx(1)
    assert luminance("000000") == 0
    assert luminance("777777") == pytest.approx(0.1845, abs=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXTS)
def test_text_has_enough_contrast(scheme: str, ink: str, ground: str) -> None:
    assert contrast(scheme, ink, ground) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_borders_have_enough_contrast(scheme: str, edge: str, ground: str) -> None:
    assert contrast(scheme, edge, ground) >= 3


def test_the_stylesheet_respects_user_preferences() -> None:
    assert STYLE.count("@media (prefers-color-scheme: dark)") == 1
    assert STYLE.count("@media (prefers-reduced-motion: reduce)") == 1
    assert ":focus-visible" in STYLE


def test_the_stylesheet_is_small_and_fetches_nothing() -> None:
    assert len(STYLE.encode()) < 15_000
    assert re.findall(r"url\(|@import", STYLE) == []
