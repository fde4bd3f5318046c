"""The settings that fix a part of the branding."""

from pathlib import Path
from typing import Any

from config.environment.errors import Problem, SettingsError
from config.environment.schema import Values
from core.branding.images import MAX_BYTES, Logo, LogoInvalid, read_logo
from core.text.plain_text import echo

# Field of the branding -> the variable that fixes it.
BRANDING_VARIABLES = {
    "name": "SITE_NAME",
    "logo": "BRAND_LOGO",
    "color": "BRAND_COLOR",
    "support": "SUPPORT_ADDRESS",
}


def branding_settings(values: Values) -> dict[str, Any]:
    """Values by field, of the variables that are set. Raises SettingsError for a bad logo."""
    fixed = {field: values[name] for field, name in BRANDING_VARIABLES.items() if values[name]}
    if "logo" in fixed:
        fixed["logo"] = _read_logo(fixed["logo"])
    return fixed


def _read_logo(file: Path) -> Logo:
    fix = "name a readable PNG, JPEG or WebP file"
    try:
        with file.open("rb") as opened:
            return read_logo(opened.read(MAX_BYTES + 1))
    except OSError as error:
        what = f"{echo(str(file))} cannot be read ({error.strerror})"
    except LogoInvalid as error:
        what = f"{echo(str(file))} is no logo. {error}".removesuffix(".")
    raise SettingsError([Problem("BRAND_LOGO", what, fix)])
