"""The box "Find a person" of the menu, and the button "Export" of the user list."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from tests.admin.conftest import LIST, MakeUser, page_of

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
FIND = f"{LIST}find/"


@pytest.fixture
def jon(make_user: MakeUser) -> User:
    return make_user("editor", "jon@example.com", name="Jon Doe", username="jonny")


@pytest.mark.parametrize("text", ["jon@example.com", " JON@example.com ", "Jon Doe", "jonny", "id"])
def test_one_match_leads_to_the_page_of_the_person(as_role: AsRole, jon: User, text: str) -> None:
    browser, _admin = as_role("admin")

    answer = browser.get(FIND, {"q": str(jon.pk) if text == "id" else text})

    assert (answer.status_code, answer["Location"]) == (302, page_of(jon))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", LIST),
        ("   ", LIST),
        ("example.com", f"{LIST}?q=example.com"),
        ("no such person", f"{LIST}?q=no+such+person"),
        ("a&role=owner", f"{LIST}?q=a%26role%3Downer"),
        ("\x00", f"{LIST}?q=%00"),
    ],
)
def test_several_matches_or_none_lead_to_the_list(
    as_role: AsRole, jon: User, text: str, where: str
) -> None:
    browser, _admin = as_role("admin")

    answer = browser.get(FIND, {"q": text})

    assert (answer.status_code, answer["Location"]) == (302, where)
    assert browser.get(where).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("stranger", 302), ("viewer", 403), ("editor", 403)])
def test_only_administrators_find_people(
    as_role: AsRole, jon: User, role: str, status: int
) -> None:
    browser, _user = as_role(role)

    answer = browser.get(FIND, {"q": jon.email})

    assert answer.status_code == status
    assert str(jon.pk) not in answer.get("Location", "")


def test_finding_changes_nothing_and_takes_no_post(as_role: AsRole, jon: User) -> None:
    browser, _admin = as_role("admin")
    before = AuditEvent.objects.count()

    assert browser.post(FIND, {"q": jon.email}).status_code == 405
    assert browser.get(FIND, {"q": jon.email}).status_code == 302
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"search": ""}),
        ("?o=1&p=2", {"search": ""}),
        ("?q=jon", {"search": "jon"}),
        ("?q=jon&role=editor", {"search": "jon", "role": "editor"}),
    ],
)
def test_the_button_exports_whom_the_list_shows(
    as_role: AsRole, jon: User, query: str, fields: dict[str, str]
) -> None:
    browser, _owner = as_role("owner")

    page = browser.get(f"{LIST}{query}").content.decode()
    file = b"".join(browser.post(f"{LIST}export/", fields)).decode()  # type: ignore[call-overload]

    assert f'action="{LIST}export/"' in page
    for name, value in fields.items():
        assert f'name="{name}" value="{value}"' in page
    assert "jon@example.com" in file
    assert ("operator-owner@example.com" in file) == (query in ("", "?o=1&p=2"))


@pytest.mark.parametrize("query", ["?state=disabled", "?verified=yes&role=editor"])
def test_a_filter_that_the_file_cannot_follow_leads_to_the_page_instead(
    as_role: AsRole, query: str
) -> None:
    browser, _owner = as_role("owner")

    page = browser.get(f"{LIST}{query}").content.decode()

    assert f'href="{LIST}export/"' in page
    assert f'action="{LIST}export/"' not in page
