"""Many users at once by the API: users/import, users/export, invitations/batch."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Invitation, Membership, User
from accounts.services.bulk.planning import OWNER_NOT_ALLOWED
from accounts.services.groups.changes import create_group
from audit.models import AuditEvent
from tests.accounts.test_import import PBKDF2
from tests.api.calls import from_now
from tests.api.keys import made

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
IMPORT, EXPORT, BATCH = "/api/v1/users/import", "/api/v1/users/export", "/api/v1/invitations/batch"


def client_of(user: User, scopes: tuple[str, ...] = ("users",)) -> Client:
    return Client(headers={"x-api-key": made(user, scopes=list(scopes)).text})


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


ANNA = {"email": "Anna@example.com", "name": "Anna", "username": "anna", "role": "editor",
        "is_active": False, "is_verified": True, "created_at": "2024-01-02T03:04:05Z",
        "password_hash": PBKDF2}  # fmt: skip


# Import


def test_users_are_imported(owner: User) -> None:
    answer = post(client_of(owner), IMPORT, {"users": [ANNA, {"email": "bert@example.com"}]})

    assert (answer.status_code, answer.json()) == (200, {
        "is_done": True, "created": 2, "updated": 0, "unchanged": 0, "wrong": 0, "problems": [],
    })  # fmt: skip
    anna = User.objects.get(email="anna@example.com")
    assert (anna.role, anna.is_active, anna.is_verified, anna.password) == (
        "editor", False, True, PBKDF2,
    )  # fmt: skip
    event = AuditEvent.objects.get(action="account:user:import")
    assert (event.actor_id, event.detail["created"]) == (owner.pk, 2)


def test_one_wrong_user_cancels_all_and_each_is_named(owner: User) -> None:
    users = [{"email": "bert@example.com"}, {"email": "nope"}, {"email": "BERT@example.com"},
             {"email": "x@example.com", "role": "owner"}]  # fmt: skip

    answer = post(client_of(owner), IMPORT, {"users": users})

    assert (answer.status_code, answer.json()["code"]) == (402, "record_invalid")
    assert answer.json()["errors"] == {
        "users.1.email": ["Enter one email address, like name@example.com."],
        "users.2.email": ["users.0 has this address, too."],
        "users.3.role": [OWNER_NOT_ALLOWED],
    }
    assert User.objects.count() == 1


def test_the_others_are_imported_if_errors_are_skipped(owner: User) -> None:
    body = {"users": [{"email": "bert@example.com"}, {"email": "nope"}], "skip_errors": True}

    answer = post(client_of(owner), IMPORT, body)

    assert answer.status_code == 200
    assert (answer.json()["created"], answer.json()["wrong"]) == (1, 1)
    assert answer.json()["problems"] == [
        {"index": 1, "field": "email", "email": "nope",
         "detail": "Enter one email address, like name@example.com."}
    ]  # fmt: skip


def test_a_dry_run_changes_nothing(owner: User) -> None:
    body = {"users": [ANNA, {"email": "nope"}], "dry_run": True}

    answer = post(client_of(owner), IMPORT, body)

    assert answer.status_code == 200
    found = answer.json()
    assert (found["is_done"], found["created"], found["wrong"]) == (False, 1, 1)
    assert User.objects.count() == 1


def test_a_repeated_import_changes_nothing(owner: User) -> None:
    client = client_of(owner)
    post(client, IMPORT, {"users": [ANNA]})

    assert post(client, IMPORT, {"users": [ANNA]}).json()["unchanged"] == 1


def test_existing_users_are_updated_if_asked_for(owner: User, viewer: User) -> None:
    body = {"users": [{"email": viewer.email, "role": "editor", "is_active": False}]}

    assert post(client_of(owner), IMPORT, body | {"update_existing": True}).json()["updated"] == 1

    viewer.refresh_from_db()
    assert (viewer.role, viewer.is_active) == ("editor", False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "users"),
        ({"users": []}, "users"),
        ({"users": [{"email": "a@b.c"}] * 1001}, "users"),
        ({"users": [{}]}, "users.0.email"),
        ({"users": [{"email": "a@b.c"}], "default_role": "king"}, "default_role"),
    ],
)
def test_a_wrong_body_names_the_field(owner: User, body: Any, field: str) -> None:
    answer = post(client_of(owner), IMPORT, body)

    assert answer.status_code == 402
    assert field in str(answer.json()["errors"])


def test_an_admin_imports_lower_roles_only(admin: User) -> None:
    answer = post(client_of(admin), IMPORT, {"users": [{"email": "a@b.de", "role": "admin"}]})

    assert answer.json()["errors"] == {"users.0.role": ["You may only give roles below your own."]}


# Export


def test_users_are_exported_without_passwords(owner: User, viewer: User) -> None:
    answer: Any = client_of(owner).get(EXPORT)

    content = b"".join(answer.streaming_content).decode()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert "viewer@example.com,Vera Viewer,vera,viewer,active,yes," in content
    assert owner.password not in content
    assert AuditEvent.objects.get(action="account:user:export").detail["count"] == 2


def test_an_export_is_filtered(owner: User, viewer: User) -> None:
    answer: Any = client_of(owner).get(EXPORT, {"role": "viewer", "is_active": "true"})

    assert b"".join(answer.streaming_content).count(b"\n") == 2
    assert client_of(owner).get(EXPORT, {"role": "king"}).status_code == 402


# Invitations


def test_a_list_is_invited_and_each_link_is_answered(owner: User, viewer: User) -> None:
    people = [{"email": "nina@example.com", "name": "Nina"}, {"email": viewer.email},
              {"email": "nope"}]  # fmt: skip

    answer = post(
        client_of(owner),
        BATCH,
        {"people": people, "role": "editor", "expires_at": from_now(hours=1)},
    )

    found = answer.json()
    assert (answer.status_code, found["invited"]) == (200, 1)
    assert [each["outcome"] for each in found["results"]] == ["invited", "has_account", "invalid"]
    nina = Invitation.objects.get()
    assert found["results"][0] == {
        "email": "nina@example.com", "outcome": "invited", "detail": "", "id": str(nina.pk),
        "link": found["results"][0]["link"], "mailed": False,
        "expires_at": nina.expires_at.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    assert "/invitation/" in found["results"][0]["link"]
    assert (nina.name, nina.role, nina.invited_by) == ("Nina", "editor", owner)


def test_a_repeated_list_invites_nobody(owner: User) -> None:
    body = {"people": [{"email": "nina@example.com"}]}
    post(client_of(owner), BATCH, body)

    again = post(client_of(owner), BATCH, body).json()

    assert (again["invited"], again["results"][0]["outcome"]) == (0, "already_invited")
    assert post(client_of(owner), BATCH, body | {"resend": True}).json()["invited"] == 1


def test_a_dry_run_invites_nobody(owner: User) -> None:
    body = {"people": [{"email": "nina@example.com"}], "dry_run": True}

    found = post(client_of(owner), BATCH, body).json()

    assert (found["invited"], found["results"][0]["outcome"]) == (0, "invited")
    assert not Invitation.objects.exists()


def test_a_list_is_invited_until_a_time(owner: User) -> None:
    until = from_now(days=20)
    body = {"people": [{"email": "nina@example.com"}], "role": "editor"}
    ends = {"role_until": until, "role_after": "viewer"}

    wrong = [
        post(client_of(owner), BATCH, body | {"role_until": until}),
        post(client_of(owner), BATCH, body | ends | {"role_after": "editor", "dry_run": True}),
    ]
    done = post(client_of(owner), BATCH, body | ends)

    assert [(each.status_code, [*each.json()["errors"]]) for each in wrong] == [
        (402, ["role_after"])
    ] * 2
    assert done.json()["invited"] == 1
    nina = Invitation.objects.get()
    assert (nina.role, nina.role_after) == ("editor", "viewer")
    assert nina.role_until == datetime.fromisoformat(until)


def test_users_are_imported_with_ends(owner: User) -> None:
    until = from_now(days=20)
    user = {"email": "nina@example.com", "role": "editor", "expires_at": until}

    done = post(
        client_of(owner), IMPORT, {"users": [user | {"role_until": until, "role_after": "viewer"}]}
    )
    wrong = post(
        client_of(owner), IMPORT, {"users": [{"email": "otto@example.com", "role_until": until}]}
    )

    assert done.json()["created"] == 1
    nina = User.objects.get(email="nina@example.com")
    assert nina.expires_at == nina.role_until
    assert nina.role_after == "viewer"
    assert (wrong.status_code, [*wrong.json()["errors"]]) == (402, ["users.0.role_after"])
    assert not User.objects.filter(email="otto@example.com").exists()


def test_users_are_imported_into_groups(owner: User) -> None:
    create_group(actor=SYSTEM, name="finance")
    nina = {"email": "nina@example.com", "groups": ["Finance until 2099-01-31T12:00:00Z"]}
    otto = {"email": "otto@example.com", "groups": ["finanse"]}

    wrong = post(client_of(owner), IMPORT, {"users": [nina, otto]})
    done = post(client_of(owner), IMPORT, {"users": [nina, {**otto, "groups": []}]})

    assert (wrong.status_code, [*wrong.json()["errors"]]) == (402, ["users.1.groups"])
    assert "Did you mean “finance”?" in wrong.json()["errors"]["users.1.groups"][0]
    assert done.json()["created"] == 2
    row = Membership.objects.get()
    assert (row.user.email, row.until) == (nina["email"], datetime(2099, 1, 31, 12, tzinfo=UTC))


def test_an_admin_invites_to_lower_roles_only(admin: User) -> None:
    body = {"people": [{"email": "nina@example.com"}], "role": "admin"}

    assert post(client_of(admin), BATCH, body).status_code == 403
    assert not Invitation.objects.exists()


# Who may


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_lower_roles_may_none_of_it(make_user: MakeUser, role: str) -> None:
    client = client_of(make_user(role), ("read",))

    for answer in (post(client, IMPORT, {"users": [ANNA]}), client.get(EXPORT),
                   post(client, BATCH, {"people": [{"email": "a@b.de"}]})):  # fmt: skip
        assert answer.status_code == 403
    assert User.objects.count() == 1


def test_a_key_needs_the_scope_users(owner: User) -> None:
    client = client_of(owner, ("read", "write"))

    for answer in (post(client, IMPORT, {"users": [ANNA]}), client.get(EXPORT),
                   post(client, BATCH, {"people": [{"email": "a@b.de"}]})):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
