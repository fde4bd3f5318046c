"""The page "Appearance" of the admin."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Browser

from accounts.models import User
from accounts.services.branding import change_branding, stored
from core.models import Branding
from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.core.branding import pictures
from tests.pages.axe import accessibility_errors
from tests.pages.test_in_browser import sign_in

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE, EDIT = "/admin/core/branding/", "/admin/core/branding/edit/"


def upload(content: bytes, name: str = "logo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="image/svg+xml")


def test_an_owner_changes_name_and_logo_in_one_form(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    assert "Appearance" in browser.get("/admin/").content.decode()
    page = browser.get(PAGE).content.decode()
    assert 'name="logo"' in page
    assert "Remove the logo" not in page

    answer = browser.post(EDIT, {"name": "Example", "color": "", "logo": upload(pictures.png())})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert (stored().name, bytes(stored().logo)) == ("Example", pictures.png())
    page = browser.get(PAGE).content.decode()
    assert "The appearance is saved." in page
    assert 'alt="The present logo"' in page
    assert "PNG, 4 by 4, 1 KB" in page


def test_the_logo_stays_until_it_is_removed(owner: User, browser_of: BrowserOf) -> None:
    change_branding(actor=owner, changes={"logo": pictures.png(), "name": "Example"})
    browser = browser_of(owner)
    browser.post(EDIT, {"name": "Other"})
    assert (stored().name, bytes(stored().logo)) == ("Other", pictures.png())
    browser.post(EDIT, {"name": "Other", "remove_logo": "on"})
    assert bytes(stored().logo) == b""


def test_errors_stand_beside_their_fields(owner: User, browser_of: BrowserOf) -> None:
    answer = browser_of(owner).post(
        EDIT,
        {
            "name": "<b>",
            "color": "red;}body{color:red",
            "support": "javascript:alert(1)",
            "logo": upload(b"<svg><script>alert(1)</script></svg>"),
        },
    )
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "Leave out &lt; &gt; and quotation marks." in page
    assert "Write a color as #rrggbb, such as #0f766e." in page
    assert "Write an email address, or an address that begins with https://." in page
    assert "SVG files can contain scripts. Export the logo as PNG, JPEG or WebP." in page
    assert not Branding.objects.exists()


def test_an_empty_file_is_an_error_and_no_removal(owner: User, browser_of: BrowserOf) -> None:
    change_branding(actor=owner, changes={"logo": pictures.png()})
    answer = browser_of(owner).post(EDIT, {"logo": upload(b"")})
    assert answer.status_code == 400
    assert "This is not a PNG, JPEG or WebP file." in answer.content.decode()
    assert bytes(stored().logo) == pictures.png()


def test_an_admin_sees_it_and_changes_nothing(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    page = browser.get(PAGE).content.decode()
    assert "Only owners change the appearance." in page
    assert ">Save</button>" not in page
    assert browser.post(EDIT, {"name": "Evil"}).status_code == 403
    assert not Branding.objects.exists()


def test_who_signed_in_long_ago_confirms_before_filling_in(
    owner: User, browser_of: BrowserOf, at_time: Callable[[timedelta], datetime]
) -> None:
    browser = browser_of(owner)
    at_time(timedelta(minutes=16))
    page = browser.get(PAGE).content.decode()
    assert 'href="/confirm?next=%2Fadmin%2Fcore%2Fbranding%2F"' in page
    assert ">Save</button>" not in page
    answer = browser.post(EDIT, {"name": "Evil", "logo": upload(pictures.png())})
    assert (answer.status_code, answer["Location"]) == (
        303, "/confirm?next=%2Fadmin%2Fcore%2Fbranding%2Fedit%2F"
    )  # fmt: skip
    assert not Branding.objects.exists()


def test_what_a_variable_sets_is_shown_and_locked(
    owner: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.BRANDING = {"color": "#ff0000", "name": "Fixed"}
    settings.BRANDING_LOCKS = {"color": "BRAND_COLOR", "name": "SITE_NAME"}
    browser = browser_of(owner)
    page = browser.get(PAGE).content.decode()
    assert "Set by BRAND_COLOR where this server is configured." in page
    assert "Set by SITE_NAME where this server is configured." in page
    assert 'value="#ff0000"' in page

    answer = browser.post(EDIT, {"color": "#00ff00", "name": "X", "support": "help@example.com"})

    assert answer.status_code == 302
    assert (stored().color, stored().name, stored().support) == ("", "", "help@example.com")


def test_a_file_of_a_megabyte_is_refused_and_not_kept(owner: User, browser_of: BrowserOf) -> None:
    big = pictures.png()[:33] + pictures.chunk(b"tEXt", b"x" * 900_000) + pictures.png()[33:]
    answer = browser_of(owner).post(EDIT, {"logo": upload(big)})
    assert answer.status_code == 400
    assert "The file has more than 180 KB." in answer.content.decode()
    assert not Branding.objects.exists()


BRANDED = f"""
from accounts.actors import SYSTEM
from accounts.services.branding import change_branding
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="olga@example.com", role="owner", password="{PASSWORD}",
            verified=True)
change_branding(actor=SYSTEM, changes={{"name": "Example", "color": "#ffb000",
                                        "support": "help@example.com"}})
"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_branded_pages_are_accessible_and_follow_the_csp(
    scheme: Literal["light", "dark"],
    sqlite_data: InstanceData,
    gatehouse_server: Callable[..., Gatehouse],
    browser: Browser,
    tmp_path: Path,
) -> None:
    sqlite_data.shell(BRANDED)
    gatehouse = gatehouse_server(sqlite_data)
    context = browser.new_context(viewport={"width": 320, "height": 740}, color_scheme=scheme)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(f"{page.url} {message.text}"))
    sign_in(page, gatehouse, "olga@example.com")
    page.goto(gatehouse.url + PAGE)
    logo = tmp_path / "logo.txt"
    logo.write_bytes(pictures.png(40, 40))
    page.set_input_files("input[name=logo]", logo)
    page.click("button:has-text('Save')")
    page.wait_for_selector("img[alt='The present logo']")
    # axe loads stylesheets itself, which the policy refuses: it comes last.
    for path in ("/account/", "/admin/", PAGE):
        page.goto(gatehouse.url + path)
    assert said == []
    found = []
    for path in (PAGE, "/account/", "/admin/", "/nothing-here"):
        page.goto(gatehouse.url + path)
        found += [(path, error) for error in accessibility_errors(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((path, "wider than the window"))
    assert found == []
    width = "document.querySelector('img.logo').naturalWidth"
    assert page.evaluate(width) == 40
    context.close()
