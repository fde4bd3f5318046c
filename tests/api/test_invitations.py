"""Inviting over the API."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services.invitations import invite
from tests.api.calls import API, call, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


def test_only_the_response_contains_the_link(
    admin: User, browser_of: BrowserOf, stranger: Client
) -> None:
    browser = browser_of(admin)
    body = {"email": "New@example.com", "role": "editor", "name": "Nina", "lifetime": 3600}

    answer = call(browser, "POST", "invitations", body)

    made = answer.json()
    assert answer.status_code == 201
    assert (made["email"], made["role"], made["name"]) == ("new@example.com", "editor", "Nina")
    assert (made["invited_by"], made["mailed"]) == (str(admin.pk), False)
    assert made["link"].startswith("http://localhost:8000/invitation/")
    assert stranger.get(made["link"].removeprefix("http://localhost:8000")).status_code == 200
    (listed,) = browser.get(f"{API}/invitations").json()["results"]
    assert listed == {key: value for key, value in made.items() if key not in ("link", "mailed")}


def test_a_withdrawn_invitation_is_not_found(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    made = call(browser, "POST", "invitations", {"email": "new@example.com"}).json()

    assert call(browser, "DELETE", f"invitations/{made['id']}").status_code == 204
    assert problem(call(browser, "DELETE", f"invitations/{made['id']}")) == (404, "not_found")
    assert problem(call(browser, "DELETE", f"invitations/{uuid.uuid4()}")) == (404, "not_found")
    assert browser.get(f"{API}/invitations").json()["results"] == []
    assert Invitation.objects.get().replaced_at is not None


def test_invitations_to_higher_roles_are_not_found(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    issued = invite(actor=SYSTEM, email="boss@example.com", role="owner")

    assert browser.get(f"{API}/invitations").json()["results"] == []
    answer = call(browser, "DELETE", f"invitations/{issued.invitation.pk}")
    assert problem(answer) == (404, "not_found")
    for role in ("admin", "owner"):
        body = {"email": "new@example.com", "role": role}
        assert problem(call(browser, "POST", "invitations", body)) == (403, "forbidden")
    assert Invitation.objects.get().replaced_at is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "admin@example.com"}, "email"),
        ({"email": "new@example.com", "role": "root"}, "role"),
        ({"email": "new@example.com", "lifetime": 59}, "lifetime"),
        ({"email": "new@example.com", "lifetime": 31 * 86400}, "lifetime"),
    ],
)
def test_errors_are_reported_by_field(
    admin: User, browser_of: BrowserOf, body: dict[str, object], field: str
) -> None:
    answer = call(browser_of(admin), "POST", "invitations", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not Invitation.objects.exists()
