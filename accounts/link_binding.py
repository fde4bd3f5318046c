"""The browser that asked: a name for people, and the cookie that binds a mailed link to it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from core.tokens import digest, make_token

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
    """`Firefox on Windows`, for people; a guess from what the browser says of itself."""
    browser = next((name for sign, name in BROWSERS if sign in user_agent), "")
    system = next((name for sign, name in SYSTEMS if sign in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown device")


def binding_of(request: HttpRequest) -> str:
    """Digest of this browser's cookie; "" when it has none."""
    value = request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
    return digest(PURPOSE, value) if value else ""


def bind(request: HttpRequest, response: HttpResponse, value: str) -> None:
    """Set the cookie whose digest stands with the request for mail.

    SameSite=Lax lets it come along when the person follows the link from the mail.
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
    """This browser's cookie value, or a new one for bind()."""
    return request.COOKIES.get(settings.BROWSER_COOKIE_NAME) or make_token()
