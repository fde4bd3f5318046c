"""Service accounts in the admin panel: their list, their page, keys, handover, the dashboard."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import users
from accounts.services.service_accounts import create_service_account
from api.models import ApiKey
from audit.models import AuditEvent
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
LIST, PEOPLE = "/admin/accounts/serviceaccount/", "/admin/accounts/user/"
FORM = {"username": "deploy", "name": "Deployments", "role": "viewer", "role_until": "",
        "role_after": "", "expires_at": ""}  # fmt: skip


@pytest.fixture
def panel(admin: User, browser_of: Callable[[User], Client]) -> Client:
    return browser_of(admin)


@pytest.fixture
def bot(owner: User, editor: User) -> User:
    return create_service_account(
        actor=owner, username="bot", responsible=editor, role="editor", name="Nightly builds"
    )


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def test_one_is_added_given_a_key_disabled_enabled_and_deleted(panel: Client, admin: User) -> None:
    assert "Add a service account" in page(panel, LIST)
    assert f'value="{admin.email}"' in page(panel, f"{LIST}add/")
    answer = panel.post(f"{LIST}add/", FORM | {"responsible": admin.email})
    made_one = User.objects.service_accounts().get()
    own = f"{LIST}{made_one.pk}/"

    assert answer["Location"].endswith(f"{made_one.pk}/change/")
    assert (made_one.email, made_one.name, made_one.responsible) == ("deploy", "Deployments", admin)
    text = page(panel, f"{own}change/")
    for absent in ("Get sign-in link", "password reset", "Signed-in devices", "second factor",
                   "Offboard", "not verified"):  # fmt: skip
        assert absent not in text
    form = {"name": "ci", "scopes": "read", "life": "30", "date": "", "networks": ""}
    assert page(panel, f"{own}new-key/").count('name="scopes"') == 1  # a viewer may only read
    shown = panel.post(f"{own}new-key/", form)
    found = re.search(r"gth_\w+", shown.content.decode())
    assert found is not None
    assert shown["Cache-Control"].startswith("no-store")
    assert call_with(found[0]).json()["username"] == "deploy"
    assert found[0] not in page(panel, f"{own}change/")
    panel.post(f"{own}disable/")
    assert call_with(found[0]).status_code == 403
    panel.post(f"{own}enable/")
    assert User.objects.get(pk=made_one.pk).is_active
    assert "programs that use them" in page(panel, f"{own}delete/")
    assert panel.post(f"{own}delete/", {"post": "yes"})["Location"] == LIST
    assert not User.objects.service_accounts().exists()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"username": "a b"}, "Use letters, digits"),
        ({"username": "VERA"}, "Another account has this user name."),
        ({"role": "owner"}, "Select a valid choice"),
        ({"responsible": "nobody@example.com"}, "No person has this address or user name."),
        ({"responsible": ""}, "This field is required."),
        ({"expires_at": "2001-01-01T00:00"}, "Choose a time in the future."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    panel: Client, viewer: User, change: dict[str, str], text: str
) -> None:
    answer = panel.post(f"{LIST}add/", FORM | {"responsible": viewer.email} | change)

    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert not User.objects.service_accounts().exists()


def test_its_role_and_responsible_person_are_changed(
    panel: Client, viewer: User, bot: User
) -> None:
    own = f"{LIST}{bot.pk}/change/"
    changed = FORM | {"name": "Nightly builds", "responsible": "vera"}
    assert panel.post(own, changed).status_code == 302
    stored = User.objects.get(pk=bot.pk)

    assert (stored.username, stored.role, stored.responsible) == ("bot", "viewer", viewer)
    actions = AuditEvent.objects.filter(target_id=bot.pk).order_by("seq")
    assert list(actions.values_list("action", flat=True)) == [
        "account:service:create", "account:role:change", "account:service:hand-over",
    ]  # fmt: skip


def test_rank_decides(browser_of: Callable[[User], Client], owner: User, admin: User) -> None:
    high = create_service_account(actor=owner, username="high", responsible=owner, role="admin")
    panel, own = browser_of(admin), f"{LIST}{high.pk}/"

    assert 'name="name"' not in page(panel, f"{own}change/")
    for name in ("disable", "new-key", "delete"):
        assert panel.post(f"{own}{name}/", {"post": "yes"}).status_code == 403
    assert panel.post(f"{own}change/", FORM).status_code == 403
    assert User.objects.get(pk=high.pk).is_active


def test_people_and_service_accounts_are_listed_apart(panel: Client, bot: User) -> None:
    assert "Nightly builds" not in page(panel, PEOPLE)
    assert "Nightly builds" in page(panel, LIST)
    # Every other list links an account as a user.
    answer = panel.get(f"{PEOPLE}{bot.pk}/change/")
    assert answer["Location"] == f"{LIST}{bot.pk}/change/"
    # No action of the list of people reaches it.
    panel.post(PEOPLE, {"action": "get_login_url", "_selected_action": str(bot.pk)})
    assert not AuditEvent.objects.filter(action="link:login:issue").exists()


def test_the_key_of_one_is_revoked_on_its_page(panel: Client, bot: User) -> None:
    key = made(bot)
    assert "Revoke…" in page(panel, f"{LIST}{bot.pk}/change/")
    panel.post("/admin/api/apikey/", {
        "action": "revoke_chosen", "_selected_action": key.key.pk, "user_page": str(bot.pk),
    })  # fmt: skip

    assert call_with(key.text).status_code == 403


def test_offboarding_says_what_the_person_answered_for_and_hands_it_over(
    panel: Client, owner: User, editor: User, viewer: User, bot: User
) -> None:
    key = made(bot)
    high = create_service_account(actor=owner, username="high", responsible=editor, role="admin")
    assert "Answers for service accounts" in page(panel, f"{PEOPLE}{editor.pk}/change/")
    offboard = f"{PEOPLE}{editor.pk}/offboard/"
    asked = panel.post(offboard).content.decode()
    assert "bot" in asked
    assert "Hand these service accounts over" in asked
    wrong = panel.post(offboard, {"confirmed": "yes", "taker": editor.email})
    assert "Choose another person" in wrong.content.decode()
    assert User.objects.get(pk=editor.pk).is_active
    done = panel.post(offboard, {"confirmed": "yes", "taker": viewer.email}, follow=True)

    assert "1 service account was handed over to Vera Viewer." in done.content.decode()
    assert "Not handed over, because their role is not below your own: high" in (
        done.content.decode()
    )
    assert User.objects.get(pk=bot.pk).responsible == viewer
    assert User.objects.get(pk=high.pk).responsible == editor
    assert call_with(key.text).status_code == 200


def test_the_dashboard_and_the_list_name_accounts_without_a_responsible_person(
    panel: Client, owner: User, editor: User, bot: User
) -> None:
    assert "Nobody answers for" not in page(panel, "/admin/")
    users.delete_user(actor=owner, user=editor)

    assert "Nobody answers for 1 service account" in page(panel, "/admin/")
    assert "Nightly builds" in page(panel, f"{LIST}?responsible=nobody")
    assert "Nightly builds" not in page(panel, f"{LIST}?responsible=somebody")
    assert "Nobody answers for this service account" in page(panel, f"{LIST}{bot.pk}/change/")
