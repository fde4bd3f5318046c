"""The picture of docs/growth.md can be read without seeing it, and without its colours."""

from xml.etree import ElementTree

from benchmarks.growth.chart import draw

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "check & key": {"SQLite": [(1000, 0.04), (100_000, 0.05)], "PostgreSQL": [(1000, 0.05)]},
    "refresh": {"SQLite": [(1000, 2.0), (100_000, 2.0)], "PostgreSQL": [(1000, 2.0)]},
}


def test_the_picture_has_a_title_a_description_and_each_value_as_text() -> None:
    picture = ElementTree.fromstring(draw(CURVES, "A title", "What it shows"))

    assert picture.get("role") == "img"
    named = [picture.find(f"{SVG}*[@id='{name}']") for name in ("title", "description")]
    assert picture.get("aria-labelledby") == "title description"
    assert [each.text for each in named if each is not None] == ["A title", "What it shows"]
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert texts[:3] == ["SQLite", "PostgreSQL", "check & key"]
    assert texts.count("0.050 ms") == 3  # the end of both lines, and of the axis
    assert texts.count("2 ms") == 3


def test_values_at_one_height_are_printed_below_each_other() -> None:
    picture = ElementTree.fromstring(draw({"refresh": CURVES["refresh"]}, "", ""))

    values = [text for text in picture.iter(f"{SVG}text") if text.get("class") in ("one", "two")]
    heights = sorted(float(text.get("y", "")) for text in values if text.text == "2 ms")
    assert heights[1] - heights[0] == 13


def test_the_picture_follows_light_and_dark_mode() -> None:
    assert "@media (prefers-color-scheme: dark)" in draw(CURVES, "", "")
