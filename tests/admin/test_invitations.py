"""Invitations in the admin: who may invite and withdraw, and where the link is shown."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.roles import Role
from accounts.services.invitations import accept_invitation, invite, withdraw
from audit.models import AuditEvent
from mail.models import OutboxMail
from tests.admin.conftest import LIST as USERS
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
LIST = "/admin/accounts/invitation/"
ADD = f"{LIST}add/"
EMAIL = "new@example.com"
PHRASE = "seven quiet rivers under glass"
ROLES = [role.value for role in Role]
GIVES: dict[str, list[str]] = {
    "owner": ["owner", "admin", "editor", "viewer", "none"],
    "admin": ["editor", "viewer", "none"],
}


def typed(**changes: str) -> dict[str, str]:
    return {"email": EMAIL, "name": "Nina New", "role": "viewer", "days": "7"} | changes


def tick(client: Client, *rows: Invitation) -> Any:
    keys = [str(row.pk) for row in rows]
    return client.post(LIST, {"action": "withdraw_chosen", "_selected_action": keys, "index": "0"})


def said(client: Client) -> list[str]:
    return [str(message) for message in client.get(LIST).context["messages"]]


def shown(client: Client, query: str = "") -> list[str]:
    """The addresses in the list."""
    return [row.email for row in client.get(LIST + query).context["cl"].result_list]


def in_each_state(actor: User) -> None:
    """live@…, used@…, gone@… and old@example.com, invited in this order."""
    invite(actor=actor, email="live@example.com")
    used = invite(actor=actor, email="used@example.com")
    accept_invitation(used.url.rpartition("/")[2], name="", password=PHRASE)
    gone = invite(actor=actor, email="gone@example.com").invitation
    withdraw(actor=actor, invitation=gone)
    old = invite(actor=actor, email="old@example.com").invitation
    Invitation.objects.filter(pk=old.pk).update(expires_at=timezone.now())


# Inviting


@pytest.mark.parametrize(
    ("role", "status"),
    [("stranger", 302), ("none", 403), ("viewer", 403), ("editor", 403),
     ("admin", 200), ("owner", 200)],
)  # fmt: skip
@pytest.mark.parametrize("url", [LIST, ADD])
def test_only_administrators_see_invitations(
    as_role: AsRole, url: str, role: str, status: int
) -> None:
    browser, _administrator = as_role(role)

    assert browser.get(url).status_code == status


@pytest.mark.parametrize(
    ("role", "status"), [("stranger", 302), ("none", 403), ("viewer", 403), ("editor", 403)]
)
def test_only_administrators_can_invite(as_role: AsRole, role: str, status: int) -> None:
    browser, _person = as_role(role)

    assert browser.post(ADD, typed()).status_code == status

    assert not Invitation.objects.exists()


@pytest.mark.parametrize("actor_role", ["admin", "owner"])
@pytest.mark.parametrize("role", ROLES)
def test_an_administrator_can_give_exactly_the_offered_roles(
    as_role: AsRole, actor_role: str, role: str
) -> None:
    browser, administrator = as_role(actor_role)
    choices = browser.get(ADD).context["form"].fields["role"].choices
    assert [value for value, _label in choices] == GIVES[actor_role]

    answer = browser.post(ADD, typed(role=role))

    assert answer.status_code == 200
    rows = list(Invitation.objects.values_list("email", "name", "role", "invited_by"))
    is_given = role in GIVES[actor_role]
    assert rows == [(EMAIL, "Nina New", role, administrator.pk)] * is_given
    assert ("form" in answer.context) is not is_given


def test_the_link_is_shown_once_and_not_stored(as_role: AsRole) -> None:
    browser, _owner = as_role("owner")

    answer = browser.post(ADD, typed(days="3"))

    link = read(answer.content)
    (field,) = [each for each in link.all("input") if each.attributes.get("id")]
    url = field.attributes["value"]
    row = Invitation.objects.get()
    assert row.expires_at - row.created_at == timedelta(days=3)
    assert Client().get(url.removeprefix("http://localhost:8000")).status_code == 200
    assert "no-store" in answer["Cache-Control"].split(", ")
    assert answer.content.decode().count(url) == 1
    token = url.rpartition("/")[2]
    pages = [LIST, f"{LIST}{row.pk}/change/", USERS, "/admin/audit/auditevent/", ADD]
    assert [page for page in pages if token in browser.get(page).content.decode()] == []
    assert row.digest not in browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert token not in str(dict(browser.session))
    assert [token in str(event.detail) for event in AuditEvent.objects.all()] == [False, False]


def test_the_page_says_whether_it_was_mailed(as_role: AsRole, settings: Any) -> None:
    browser, _owner = as_role("owner")

    assert b"No mail can be sent now" in browser.post(ADD, typed()).content
    settings.MAIL_TRANSPORT = "tests.accounts.invitation_helpers.some_transport"
    assert b"It is on its way by mail." in browser.post(ADD, typed()).content

    assert [mail.recipient for mail in OutboxMail.objects.all()] == [EMAIL, EMAIL]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "operator-owner@example.com"}, "email"),
        ({"role": "emperor"}, "role"),
        ({"days": "365"}, "days"),
        ({"days": "x"}, "days"),
    ],
)
def test_an_invalid_form_names_the_field_and_invites_no_one(
    as_role: AsRole, wrong: dict[str, str], field: str
) -> None:
    browser, _owner = as_role("owner")

    answer = browser.post(ADD, typed(**wrong))

    assert list(answer.context["form"].errors) == [field]
    assert not Invitation.objects.exists()


def test_both_lists_lead_to_the_form(as_role: AsRole) -> None:
    browser, _admin = as_role("admin")

    # The list of invitations is still empty, and leads there itself.
    for page, times in ((LIST, 2), (USERS, 1)):
        links = [each.attributes["href"] for each in read(browser.get(page).content).all("a")]
        assert links.count(ADD) == times


# Seeing


def test_the_list_shows_every_invitation_and_filters_by_state(as_role: AsRole, owner: User) -> None:
    in_each_state(owner)
    browser, _admin = as_role("admin")

    assert [name.partition("@")[0] for name in shown(browser)] == ["old", "gone", "used", "live"]
    for state, name in (("live", "live"), ("used", "used"), ("replaced", "gone")):
        assert shown(browser, f"?state={state}") == [f"{name}@example.com"]
    assert shown(browser, "?state=expired") == ["old@example.com"]
    assert shown(browser, "?q=GONE@") == ["gone@example.com"]
    text = browser.get(LIST).content.decode()
    for state in ("Open", "Accepted", "Withdrawn or replaced", "Expired"):
        assert f">{state}</span>" in text


def test_the_page_of_an_invitation_shows_inviter_and_state(as_role: AsRole, owner: User) -> None:
    in_each_state(owner)
    invite(actor=SYSTEM, email=EMAIL)
    browser, _admin = as_role("admin")

    used = Invitation.objects.get(email="used@example.com")
    text = browser.get(f"{LIST}{used.pk}/change/").content.decode()
    assert f"/admin/accounts/user/{owner.pk}/change/" in text
    assert f"/admin/accounts/user/{used.user_id}/change/" in text
    system = Invitation.objects.get(email=EMAIL)
    assert ">system<" in browser.get(f"{LIST}{system.pk}/change/").content.decode()


def test_an_invitation_cannot_be_edited_or_deleted(as_role: AsRole, owner: User) -> None:
    row = invite(actor=owner, email=EMAIL).invitation
    browser, _owner = as_role("owner")

    assert browser.post(f"{LIST}{row.pk}/change/", typed(role="owner")).status_code == 403
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403

    row.refresh_from_db()
    assert row.role == "viewer"


# Withdrawing


@pytest.mark.parametrize("actor_role", ["admin", "owner"])
@pytest.mark.parametrize("role", ROLES)
def test_an_administrator_withdraws_invitations_to_roles_they_may_give(
    as_role: AsRole, actor_role: str, role: str
) -> None:
    row = invite(actor=SYSTEM, email=EMAIL, role=role).invitation
    browser, administrator = as_role(actor_role)

    tick(browser, row)

    row.refresh_from_db()
    is_given = role in GIVES[actor_role]
    assert row.state(timezone.now()) == ("replaced" if is_given else "live")
    events = AuditEvent.objects.filter(action="account:invitation:withdraw")
    assert [event.actor_id for event in events] == [administrator.pk] * is_given


def test_ended_invitations_are_skipped_and_reported(as_role: AsRole, owner: User) -> None:
    in_each_state(owner)
    browser, _owner = as_role("owner")

    tick(browser, *Invitation.objects.all())

    assert said(browser) == [
        "1 invitation is withdrawn.",
        "Skipped 3: This invitation has already ended.",
    ]
    assert shown(browser, "?state=live") == []


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_administrators_withdraw_invitations(as_role: AsRole, owner: User, role: str) -> None:
    row = invite(actor=owner, email=EMAIL).invitation
    browser, _person = as_role(role)

    assert tick(browser, row).status_code == 403

    row.refresh_from_db()
    assert row.state(timezone.now()) == "live"
