"""The settings that fix name, logo, color and support address."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.branding import branding_settings
from config.environment.errors import SettingsError
from tests.config.conftest import Load
from tests.core.branding import pictures

Lines = Callable[..., list[str]]
UNSET = dict.fromkeys(("SITE_NAME", "BRAND_LOGO", "BRAND_COLOR", "SUPPORT_ADDRESS"))


@pytest.mark.parametrize(
    ("line", "start", "fix"),
    [
        (
            "BRAND_COLOR=red;}body{color:red",
            "BRAND_COLOR: 'red;}body{color:red' is not a color. ",
            "write it as #rrggbb",
        ),
        (
            "SUPPORT_ADDRESS=javascript:alert(1)",
            "SUPPORT_ADDRESS: 'javascript:alert(1)' is not a support address. ",
            "write an email address, or an address that begins with https://",
        ),
        (
            "SITE_NAME=<script>",
            "SITE_NAME: '<script>' is not a name. ",
            "write one line of at most 40 characters",
        ),
    ],
)
def test_a_bad_value_stops_the_start(faults: Lines, line: str, start: str, fix: str) -> None:
    (fault,) = faults(line)
    assert fault.startswith(f"{start}Fix: {fix}")


def test_good_values(load_env: Load) -> None:
    env = load_env("SITE_NAME=Example\nBRAND_COLOR='#1D4ED8'\nSUPPORT_ADDRESS=Help@Example.com\n")
    fixed = branding_settings(env)
    assert fixed == {"name": "Example", "color": "#1d4ed8", "support": "help@example.com"}
    assert branding_settings(load_env("")) == {}


def test_the_logo_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "logo.svg"
    file.write_bytes(pictures.png(8, 8))
    assert branding_settings(UNSET | {"BRAND_LOGO": file})["logo"].media_type == "image/png"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<svg/>", "SVG files can contain scripts"), (None, "No such file or directory")],
)
def test_a_bad_logo_stops_the_start(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "logo.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=reason) as caught:
        branding_settings(UNSET | {"BRAND_LOGO": file})
    assert str(caught.value).startswith("BRAND_LOGO: ")
