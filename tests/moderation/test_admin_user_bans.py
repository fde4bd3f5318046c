"""Bans in the user list: "Ban…" with its page in between, "Lift ban", and the word "Banned"."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from moderation.models import Ban
from tests.conftest import messages_of
from tests.moderation.history import banned

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
BrowserOf = Callable[..., Client]
LIST = "/admin/accounts/user/"
ANSWER = {"confirmed": "yes", "duration": "24h", "reason": "Rude."}


def act(client: Client, action: str, people: list[User], **more: str) -> HttpResponse:
    """Tick people and run an action; with `confirmed` answer its page in between."""
    ticked: dict[str, Any] = {
        "action": action,
        "_selected_action": [str(person.pk) for person in people],
    }
    return client.post(LIST, ticked | ({} if "confirmed" in more else {"index": "0"}) | more)


def notices(client: Client) -> list[str]:
    return messages_of(client.get(LIST))


def test_the_page_lists_affected_and_skipped_users(
    owner: User, admin: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    panel = browser_of(admin)

    answer = act(panel, "ban_people", [owner, admin, viewer, editor])

    assert {person.email for person in answer.context["people"]} == {viewer.email, editor.email}
    assert {(person.email, reason) for person, reason in answer.context["left_out"]} == {
        (owner.email, "You may only ban people whose role is below your own."),
        (admin.email, "You cannot ban yourself."),
    }
    page = answer.content.decode()
    assert page.count('name="_selected_action"') == 2
    assert str(owner.pk) not in page
    for label in ("1 hour", "24 hours", "7 days", "30 days", "until it is lifted"):
        assert f">{label}</option>" in page
    assert not Ban.objects.exists()


def test_a_confirmed_ban_ends_the_sessions(
    admin: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    panel, victim = browser_of(admin), browser_of(viewer)

    answer = act(panel, "ban_people", [viewer, editor], **ANSWER)

    assert answer.status_code == 302
    assert notices(panel) == ["2 done"]
    rows = {row.user: row for row in Ban.objects.select_related("user")}
    assert set(rows) == {viewer, editor}
    for row in rows.values():
        assert (row.kind, row.network, row.reason) == ("manual", "", "Rude.")
        assert (row.until, row.created_by) == (row.created_at + timedelta(hours=24), admin.pk)
    assert not BrowserSession.objects.filter(user=viewer).exists()
    assert victim.get("/account/").status_code == 302
    assert AuditEvent.objects.filter(action="moderation:ban:start", actor_id=admin.pk).count() == 2


@pytest.mark.parametrize(
    ("choice", "lasts"),
    [
        ("1h", timedelta(hours=1)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("30d", timedelta(days=30)),
        ("lifted", None),
    ],
)
def test_each_duration_is_applied(
    admin: User, viewer: User, browser_of: BrowserOf, choice: str, lasts: timedelta | None
) -> None:
    act(browser_of(admin), "ban_people", [viewer], **(ANSWER | {"duration": choice}))

    ban = Ban.objects.get()
    assert ban.until == (lasts if lasts is None else ban.created_at + lasts)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"duration": ""}, "duration"),
        ({"duration": "99y"}, "duration"),
    ],
)
def test_an_invalid_form_is_shown_again_with_its_error(
    admin: User, viewer: User, browser_of: BrowserOf, wrong: dict[str, str], field: str
) -> None:
    answer = act(browser_of(admin), "ban_people", [viewer], **(ANSWER | wrong))

    assert list(answer.context["form"].errors) == [field]
    assert answer.context["people"] == [viewer]
    assert not Ban.objects.exists()


def test_a_forged_form_cannot_ban_higher_ranks_or_oneself(
    owner: User, admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    panel = browser_of(admin)

    act(panel, "ban_people", [owner, admin, viewer], **ANSWER)

    assert notices(panel) == ["1 done, 1 skipped: You cannot ban yourself, 1 skipped: rank"]
    assert [row.user for row in Ban.objects.all()] == [viewer]


def test_the_last_owner_is_never_listed(owner: User, browser_of: BrowserOf) -> None:
    panel = browser_of(owner)

    answer = act(panel, "ban_people", [owner])

    assert answer.status_code == 302
    assert notices(panel) == ["No one was banned. You cannot ban yourself."]


def test_an_owner_bans_another_owner_but_not_themselves(
    owner: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    other = make_user("owner", "second@example.com")
    panel = browser_of(owner)

    assert act(panel, "ban_people", [owner, other]).context["people"] == [other]
    act(panel, "ban_people", [other], **ANSWER)

    assert [row.user for row in Ban.objects.all()] == [other]


@pytest.mark.parametrize("role", ["viewer", "editor", "none"])
def test_only_administrators_ban(
    role: str, viewer: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    panel = browser_of(make_user(role, "low@example.com"))

    assert act(panel, "ban_people", [viewer], **ANSWER).status_code == 403
    assert act(panel, "lift_bans_of_people", [viewer]).status_code == 403
    assert not Ban.objects.exists()


def test_lifting_ends_all_bans_of_the_selected_users(
    admin: User, owner: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    panel, now = browser_of(admin), timezone.now()
    for user in (viewer, viewer, owner):
        banned(user=user, since=now)

    act(panel, "lift_bans_of_people", [viewer, editor, owner], confirmed="yes")

    assert notices(panel) == ["1 done, 1 skipped: not banned, 1 skipped: rank"]
    active = Ban.objects.active(timezone.now())
    assert [row.user for row in active] == [owner]


def test_banned_users_have_a_badge_and_can_be_filtered(
    admin: User, viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    panel, now = browser_of(admin), timezone.now()
    banned(user=viewer, since=now)
    banned(user=editor, since=now - timedelta(days=1))
    mark = '<span class="state state-banned">Banned</span>'

    assert panel.get(LIST).content.decode().count(mark) == 1
    listed = panel.get(f"{LIST}?state=banned").context["cl"].result_list
    assert [person.email for person in listed] == [viewer.email]
    assert mark in panel.get(f"{LIST}{viewer.pk}/change/").content.decode()
    assert mark not in panel.get(f"{LIST}{editor.pk}/change/").content.decode()


def test_the_badge_costs_no_query_for_each_user(
    admin: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    panel = browser_of(admin)
    panel.get(LIST)
    with CaptureQueriesContext(connection) as few:
        panel.get(LIST)
    for _ in range(10):
        banned(user=make_user(), since=timezone.now())
    with CaptureQueriesContext(connection) as many:
        panel.get(LIST)

    assert len(few) == len(many)
