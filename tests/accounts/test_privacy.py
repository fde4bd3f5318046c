"""Export of own data, and deletion of the own account."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.services.privacy import export_own_data
from accounts.services.users import Profile, edit_profile
from audit.models import AuditEvent
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
Browse = Callable[[User], Client]


def test_a_user_exports_their_data_without_secrets(viewer: User, browser_of: Browse) -> None:
    answer = browser_of(viewer).post("/account/export")

    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="gatehouse-')
    data = answer.json()
    assert data["account"]["email"] == viewer.email
    assert data["sessions"][0]["device"] == "Firefox on Linux"
    assert [event["action"] for event in data["events"]] == [
        "account:data:export",
        "account:session:start",
    ]
    assert viewer.password not in answer.content.decode()


def test_the_export_contains_the_earlier_names(viewer: User, owner: User) -> None:
    edit_profile(actor=owner, user=viewer, profile=Profile(name="Other", username=""))

    (change,) = export_own_data(viewer)["profile_changes"]

    assert change["created_at"]
    assert change["before"] == {"username": "vera", "name": "Vera Viewer", "time_zone": ""}
    assert change["after"] == {"username": "", "name": "Other", "time_zone": ""}


def test_a_user_deletes_their_account(
    viewer: User, browser_of: Browse, mails: Callable[[], list]
) -> None:
    browser = browser_of(viewer)
    assert browser.get("/account/delete").status_code == 200

    answer = browser.post("/account/delete", {"proof": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=account-deleted")
    assert not User.objects.filter(pk=viewer.pk).exists()
    assert browser.get("/account/").status_code == 302
    assert [mail.recipient for mail in mails()] == ["viewer@example.com"]
    event = AuditEvent.objects.get(action="account:user:delete")
    assert (event.actor_id, event.target_id) == (viewer.pk, viewer.pk)
    assert "viewer@example.com" not in str(event.detail)


def test_deleting_the_account_needs_the_password(viewer: User, browser_of: Browse) -> None:
    answer = browser_of(viewer).post("/account/delete", {"proof": "wrong"})

    assert answer.status_code == 400
    assert User.objects.filter(pk=viewer.pk).exists()


def test_the_last_owner_cannot_delete_their_account(owner: User, browser_of: Browse) -> None:
    answer = browser_of(owner).post("/account/delete", {"proof": PASSWORD})

    assert answer.status_code == 400
    assert b"last active owner" in answer.content
    assert User.objects.filter(pk=owner.pk).exists()


def test_account_deletion_can_be_switched_off(
    viewer: User, browser_of: Browse, settings: Settings
) -> None:
    settings.ALLOW_ACCOUNT_DELETION = False

    assert browser_of(viewer).post("/account/delete", {"proof": PASSWORD}).status_code == 403

    assert User.objects.filter(pk=viewer.pk).exists()


@pytest.mark.parametrize(
    "field",
    [
        "role", "roles", "is_staff", "is_superuser", "is_active", "email", "email_verified_at",
        "is_verified", "groups", "user_permissions", "id", "password", "created_at",
        "credentials_valid_from",
        "setup_completed",
    ],
)  # fmt: skip
def test_users_change_only_their_name_and_user_name(
    viewer: User, browser_of: Browse, field: str
) -> None:
    browser = browser_of(viewer)
    before = User.objects.filter(pk=viewer.pk).values().get()

    browser.post("/account/", {"name": "New Name", "username": "vera", field: "owner"})

    after = User.objects.filter(pk=viewer.pk).values().get()
    search_text = f"{viewer.email}\nvera\nnew name"
    assert after == {**before, "name": "New Name", "search_text": search_text}
