"""Settings of how the instance presents itself."""

from collections.abc import Callable

from config.environment.errors import Unreadable
from config.environment.schema import Section, path, text
from core.branding.values import (
    DEFAULT_COLOR,
    DEFAULT_NAME,
    MAX_NAME,
    ValueInvalid,
    clean_color,
    clean_site_name,
    clean_support,
)
from core.text.plain_text import echo


def _check(clean: Callable[[str], str], what: str, fix: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            return clean(text)
        except ValueInvalid:
            raise Unreadable(f"{echo(text)} is not {what}", fix) from None

    return check


BRANDING = Section(
    "Appearance",
    "The look of pages and mails; docs/branding.md describes it. What is not set here, an owner "
    "can change in the admin panel.",
    text(
        "SITE_NAME",
        example="Example GmbH",
        check=_check(
            clean_site_name,
            "a name",
            f"write one line of at most {MAX_NAME} characters, without < > and quotation marks",
        ),
        default_note=f"what the admin panel says, else {DEFAULT_NAME}",
    ).with_help("The name of this site, in headers, titles and mails."),
    path(
        "BRAND_LOGO",
        example="/etc/gatehouse/logo.png",
        default_note="what the admin panel says, else the mark of Gatehouse",
    ).with_help(
        "A PNG, JPEG or WebP file of at most 180 KB and 2000 by 2000 pixels, read at each start. "
        "It stands beside the name, 30 pixels high."
    ),
    text(
        "BRAND_COLOR",
        example="#1d4ed8",
        check=_check(clean_color, "a color", "write it as #rrggbb"),
        default_note=f"what the admin panel says, else {DEFAULT_COLOR}",
    ).with_help(
        "The color of buttons. Links use it darker or lighter, so that they can always be read."
    ),
    text(
        "SUPPORT_ADDRESS",
        example="help@example.com",
        check=_check(
            clean_support,
            "a support address",
            "write an email address, or an address that begins with https://",
        ),
        default_note="what the admin panel says, else none",
    ).with_help("Whom users ask for help: an email address, or a page with https."),
)
