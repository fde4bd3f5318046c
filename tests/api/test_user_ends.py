"""Ends of accounts and roles in the API."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services.users import change_role
from tests.api.calls import call, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
END = "2999-12-04T17:00:00Z"


def patch(client: Client, user: User, **fields: Any) -> Any:
    return call(client, "PATCH", f"users/{user.pk}", fields)


def test_ends_are_set_moved_and_removed(browser_of: BrowserOf, owner: User, viewer: User) -> None:
    client = browser_of(owner)
    ends = {"role": "admin", "role_until": END, "role_after": "viewer", "expires_at": END}

    given = patch(client, viewer, **ends)
    lower = patch(client, viewer, role_after="none")
    removed = patch(client, viewer, role_until=None, expires_at=None)

    names = ("role", "role_until", "role_after", "expires_at")
    assert given.status_code == lower.status_code == removed.status_code == 200
    assert {name: given.json()[name] for name in names} == ends
    assert lower.json()["role_after"] == "none"
    assert [removed.json()[name] for name in names] == ["admin", None, "", None]


def test_another_role_without_an_end_has_none(
    browser_of: BrowserOf, owner: User, viewer: User
) -> None:
    end = timezone.now() + timedelta(days=1)
    change_role(actor=SYSTEM, user=viewer, role="admin", until=end, then="viewer")

    answer = patch(browser_of(owner), viewer, role="editor")

    assert answer.json()["role_until"] is None
    assert answer.json()["role_after"] == ""


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"role": "admin", "role_until": END}, {"role_after"}),
        ({"role_after": "none"}, {"role_until"}),
        ({"role_until": "2020-01-01T00:00:00Z", "role_after": "none"}, {"role_until"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
        ({"expires_at": "soon"}, {"expires_at"}),
    ],
)
def test_faults_name_their_field(
    browser_of: BrowserOf, owner: User, viewer: User, fields: dict[str, Any], faults: set[str]
) -> None:
    answer = patch(browser_of(owner), viewer, **fields)

    assert problem(answer) == (402, "record_invalid")
    assert {*answer.json()["errors"]} == faults
    assert User.objects.get(pk=viewer.pk).role == "viewer"


def test_the_last_owner_without_an_end_gets_none(browser_of: BrowserOf, owner: User) -> None:
    answer = patch(browser_of(owner), owner, expires_at=END)

    assert problem(answer) == (403, "last_owner")
    assert User.objects.get(pk=owner.pk).expires_at is None


def test_accounts_and_invitations_are_made_with_ends(browser_of: BrowserOf, owner: User) -> None:
    client = browser_of(owner)
    fields = {"role": "editor", "role_until": END, "role_after": "none"}

    made = call(client, "POST", "users", {"email": "a@example.com", "expires_at": END, **fields})
    invited = call(client, "POST", "invitations", {"email": "b@example.com", **fields})
    wrong = call(client, "POST", "users", {"email": "c@example.com", "role_until": END})

    assert (made.status_code, invited.status_code) == (201, 201)
    assert (made.json()["expires_at"], made.json()["role_until"]) == (END, END)
    assert invited.json()["role_after"] == "none"
    assert Invitation.objects.get().role_until is not None
    assert {*wrong.json()["errors"]} == {"role_after"}


def test_the_list_finds_who_ends_before(
    browser_of: BrowserOf, owner: User, viewer: User, editor: User
) -> None:
    User.objects.filter(pk=viewer.pk).update(expires_at=timezone.now() + timedelta(days=3))
    before = (timezone.now() + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")

    found = browser_of(owner).get(f"/api/v1/users?ends_before={before}").json()["results"]

    assert [user["email"] for user in found] == ["viewer@example.com"]
