"""Which pictures there are, and what each of them shows."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

WIDE, CARD, PHONE = (1280, 800), (800, 600), (390, 844)
# The height of a picture of the whole page.
WHOLE = 0
# Who is signed in on the page: the owner of the instance, an editor, or no one.
OWNER, EDITOR, NO_ONE = "owner", "editor", ""
ADMIN = "/admin"
# open(page, address): `address` is the editor's.
Steps = Callable[[Page, str], object]


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as someone sees it. open: goes there. is_dark: is there one in the dark scheme, too?

    height: of the picture, if it is not that of the window. status: of the response; another one
    is an error, so that no picture shows a page that says "Page not found". has_providers: are
    there providers to sign in with? Such pictures come last.
    """

    name: str
    seen_by: str
    open: Steps
    size: tuple[int, int] = WIDE
    is_dark: bool = False
    height: int | None = None
    status: int = 200
    has_providers: bool = False

    @property
    def files(self) -> list[str]:
        """The names of its files, and for the dark scheme a second one."""
        return [f"{self.name}.png", *([f"{self.name}-dark.png"] if self.is_dark else [])]


def _at(path: str) -> Steps:
    return lambda page, _address: page.goto(path)


def _user(page: Page, address: str) -> None:
    """The page of the editor, by the search of the list."""
    page.goto(f"{ADMIN}/accounts/user/?q={address}")
    page.locator("#result_list tbody th a").first.click()


def _denial(page: Page, address: str) -> None:
    """Why the editor's request was denied. A denial is written within seconds."""
    row = page.locator("#result_list tbody th a")
    for _attempt in range(20):
        page.goto(f"{ADMIN}/forward_auth/denial/?q={address}")
        if row.count():
            break
        page.wait_for_timeout(500)
    row.first.click()


def _denied(page: Page, _address: str) -> None:
    """What the browser of the editor shows instead of the app."""
    page.set_extra_http_headers(
        {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "grafana.northwind.example",
            "X-Forwarded-Uri": "/admin/users",
            "X-Forwarded-Method": "GET",
            "X-Forwarded-For": "198.51.100.23",
        }
    )
    page.goto("/auth/forward")


PICTURES = (
    # Before the next one, which shows why.
    Picture("denied", EDITOR, _denied, size=CARD, status=403),
    Picture("denial", OWNER, _denial, is_dark=True, height=WHOLE),
    Picture("users", OWNER, _at(f"{ADMIN}/accounts/user/"), is_dark=True, height=900),
    Picture("users-phone", OWNER, _at(f"{ADMIN}/accounts/user/"), size=PHONE),
    Picture("user", OWNER, _user, height=1400),
    Picture("overview", OWNER, _at(f"{ADMIN}/"), height=1000),
    Picture("audit", OWNER, _at(f"{ADMIN}/audit/auditevent/?q=account:role:change")),
    Picture("api-reference", OWNER, _at("/api/v1/docs")),
    Picture(
        "sign-in",
        NO_ONE,
        _at("/sign-in"),
        size=CARD,
        is_dark=True,
        height=WHOLE,
        has_providers=True,
    ),
)
