"""The cookie that binds a mailed link to the browser that asked for it, and names of browsers."""

from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from core.crypto.tokens import digest, make_token
from core.web.cookies import set_cookie

PURPOSE = "browser"
MAX_AGE = timedelta(days=1)

BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome/", "Chrome"),
    ("Safari/", "Safari"), ("curl/", "curl"), ("python", "Python"),
)  # fmt: skip
SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
    ("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def device_name(user_agent: str) -> str:
    """A display name such as `Firefox on Windows`, guessed from the User-Agent header."""
    browser = next((name for part, name in BROWSERS if part in user_agent), "")
    system = next((name for part, name in SYSTEMS if part in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown device")


def binding_of(request: HttpRequest) -> str:
    """The digest of this browser's cookie; "" without one."""
    value = request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
    return digest(PURPOSE, value) if value else ""


class BrowserBinding(NamedTuple):
    """The cookie of a browser that asks for mail; its digest is stored with the request."""

    value: str

    @property
    def digest(self) -> str:
        return digest(PURPOSE, self.value)

    def keep_in(self, response: HttpResponse) -> HttpResponse:
        """Set the cookie in `response`, and return it."""
        set_cookie(response, settings.BROWSER_COOKIE_NAME, self.value, MAX_AGE)
        return response


def bind_browser(request: HttpRequest) -> BrowserBinding:
    """The binding of this browser, or a new one."""
    return BrowserBinding(request.COOKIES.get(settings.BROWSER_COOKIE_NAME) or make_token())
