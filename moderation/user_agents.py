"""Does a program say that it is a browser? Pure; it believes what it is told."""

import re

# What follows these words is a version. Programs that pretend to be a browser pass: the check
# finds those that do not even try, as a scored hint and not as a lock.
_BROWSER = re.compile(
    r"(?:Firefox|FxiOS|Chrome|Chromium|CriOS|Safari|AppleWebKit|Edge?|EdgA|EdgiOS|OPR|Opera|OPiOS"
    r"|SamsungBrowser|Vivaldi|Trident|Konqueror|SeaMonkey|Lynx|w3m)[/ ]\d|MSIE \d"
)
LONGEST = 512


def is_browser(user_agent: str) -> bool:
    """Does a User-Agent header name a browser? False for none, and for curl, Python, crawlers."""
    return _BROWSER.search(user_agent[:LONGEST]) is not None
