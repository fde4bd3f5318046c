"""/api/v1/service-accounts, and what users/{id} says and does about one."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.service_accounts import create_service_account
from api.models import ApiKey
from tests.api.calls import call, problem
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-7000-8000-000000000009"
BrowserOf = Callable[[User], Client]


@pytest.fixture
def panel(admin: User, browser_of: BrowserOf) -> Client:
    return browser_of(admin)


def test_an_account_is_created_read_changed_given_a_key_and_deleted(
    panel: Client, admin: User, editor: User, viewer: User
) -> None:
    answer = call(panel, "POST", "service-accounts", {
        "username": "Deploy", "name": "Deployments", "role": "viewer",
        "responsible_id": str(admin.pk),
    })  # fmt: skip
    account = answer.json()
    path = f"users/{account['id']}"

    assert answer.status_code == 201
    assert answer["Location"] == f"http://localhost:8000/api/v1/{path}"
    assert {name: account[name] for name in ("kind", "email", "username", "responsible_id")} == {
        "kind": "service", "email": None, "username": "deploy", "responsible_id": str(admin.pk),
    }  # fmt: skip
    # It may be sent back as it was read, and its responsible person changes with the rest.
    changed = call(panel, "PATCH", path, account | {
        "name": "Releases", "responsible_id": str(editor.pk), "role": "editor",
    })  # fmt: skip
    assert changed.status_code == 200, changed.content
    assert {name: changed.json()[name] for name in ("name", "role", "responsible_id")} == {
        "name": "Releases", "role": "editor", "responsible_id": str(editor.pk),
    }  # fmt: skip
    key = call(panel, "POST", f"{path}/api-keys", {"name": "ci", "scopes": ["read", "write"]})
    assert (key.status_code, call_with(key.json()["key"]).json()["id"]) == (201, account["id"])
    listed = panel.get("/api/v1/service-accounts").json()["results"]
    assert [row["username"] for row in listed] == ["deploy"]
    assert [row["id"] for row in panel.get("/api/v1/users?kind=service").json()["results"]] == [
        account["id"]
    ]
    people = {row["email"] for row in panel.get("/api/v1/users").json()["results"]}
    assert people == {admin.email, editor.email, viewer.email}
    assert call(panel, "DELETE", path).status_code == 204
    assert not User.objects.service_accounts().exists()
    assert call_with(key.json()["key"]).status_code == 403


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"username"}),
        (
            {"username": "a b", "role": "owner", "responsible_id": NOBODY},
            {"username", "role", "responsible_id"},
        ),
        ({"username": "bot", "email": "bot@example.com"}, {"email"}),
    ],
)
def test_bad_input_names_every_field(panel: Client, body: dict[str, Any], fields: set[str]) -> None:
    answer = call(panel, "POST", "service-accounts", body)

    assert problem(answer) == (402, "record_invalid")
    assert set(answer.json()["errors"]) == fields
    assert not User.objects.service_accounts().exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "bot@example.com"}, "email"),
        ({"username": "other"}, "username"),
        ({"is_verified": True}, "is_verified"),
        ({"responsible_id": None}, "responsible_id"),
        ({"responsible_id": NOBODY}, "responsible_id"),
    ],
)
def test_what_it_cannot_have_is_refused(
    panel: Client, admin: User, change: dict[str, Any], field: str
) -> None:
    bot = create_service_account(actor=admin, username="bot", responsible=admin)
    answer = call(panel, "PATCH", f"users/{bot.pk}", {"name": "New", **change})

    assert problem(answer) == (402, "record_invalid")
    assert set(answer.json()["errors"]) == {field}
    assert User.objects.get(pk=bot.pk).name == ""
    for path in ("magic-link", "password"):
        assert problem(call(panel, "POST", f"users/{bot.pk}/{path}", {})) == (402, "record_invalid")


def test_keys_are_for_managers_and_the_responsible_person(
    panel: Client, browser_of: BrowserOf, admin: User, editor: User, viewer: User
) -> None:
    bot = create_service_account(actor=admin, username="bot", responsible=editor)
    path, body = f"users/{bot.pk}/api-keys", {"name": "ci"}
    mine, others = browser_of(editor), browser_of(viewer)
    created = call(mine, "POST", path, body)

    assert created.status_code == 201
    assert [row["name"] for row in mine.get(f"/api/v1/{path}").json()["results"]] == ["ci"]
    for answer in (call(others, "POST", path, body), others.get(f"/api/v1/{path}")):
        assert problem(answer) == (403, "forbidden")
    # A key of a person is created by that person alone.
    assert problem(call(panel, "POST", f"users/{viewer.pk}/api-keys", body)) == (403, "forbidden")
    assert call(mine, "DELETE", f"{path}/{created.json()['id']}").status_code == 204
    assert problem(call(others, "DELETE", f"{path}/x")) == (403, "forbidden")
    assert ApiKey.objects.get().revoked_at is not None


def test_a_key_creates_no_key_with_more_rights_than_its_own(owner: User, admin: User) -> None:
    bot = create_service_account(actor=owner, username="bot", responsible=owner, role="editor")
    key = made(admin, scopes=["read", "users"], networks=["127.0.0.0/8"]).text
    path = f"users/{bot.pk}/api-keys"
    refused = call_with(key, "POST", path, {"name": "ci", "scopes": ["read", "write"]})

    assert problem(refused) == (402, "record_invalid")
    created = call_with(key, "POST", path, {"name": "ci"}).json()
    assert created["networks"] == ["127.0.0.0/8"]
