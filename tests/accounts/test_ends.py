"""Access and roles until a time: what holds follows the clock, and the worker writes it down."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import access_policy
from accounts.actors import SYSTEM
from accounts.models import BrowserSession, EndReminder, Invitation, User
from accounts.roles import Role
from accounts.services.bulk.invitations import invite_many, send_again
from accounts.services.ended_access import send_reminders, write_down_ended
from accounts.services.invitations import accept_invitation, invite
from accounts.services.ranks import require_rank_now
from accounts.services.users import (
    change_role,
    create_user,
    delete_user,
    disable_user,
    enable_user,
    set_expiry,
)
from accounts.user_files.address_list import parse_recipients
from api.tokens.jwt import AccessToken
from api.tokens.refresh_tokens import start_by_password
from audit.models import AuditEvent
from core.errors import AccessDenied, Forbidden, LastOwner, RecordInvalid
from mail.models import OutboxMail
from tests.api.keys import call_with, made, problem
from tests.conftest import text_of

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], datetime]
MakeUser = Callable[..., User]
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def in_(span: timedelta) -> datetime:
    return timezone.now() + span


def stored(user: User, **fields: Any) -> User:
    """The user after these columns were written past every service."""
    User.objects.filter(pk=user.pk).update(**fields)
    return User.objects.get(pk=user.pk)


# What holds, without the worker


def test_a_role_that_has_ended_is_the_one_that_follows(editor: User, at_time: AtTime) -> None:
    change_role(actor=SYSTEM, user=editor, role="admin", until=in_(DAY), then="viewer")
    before = User.objects.get(pk=editor.pk)
    at_time(DAY + SECOND)

    after = User.objects.get(pk=editor.pk)

    assert (before.role, before.is_staff) == ("admin", True)
    assert (after.role, after.is_staff, after.ended_role) == ("viewer", False, "admin")
    assert User.objects.only("role").get(pk=editor.pk).role == "viewer"
    assert Invitation(invited_by=after).invited_by.role == "viewer"
    before.refresh_from_db(fields=["role"])
    assert before.role == "viewer"


def test_it_ends_at_that_moment_exactly(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    end = timezone.now().replace(microsecond=0) + DAY
    change_role(actor=SYSTEM, user=viewer, role="editor", until=end, then="viewer")
    set_expiry(actor=SYSTEM, user=viewer, expires_at=end)

    monkeypatch.setattr(timezone, "now", lambda: end - timedelta(microseconds=1))
    before = User.objects.get(pk=viewer.pk)
    assert (before.role, access_policy.get_denial(before)) == ("editor", None)
    monkeypatch.setattr(timezone, "now", lambda: end)
    after = User.objects.get(pk=viewer.pk)
    denial = access_policy.get_denial(after)

    assert after.role == "viewer"
    assert denial is not None
    assert denial.code == "account_expired"


def test_a_session_sees_the_ended_role_at_once(
    editor: User, owner: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    change_role(actor=SYSTEM, user=editor, role="admin", until=in_(timedelta(minutes=1)),
                then="viewer")  # fmt: skip
    client = browser_of(editor)
    assert client.get("/admin/accounts/user/").status_code == 200

    at_time(timedelta(minutes=1))

    assert client.get("/admin/accounts/user/").status_code == 403


def test_sessions_keys_tokens_and_passwords_of_an_ended_account_are_refused(
    editor: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    set_expiry(actor=SYSTEM, user=editor, expires_at=in_(timedelta(minutes=1)))
    client, key = browser_of(editor), made(editor).text
    pair = start_by_password(User.objects.get(pk=editor.pk), timezone.now())

    at_time(timedelta(minutes=1))

    assert client.get("/account/").status_code == 302
    assert problem(call_with(key)) == (403, "account_expired")
    refreshed = Client().post(
        "/api/v1/auth/token/refresh", {"refresh": pair.refresh}, "application/json"
    )
    assert (refreshed.status_code, refreshed.json()["code"]) == (403, "account_expired")
    signed_in = Client().post(
        "/api/v1/auth/token",
        {"email": editor.email, "password": "correct horse battery staple"},
        "application/json",
    )
    assert (signed_in.status_code, signed_in.json()["code"]) == (403, "account_expired")


def test_the_scopes_of_a_key_follow_the_ended_role(editor: User, at_time: AtTime) -> None:
    change_role(actor=SYSTEM, user=editor, role="admin", until=in_(DAY), then="viewer")
    key = made(User.objects.get(pk=editor.pk), scopes=["users"]).text
    assert call_with(key, "GET", "users").status_code == 200

    at_time(DAY)

    assert problem(call_with(key, "GET", "users"))[0] == 403


def test_a_token_names_a_role_no_longer_than_it_holds(editor: User) -> None:
    end = in_(timedelta(minutes=2))
    change_role(actor=SYSTEM, user=editor, role="admin", until=end, then="viewer")

    pair = start_by_password(User.objects.get(pk=editor.pk), timezone.now())

    claims = AccessToken.read(pair.access).payload
    assert claims["role"] == "admin"
    assert claims["exp"] == int(end.timestamp())
    assert pair.expires_in <= 120


def test_an_administrator_whose_role_has_ended_changes_no_user(
    editor: User, viewer: User, at_time: AtTime
) -> None:
    change_role(actor=SYSTEM, user=editor, role="admin", until=in_(DAY), then="viewer")
    actor = User.objects.get(pk=editor.pk)

    at_time(DAY)

    with pytest.raises(AccessDenied):
        disable_user(actor=actor, user=viewer)
    assert User.objects.get(pk=viewer.pk).is_active


def test_the_rank_of_a_target_is_the_one_that_holds(
    admin: User, editor: User, at_time: AtTime
) -> None:
    change_role(actor=SYSTEM, user=editor, role="owner", until=in_(DAY), then="viewer")
    with transaction.atomic(), pytest.raises(Forbidden):
        require_rank_now(admin, User.objects.get(pk=editor.pk))

    at_time(DAY)

    with transaction.atomic():
        require_rank_now(admin, editor)
    assert editor.role == "viewer"


# What may be chosen


@pytest.mark.parametrize(
    ("until", "then", "field"),
    [
        (-SECOND, "viewer", "role_until"),
        (DAY, "", "role_after"),
        (DAY, "editor", "role_after"),
        (DAY, "admin", "role_after"),
        (DAY, "king", "role_after"),
        (None, "viewer", "role_until"),
    ],
)
def test_ends_that_make_no_sense_are_refused_by_field(
    viewer: User, until: timedelta | None, then: str, field: str
) -> None:
    end = None if until is None else in_(until)

    with pytest.raises(RecordInvalid) as refused:
        change_role(actor=SYSTEM, user=viewer, role="editor", until=end, then=then)

    assert [*refused.value.errors] == [field]
    assert User.objects.get(pk=viewer.pk).role == "viewer"


def test_an_account_cannot_end_in_the_past(viewer: User) -> None:
    with pytest.raises(RecordInvalid) as refused:
        set_expiry(actor=SYSTEM, user=viewer, expires_at=in_(-SECOND))

    assert [*refused.value.errors] == ["expires_at"]


def test_a_new_account_tells_all_faults_at_once() -> None:
    with pytest.raises(RecordInvalid) as refused:
        create_user(
            actor=SYSTEM, email="wrong", role="editor", expires_at=in_(-DAY), role_until=in_(-DAY)
        )

    assert {*refused.value.errors} == {"email", "expires_at", "role_until", "role_after"}


def test_the_database_keeps_end_and_following_role_together(viewer: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        stored(viewer, role_until=in_(DAY))
    with pytest.raises(IntegrityError), transaction.atomic():
        stored(viewer, role_after="none")


@pytest.mark.parametrize("then", ["editor", "viewer"])
def test_an_end_may_be_moved_and_removed_without_signing_anybody_out(
    admin: User, browser_of: BrowserOf, then: str
) -> None:
    change_role(actor=SYSTEM, user=admin, role="admin", until=in_(DAY), then="viewer")
    client = browser_of(admin)

    change_role(actor=SYSTEM, user=admin, role="admin", until=in_(2 * DAY), then=then)
    moved = User.objects.get(pk=admin.pk)
    change_role(actor=SYSTEM, user=admin, role="admin")

    assert moved.role_after == then
    assert User.objects.get(pk=admin.pk).role_until is None
    assert client.get("/account/").status_code == 200


# The last owner


def test_the_last_owner_without_an_end_keeps_everything(owner: User, make_user: MakeUser) -> None:
    ends: list[dict[str, Any]] = [
        {"expires_at": in_(DAY)},
        {"role_until": in_(DAY), "role_after": "viewer"},
    ]
    for number, fields in enumerate(ends):
        stored(make_user("owner", f"other{number}@example.com"), **fields)

    for change in (
        lambda: change_role(actor=SYSTEM, user=owner, role="owner", until=in_(DAY), then="admin"),
        lambda: change_role(actor=SYSTEM, user=owner, role="viewer"),
        lambda: set_expiry(actor=SYSTEM, user=owner, expires_at=in_(DAY)),
        lambda: disable_user(actor=SYSTEM, user=owner),
        lambda: delete_user(actor=SYSTEM, user=owner),
    ):
        with pytest.raises(LastOwner):
            change()

    kept = User.objects.get(pk=owner.pk)
    assert (kept.role, kept.role_until, kept.expires_at, kept.is_active) == (
        "owner", None, None, True,
    )  # fmt: skip


def test_an_owner_until_a_time_can_be_lowered(owner: User, make_user: MakeUser) -> None:
    other = make_user("owner", "other@example.com")
    change_role(actor=owner, user=other, role="owner", until=in_(DAY), then="admin")

    assert change_role(actor=owner, user=other, role="viewer").role == "viewer"


# The worker


def test_the_worker_writes_an_ended_role_down(
    editor: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    until = in_(timedelta(minutes=1))
    change_role(actor=SYSTEM, user=editor, role="admin", until=until, then="viewer")
    browser_of(editor)
    assert write_down_ended() == 0

    at_time(timedelta(minutes=1))
    handled = [write_down_ended(), write_down_ended()]

    assert handled == [1, 0]
    row = User.all_objects.filter(pk=editor.pk).values("role", "role_until", "role_after").get()
    assert row == {"role": "viewer", "role_until": None, "role_after": ""}
    assert not BrowserSession.objects.filter(user=editor).exists()
    event = AuditEvent.objects.filter(action="account:role:change").latest("seq")
    assert event.detail == {
        "before": "admin",
        "before_until": until.isoformat(),
        "before_then": "viewer",
        "after": "viewer",
        "reason": "time is up",
    }
    assert event.actor_id is None


def test_the_worker_disables_an_ended_account(editor: User, at_time: AtTime) -> None:
    set_expiry(actor=SYSTEM, user=editor, expires_at=in_(DAY))
    key = made(editor)

    at_time(DAY)
    handled = [write_down_ended(), write_down_ended()]

    assert handled == [1, 0]
    ended = User.objects.get(pk=editor.pk)
    assert not ended.is_active
    assert ended.keys_valid_from > key.key.created_at
    event = AuditEvent.objects.get(action="account:user:disable")
    assert event.detail == {"reason": "time is up"}


def test_enabling_an_ended_account_removes_its_end(owner: User, editor: User, at_time: AtTime
) -> None:  # fmt: skip
    set_expiry(actor=owner, user=editor, expires_at=in_(DAY))
    at_time(DAY)
    write_down_ended()

    enable_user(actor=SYSTEM, user=editor)

    user = User.objects.get(pk=editor.pk)
    assert (user.is_active, user.expires_at) == (True, None)
    assert access_policy.may_act(user)


# Reminders


def test_reminders_are_sent_once_seven_days_and_one_day_before(
    owner: User, admin: User, editor: User, at_time: AtTime, mails: Callable[[], list[OutboxMail]]
) -> None:
    change_role(actor=owner, user=editor, role="admin", until=in_(10 * DAY), then="viewer")

    counts = []
    for day in (2, 3, 3, 5, 9, 9, 11):
        at_time(day * DAY)
        counts.append(send_reminders())

    assert counts == [0, 1, 0, 0, 1, 0, 0]
    notices = [(mail.kind, mail.recipient) for mail in mails()]
    # A person whose role is admin is managed by owners alone.
    assert (
        notices
        == [
            ("access-ends", "editor@example.com"),
            ("access-of-people-ends", "owner@example.com"),
        ]
        * 2
    )
    texts = [text_of(mail) for mail in mails()]
    assert "Your role Admin ends on" in texts[0]
    assert "Afterwards your role is Viewer" in texts[0]
    assert "- Edgar Editor: the role Admin ends on" in texts[1]


def test_administrators_get_one_mail_about_all_people(
    owner: User, admin: User, make_user: MakeUser, at_time: AtTime,
    mails: Callable[[], list[OutboxMail]],
) -> None:  # fmt: skip
    for number in range(3):
        person = make_user("viewer", f"p{number}@example.com", name=f"Person {number}")
        set_expiry(actor=owner, user=person, expires_at=in_(8 * DAY))

    at_time(2 * DAY)

    assert send_reminders() == 3
    to_admins = [mail for mail in mails() if mail.kind == "access-of-people-ends"]
    assert sorted(mail.recipient for mail in to_admins) == ["admin@example.com", owner.email]
    assert [text_of(to_admins[0]).count(f"Person {number}:") for number in range(3)] == [1, 1, 1]
    assert to_admins[0].subject == "Access of 3 people ends soon"


def test_an_end_that_is_near_when_it_is_set_reminds_of_what_is_left(
    owner: User, editor: User, at_time: AtTime, mails: Callable[[], list[OutboxMail]]
) -> None:
    set_expiry(actor=owner, user=editor, expires_at=in_(3 * DAY))

    assert send_reminders() == 0
    at_time(2 * DAY)
    assert send_reminders() == 1
    assert [mail.kind for mail in mails()] == ["access-ends", "access-of-people-ends"]


def test_a_worker_that_stood_still_sends_the_nearest_reminder_only(
    owner: User, editor: User, at_time: AtTime, mails: Callable[[], list[OutboxMail]]
) -> None:
    set_expiry(actor=owner, user=editor, expires_at=in_(10 * DAY))

    at_time(9 * DAY + SECOND)

    assert [send_reminders(), send_reminders()] == [1, 0]
    assert len(mails()) == 2
    assert sorted(EndReminder.objects.values_list("days", flat=True)) == [1, 7]


def test_another_end_has_reminders_of_its_own(owner: User, editor: User, at_time: AtTime) -> None:
    set_expiry(actor=owner, user=editor, expires_at=in_(8 * DAY))
    at_time(2 * DAY)
    assert send_reminders() == 1

    set_expiry(actor=SYSTEM, user=editor, expires_at=in_(8 * DAY))
    assert send_reminders() == 0
    at_time(4 * DAY)

    assert send_reminders() == 1


# Invitations


def test_an_invitation_gives_a_role_until_a_time(owner: User) -> None:
    end = in_(5 * DAY)
    issued = invite(
        actor=owner, email="new@example.com", role="admin", role_until=end, role_after="viewer"
    )

    user = accept_invitation(
        issued.url.rpartition("/")[2], name="New", password="seven quiet rivers under glass"
    )

    assert (user.role, user.role_until, user.role_after) == ("admin", end, "viewer")


def test_an_invitation_that_is_accepted_late_gives_what_follows(
    owner: User, at_time: AtTime
) -> None:
    issued = invite(
        actor=owner, email="new@example.com", role="admin", role_until=in_(DAY), role_after="viewer"
    )
    at_time(2 * DAY)

    user = accept_invitation(
        issued.url.rpartition("/")[2], name="New", password="seven quiet rivers under glass"
    )

    assert (user.role, user.role_until, user.role_after) == ("viewer", None, "")


def test_an_invitation_may_not_promise_what_makes_no_sense(owner: User) -> None:
    with pytest.raises(RecordInvalid) as refused:
        invite(actor=owner, email="new@example.com", role="viewer", role_until=in_(DAY),
               role_after="viewer")  # fmt: skip

    assert [*refused.value.errors] == ["role_after"]
    assert not Invitation.objects.exists()


def test_role_none_is_the_lowest_that_follows(viewer: User) -> None:
    changed = change_role(actor=SYSTEM, user=viewer, role="viewer", until=in_(DAY), then="none")

    assert (changed.role, changed.role_after) == ("viewer", Role.NONE)


def test_an_invitation_that_is_sent_again_keeps_the_end_of_its_role(owner: User) -> None:
    end = in_(5 * DAY)
    issued = invite(
        actor=owner, email="new@example.com", role="admin", role_until=end, role_after="viewer"
    )

    (line,) = send_again([issued.invitation], actor=owner)

    assert line.issued is not None
    again = line.issued.invitation
    assert (again.role, again.role_until, again.role_after) == ("admin", end, "viewer")


def test_a_list_is_invited_with_a_role_until_a_time(owner: User) -> None:
    end, people = in_(5 * DAY), parse_recipients("a@example.com, b@example.com")

    invite_many(people, actor=owner, role="editor", role_until=end, role_after="none")
    with pytest.raises(RecordInvalid):
        invite_many(people, actor=owner, role="editor", role_until=end, resend=True)

    rows = Invitation.objects.values_list("role", "role_until", "role_after", "replaced_at")
    assert [*rows] == [("editor", end, "none", None)] * 2


def test_people_see_on_their_page_what_ends(viewer: User, browser_of: BrowserOf) -> None:
    change_role(actor=SYSTEM, user=viewer, role="editor", until=in_(5 * DAY), then="viewer")
    set_expiry(actor=SYSTEM, user=viewer, expires_at=in_(9 * DAY))

    page = browser_of(viewer).get("/account/").content.decode()

    assert "Afterwards your role is Viewer." in page
    assert "Afterwards you cannot sign in." in page
