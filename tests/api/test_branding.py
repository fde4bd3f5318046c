"""/api/v1/branding: the same rules as in the admin."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.branding import stored
from core.branding.images import MAX_BYTES
from core.models import Branding
from tests.api.calls import call, problem
from tests.core.branding import pictures

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
NOTHING = {"name": None, "color": None, "support": None, "logo": None}


def test_an_owner_reads_and_changes_it(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)
    before = call(browser, "GET", "branding").json()
    assert before == {
        "name": "Gatehouse",
        "color": None,
        "support": None,
        "logo_url": None,
        "locked_by": NOTHING,
    }

    logo = base64.b64encode(pictures.png()).decode()
    body = {"name": "Example", "color": "#1D4ED8", "support": "help@example.com", "logo": logo}
    answer = call(browser, "PATCH", "branding", body)

    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["name"], found["color"], found["support"]) == (
        "Example", "#1d4ed8", "help@example.com"
    )  # fmt: skip
    path = found["logo_url"].removeprefix("http://localhost:8000")
    assert Client().get(path).content == pictures.png()

    nothing = dict.fromkeys(("color", "support", "logo")) | {"name": ""}
    assert call(browser, "PATCH", "branding", nothing).json() == before


def test_the_largest_logo_fits_into_a_request(owner: User, browser_of: BrowserOf) -> None:
    start = pictures.png()
    filler = pictures.chunk(b"tEXt", bytes(MAX_BYTES - len(start) - 12))
    logo = start[:33] + filler + start[33:]
    assert len(logo) == MAX_BYTES
    body = {"logo": base64.b64encode(logo).decode()}
    answer = call(browser_of(owner), "PATCH", "branding", body)
    assert answer.status_code == 200, answer.content
    assert bytes(stored().logo) == logo


def test_a_viewer_reads_it_and_only_owners_change_it(
    viewer: User, admin: User, browser_of: BrowserOf
) -> None:
    for user in (viewer, admin):
        browser = browser_of(user)
        assert call(browser, "GET", "branding").status_code == 200
        assert problem(call(browser, "PATCH", "branding", {"name": "Evil"})) == (403, "forbidden")
    assert not Branding.objects.exists()


def test_it_needs_recent_authentication(
    owner: User, browser_of: BrowserOf, at_time: Callable[[timedelta], datetime]
) -> None:
    browser = browser_of(owner)
    at_time(timedelta(minutes=16))
    answer = call(browser, "PATCH", "branding", {"name": "Evil"})
    assert problem(answer) == (403, "confirmation_needed")
    assert not Branding.objects.exists()


def test_all_faults_are_told_at_once(owner: User, browser_of: BrowserOf) -> None:
    svg = base64.b64encode(b"<svg/>").decode()
    body = {"color": "red", "support": "javascript:x", "logo": svg}
    answer = call(browser_of(owner), "PATCH", "branding", body)
    assert problem(answer) == (402, "record_invalid")
    assert set(answer.json()["errors"]) == {"color", "support", "logo"}
    answer = call(browser_of(owner), "PATCH", "branding", {"logo": "no base64!"})
    assert set(answer.json()["errors"]) == {"logo"}
    answer = call(browser_of(owner), "PATCH", "branding", {"colour": "#123456"})
    assert set(answer.json()["errors"]) == {"colour"}


def test_what_a_variable_fixes(owner: User, browser_of: BrowserOf, settings: Any) -> None:
    settings.BRANDING = {"name": "Fixed"}
    settings.BRANDING_LOCKS = {"name": "SITE_NAME"}
    browser = browser_of(owner)
    found = call(browser, "GET", "branding").json()
    assert (found["name"], found["locked_by"]) == ("Fixed", NOTHING | {"name": "SITE_NAME"})
    answer = call(browser, "PATCH", "branding", {"name": "Other"})
    assert problem(answer) == (402, "record_invalid")
    assert stored().name == ""
