"""Offboarding in the admin: asked first, reported afterwards."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from tests.admin.conftest import BrowserOf, page_of
from tests.api.keys import made

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]


def test_the_page_names_the_person_and_what_ends(
    browser_of: BrowserOf, owner: User, editor: User
) -> None:
    made(editor)

    page = browser_of(owner).post(page_of(editor, "offboard"))

    text = page.content.decode()
    assert page.status_code == 200
    assert "Edgar Editor" in text
    assert "editor@example.com" in text
    assert "API keys: 1" in text
    assert User.objects.get(pk=editor.pk).is_active


def test_confirming_leads_to_the_report_and_its_files(
    browser_of: BrowserOf, owner: User, editor: User
) -> None:
    made(editor)
    client = browser_of(owner)

    answer = client.post(page_of(editor, "offboard"), {"confirmed": "yes", "reason": "Left"})

    event = AuditEvent.objects.get(action="account:offboarding:verify")
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/accounts/user/{editor.pk}/offboarding/{event.seq}/"
    assert not User.objects.get(pk=editor.pk).is_active
    page = client.get(answer["Location"]).content.decode()
    assert "No access is left." in page
    assert "3 credentials were tried again" in page
    paper = client.get(f"{answer['Location']}print/").content.decode()
    assert "Offboarding of editor@example.com" in paper
    file = client.get(f"{answer['Location']}report.json")
    assert file["Content-Disposition"].startswith('attachment; filename="offboarding-')
    assert json.loads(file.content)["is_proved"] is True
    assert "Report of the offboarding" in client.get(page_of(editor)).content.decode()


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_reports_are_for_administrators(as_role: AsRole, owner: User, role: str) -> None:
    client, _user = as_role(role)

    answer = client.get(f"/admin/accounts/user/{owner.pk}/offboarding/1/")

    assert answer.status_code == 403


@pytest.mark.parametrize("number", ["1", "99999999999999999999"])
def test_an_entry_that_is_no_report_is_not_found(
    browser_of: BrowserOf, owner: User, number: str
) -> None:
    answer = browser_of(owner).get(f"/admin/accounts/user/{owner.pk}/offboarding/{number}/")

    assert answer.status_code == 404


def test_the_last_owner_is_kept_with_a_message(browser_of: BrowserOf, owner: User) -> None:
    client = browser_of(owner)

    asked = client.post(page_of(owner, "offboard"))
    answer = client.post(page_of(owner, "offboard"), {"confirmed": "yes"})

    assert "last active owner" in asked.content.decode()
    assert answer["Location"] == page_of(owner)
    assert User.objects.get(pk=owner.pk).is_active


def test_it_needs_recent_authentication(
    browser_of: BrowserOf, owner: User, editor: User, at_time: Callable[..., object]
) -> None:
    client = browser_of(owner)
    at_time(timedelta(minutes=16))

    answer = client.post(page_of(editor, "offboard"), {"confirmed": "yes"})

    assert "/confirm" in answer.get("Location", "")
    assert User.objects.get(pk=editor.pk).is_active
