"""Inviting over the API."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services.invitations import invite
from magiclinks.models import LoginLink
from tests.api.calls import API, call, from_now, problem
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


def test_only_the_response_contains_the_link(
    admin: User, browser_of: BrowserOf, stranger: Client
) -> None:
    browser = browser_of(admin)
    end = from_now(hours=1)
    body = {"email": "New@example.com", "role": "editor", "name": "Nina", "expires_at": end}

    answer = call(browser, "POST", "invitations", body)

    made = answer.json()
    assert answer.status_code == 201
    assert (made["email"], made["role"], made["name"]) == ("new@example.com", "editor", "Nina")
    assert (made["invited_by"], made["mailed"]) == (str(admin.pk), False)
    assert (made["state"], made["user_id"], made["used_at"]) == ("live", None, None)
    assert Invitation.objects.get().expires_at.isoformat() == end
    assert made["link"].startswith("http://localhost:8000/invitation/")
    assert stranger.get(made["link"].removeprefix("http://localhost:8000")).status_code == 200
    (listed,) = browser.get(f"{API}/invitations").json()["results"]
    assert listed == {key: value for key, value in made.items() if key not in ("link", "mailed")}


def test_a_lifetime_in_seconds_replaces_the_end(admin: User, browser_of: BrowserOf) -> None:
    body = {"email": "new@example.com", "lifetime": 3600}

    assert call(browser_of(admin), "POST", "invitations", body).status_code == 201

    made = Invitation.objects.get()
    assert made.expires_at - made.created_at == timedelta(hours=1)


def test_a_link_with_a_lifetime_in_seconds(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    made = call(browser_of(admin), "POST", f"users/{viewer.pk}/magic-link", {"lifetime": 600})

    link = LoginLink.objects.get()
    assert made.status_code == 201
    assert link.expires_at - link.created_at == timedelta(minutes=10)


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
        ({"email": "new@example.com", "expires_at": from_now(seconds=-5)}, "expires_at"),
        ({"email": "new@example.com", "expires_at": from_now(days=31)}, "expires_at"),
        ({"email": "new@example.com", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"email": "new@example.com", "expires_at": None}, "expires_at"),
        ({"email": "new@example.com", "lifetime": 59}, "lifetime"),
        ({"email": "new@example.com", "lifetime": 60, "expires_at": from_now(days=1)}, "lifetime"),
        ({"email": "new@example.com", "lifetimes": 3600}, "lifetimes"),
    ],
)
def test_errors_are_reported_by_field(
    admin: User, browser_of: BrowserOf, body: dict[str, object], field: str
) -> None:
    answer = call(browser_of(admin), "POST", "invitations", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not Invitation.objects.exists()


def test_invitations_are_filtered(admin: User, make_user: MakeUser, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    live, replaced, used, expired = (
        invite(actor=admin, email=f"{name}@example.com", role=role).invitation
        for name, role in (("a", "editor"), ("b", "viewer"), ("c", "editor"), ("d", "viewer"))
    )
    now = timezone.now()
    account = make_user("editor", "c@example.com")
    Invitation.objects.filter(pk=replaced.pk).update(replaced_at=now)
    Invitation.objects.filter(pk=used.pk).update(used_at=now, user=account)
    Invitation.objects.filter(pk=expired.pk).update(expires_at=now)
    hidden = invite(actor=SYSTEM, email="boss@example.com", role="owner").invitation

    def listed(query: str) -> list[str]:
        return [row["id"] for row in browser.get(f"{API}/invitations{query}").json()["results"]]

    assert listed("") == listed("?state=live") == [str(live.pk)]
    assert listed("?state=replaced") == [str(replaced.pk)]
    assert listed("?state=used") == [str(used.pk)]
    assert listed("?state=expired") == [str(expired.pk)]
    in_all_states = listed("?state=all")
    assert in_all_states == [str(row.pk) for row in (expired, used, replaced, live)]
    assert str(hidden.pk) not in in_all_states
    assert listed("?state=all&email=C@Example.com") == [str(used.pk)]
    assert listed("?state=all&role=editor") == [str(used.pk), str(live.pk)]
    assert listed("?state=all&role=owner") == []
    row = browser.get(f"{API}/invitations?state=used").json()["results"][0]
    assert (row["state"], row["user_id"]) == ("used", str(account.pk))
    wrong = browser.get(f"{API}/invitations?state=open&role=boss")
    assert problem(wrong) == (402, "record_invalid")
    assert wrong.json()["errors"].keys() == {"state", "role"}
