"""The page "Appearance" of the admin."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from accounts.services.branding import change_branding, stored
from core.models import Branding
from tests.core.branding import pictures

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
    assert "The file has more than 256 KB." in answer.content.decode()
    assert not Branding.objects.exists()
