"""The cookie that binds a mailed link to the browser that asked for it, and names of browsers."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from core.crypto.tokens import digest, make_token

PURPOSE = "browser"
MAX_AGE_SECONDS = 24 * 3600

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


def bind(request: HttpRequest, response: HttpResponse, value: str) -> None:
    """Set the cookie whose digest is stored with the request for mail.

    SameSite=Lax, so that the browser sends it when the user follows the link in the mail.
    """
    response.set_cookie(
        settings.BROWSER_COOKIE_NAME,
        value,
        max_age=MAX_AGE_SECONDS,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )


def browser_id(request: HttpRequest) -> str:
    """The value of this browser's cookie, or a new one to pass to bind()."""
    return request.COOKIES.get(settings.BROWSER_COOKIE_NAME) or make_token()
