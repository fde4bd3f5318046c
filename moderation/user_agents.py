"""Recognize browsers by their User-Agent header. Pure."""

import re

# Each name is followed by a version. Programs that pretend to be a browser pass: this is a scored
# hint, not access control.
_BROWSER = re.compile(
    r"(?:Firefox|FxiOS|Chrome|Chromium|CriOS|Safari|AppleWebKit|Edge?|EdgA|EdgiOS|OPR|Opera|OPiOS"
    r"|SamsungBrowser|Vivaldi|Trident|Konqueror|SeaMonkey|Lynx|w3m)[/ ]\d|MSIE \d"
)
MAX_LENGTH = 512


def is_browser(user_agent: str) -> bool:
    """Does the header name a browser? False for "", curl, Python and crawlers."""
    return _BROWSER.search(user_agent[:MAX_LENGTH]) is not None
