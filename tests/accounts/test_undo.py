"""Taking back changes of users: what comes back, and everything that refuses it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import ProfileChange, User
from accounts.roles import Role
from accounts.services import offboard, sessions, users
from accounts.services.undo import find_event, plan_undo, purge_profile_changes, undo, undo_problem
from accounts.services.users import Profile
from accounts.undo.registry import known_actions
from api.apikeys.services import revoke_key
from audit import audit_log
from audit.models import AuditEvent
from audit.wordings import WORDINGS
from core.errors import CannotUndo, Forbidden, LastOwner
from core.web.request_context import RequestContext, use_context
from tests.api.keys import made

pytestmark = pytest.mark.django_db
Move = Callable[[timedelta], datetime]
MakeUser = Callable[..., User]
FRIDAY = timezone.now().replace(microsecond=123456) + timedelta(days=3)


def last() -> AuditEvent:
    """The newest event, as pages and the API read it."""
    found = find_event(AuditEvent.objects.latest("seq").seq)
    assert found is not None
    return found


def state(user: User) -> tuple[object, ...]:
    """What administrators change."""
    row = User.objects.get(pk=user.pk)
    ends = row.role_until, row.role_after, row.expires_at
    return row.role, *ends, row.is_active, row.role_locked, row.name, row.username, row.time_zone


def refusal(event: AuditEvent, actor: User) -> str:
    """The reason; nothing is written."""
    count, before = AuditEvent.objects.count(), list(User.objects.order_by("pk").values())
    with pytest.raises(CannotUndo) as error:
        undo(actor=actor, event=event)
    assert AuditEvent.objects.count() == count
    assert list(User.objects.order_by("pk").values()) == before
    return str(error.value)


Change = Callable[[User, User], object]
CHANGES: dict[str, tuple[Change, Change]] = {
    "role": (
        lambda _actor, _user: None,
        lambda actor, user: users.change_role(actor=actor, user=user, role="editor"),
    ),
    "role until a time": (
        lambda _actor, _user: None,
        lambda actor, user: users.change_role(
            actor=actor, user=user, role="admin", until=FRIDAY, then="editor"
        ),
    ),
    "role that had an end": (
        lambda actor, user: users.change_role(
            actor=actor, user=user, role="editor", until=FRIDAY, then="none"
        ),
        lambda actor, user: users.change_role(actor=actor, user=user, role="viewer"),
    ),
    "end of a role": (
        lambda actor, user: users.change_role(
            actor=actor, user=user, role="viewer", until=FRIDAY, then="none"
        ),
        lambda actor, user: users.change_role(actor=actor, user=user, role="viewer"),
    ),
    "end of the access set": (
        lambda _actor, _user: None,
        lambda actor, user: users.set_expiry(actor=actor, user=user, expires_at=FRIDAY),
    ),
    "end of the access removed": (
        lambda actor, user: users.set_expiry(actor=actor, user=user, expires_at=FRIDAY),
        lambda actor, user: users.set_expiry(actor=actor, user=user, expires_at=None),
    ),
    "end of the access moved": (
        lambda actor, user: users.set_expiry(actor=actor, user=user, expires_at=FRIDAY),
        lambda actor, user: users.set_expiry(
            actor=actor, user=user, expires_at=FRIDAY + timedelta(days=9)
        ),
    ),
    "disabled": (
        lambda _actor, _user: None,
        lambda actor, user: users.disable_user(actor=actor, user=user),
    ),
    "enabled": (
        lambda actor, user: users.disable_user(actor=actor, user=user),
        lambda actor, user: users.enable_user(actor=actor, user=user),
    ),
    "role kept": (
        lambda _actor, _user: None,
        lambda actor, user: users.set_role_locked(actor=actor, user=user, locked=True),
    ),
    "names": (
        lambda _actor, _user: None,
        lambda actor, user: users.edit_profile(
            actor=actor,
            user=user,
            profile=Profile(name="Other", username="", time_zone="Europe/Berlin"),
        ),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_taken_back_and_the_undo_too(owner: User, viewer: User, name: str) -> None:
    prepare, change = CHANGES[name]
    prepare(owner, viewer)
    before = state(viewer)
    change(owner, User.objects.get(pk=viewer.pk))
    after, event = state(viewer), last()
    assert after != before

    done = undo(actor=owner, event=event)

    assert state(viewer) == before
    assert (done.undoes, done.actor_id, done.target_id) == (event.seq, owner.pk, viewer.pk)
    assert done.result == "success"
    assert find_event(event.seq).undone_by == done.seq  # type: ignore[union-attr]
    again = undo(actor=owner, event=last())
    assert _to_the_minute(state(viewer)) == _to_the_minute(after)
    assert again.undoes == done.seq
    assert audit_log.verify().broken_at is None


def _to_the_minute(values: tuple[object, ...]) -> list[object]:
    return [each.replace(second=0, microsecond=0) if isinstance(each, datetime) else each
            for each in values]  # fmt: skip


def test_the_exact_end_is_restored(owner: User, viewer: User) -> None:
    users.change_role(actor=owner, user=viewer, role="editor", until=FRIDAY, then="none")
    users.change_role(actor=owner, user=viewer, role="viewer")

    undo(actor=owner, event=last())

    row = User.objects.get(pk=viewer.pk)
    assert (row.role, row.role_until, row.role_after) == ("editor", FRIDAY, "none")
    assert last().detail == {
        "before": "viewer",
        "after": "editor",
        "until": f"{FRIDAY.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "then": "none",
    }


def test_undo_revokes_like_every_other_change(
    owner: User, viewer: User, browser_of: Callable[[User], object]
) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    browser_of(User.objects.get(pk=viewer.pk))
    assert viewer.sessions.count() == 1

    undo(actor=owner, event=event)

    assert viewer.sessions.count() == 0


def test_an_enabled_account_gets_no_session_back(
    owner: User, viewer: User, browser_of: Callable[[User], object]
) -> None:
    browser_of(viewer)
    users.disable_user(actor=owner, user=viewer)

    undo(actor=owner, event=last())

    row = User.objects.get(pk=viewer.pk)
    assert (row.is_active, row.sessions.count()) == (True, 0)
    assert row.credentials_valid_from > viewer.credentials_valid_from
    assert row.keys_valid_from > viewer.keys_valid_from


def test_an_entry_is_undone_once(owner: User, admin: User, viewer: User) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    done = undo(actor=owner, event=event)

    assert refusal(event, owner) == f"It was undone already, by entry {done.seq}."
    undo(actor=owner, event=last())
    assert refusal(event, owner) == f"It was undone already, by entry {done.seq}."


def test_the_database_refuses_a_second_undo_of_an_entry(owner: User, viewer: User) -> None:
    with audit_log.undoing(7):
        audit_log.record("account:test:act", actor=owner, target=viewer)

    with (
        pytest.raises(IntegrityError),
        transaction.atomic(),
        audit_log.undoing(7),
    ):
        audit_log.record("account:test:act", actor=owner, target=viewer)


@pytest.mark.parametrize("value", [None, 3])
def test_the_chain_covers_what_an_entry_undoes(
    owner: User, viewer: User, value: int | None
) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    undo(actor=owner, event=last())
    assert audit_log.verify().broken_at is None

    AuditEvent.objects.filter(seq=2).update(undoes=value)

    assert audit_log.verify().broken_at == 2


def test_the_time_to_undo_ends(owner: User, viewer: User, settings: Any, at_time: Move) -> None:
    settings.UNDO_WINDOW = timedelta(hours=2)
    users.disable_user(actor=owner, user=viewer)
    event = last()
    at_time(timedelta(hours=2, seconds=1))

    assert refusal(event, owner).startswith("It is too late: it could be undone until ")
    at_time(timedelta(hours=1, minutes=59))
    assert undo(actor=owner, event=event).undoes == event.seq


def test_undo_can_be_switched_off(owner: User, viewer: User, settings: Any) -> None:
    settings.UNDO_WINDOW = timedelta()
    users.disable_user(actor=owner, user=viewer)

    assert refusal(last(), owner) == "Undo is switched off (UNDO_WINDOW)."


def test_a_later_change_of_the_same_thing_refuses_it(
    owner: User, admin: User, viewer: User
) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    users.change_role(actor=admin, user=viewer, role="none")
    users.change_role(actor=admin, user=viewer, role="editor")

    reason = refusal(event, owner)

    assert reason.startswith("It was changed again on ")
    assert "Ada Admin changed the role of Vera Viewer from no access to editor." in reason


def test_another_thing_may_have_changed_since(owner: User, viewer: User) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    users.disable_user(actor=owner, user=viewer)
    users.edit_profile(actor=owner, user=viewer, profile=Profile(name="Other"))

    undo(actor=owner, event=event)

    row = User.objects.get(pk=viewer.pk)
    assert (row.role, row.is_active, row.name) == ("viewer", False, "Other")


def test_changes_are_undone_one_after_the_other(owner: User, viewer: User) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    first = last()
    users.change_role(actor=owner, user=viewer, role="admin")
    second = last()
    undone = undo(actor=owner, event=second)
    redone = undo(actor=owner, event=undone)

    assert "It was changed again" in refusal(first, owner)
    undo(actor=owner, event=redone)
    undo(actor=owner, event=first)

    assert User.objects.get(pk=viewer.pk).role == "viewer"


def test_too_many_changes_since_refuse_it(
    owner: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if all of them were undone."""
    monkeypatch.setattr("accounts.services.undo.MAX_LATER", 3)
    users.change_role(actor=owner, user=viewer, role="editor")
    first = last()
    for _round in range(2):
        users.change_role(actor=owner, user=viewer, role="admin")
        undo(actor=owner, event=last())

    assert refusal(first, owner) == "It was changed too often since."
    monkeypatch.setattr("accounts.services.undo.MAX_LATER", 4)
    undo(actor=owner, event=first)


def test_a_change_that_no_entry_tells_of_refuses_it(owner: User, viewer: User) -> None:
    users.change_role(actor=owner, user=viewer, role="editor")
    event = last()
    User.objects.filter(pk=viewer.pk).update(role="admin")

    assert refusal(event, owner) == "It is no longer as this change left it."


def test_a_role_that_has_ended_by_itself_stays_ended(
    owner: User, viewer: User, at_time: Move
) -> None:
    users.change_role(
        actor=owner, user=viewer, role="admin", until=timezone.now() + timedelta(hours=1),
        then="none",
    )  # fmt: skip
    event = last()
    at_time(timedelta(hours=2))

    assert refusal(event, owner) == "It is no longer as this change left it."


def test_an_end_that_has_passed_is_not_given_back(owner: User, viewer: User, at_time: Move) -> None:
    end = timezone.now() + timedelta(hours=1)
    users.change_role(actor=owner, user=viewer, role="editor", until=end, then="none")
    users.change_role(actor=owner, user=viewer, role="viewer")
    of_role = last()
    users.set_expiry(actor=owner, user=viewer, expires_at=end)
    users.set_expiry(actor=owner, user=viewer, expires_at=None)
    of_access = last()
    at_time(timedelta(hours=2))

    assert refusal(of_role, owner) == "The earlier role had an end, which has passed."
    assert refusal(of_access, owner) == "The earlier end has passed."


def test_undo_asks_for_the_rank_of_the_change(
    owner: User, admin: User, make_user: MakeUser, viewer: User
) -> None:
    other = make_user("admin", "other@example.com")
    users.change_role(actor=owner, user=other, role="editor")
    event = last()

    with pytest.raises(Forbidden, match="roles below your own"):
        undo(actor=admin, event=event)
    with pytest.raises(Forbidden, match="roles below your own"):
        plan_undo(event, actor=admin)
    users.disable_user(actor=owner, user=other)
    disabled = last()
    with pytest.raises(Forbidden):
        undo(actor=viewer, event=disabled)
    assert undo(actor=admin, event=disabled).actor_id == admin.pk
    assert undo(actor=owner, event=event).undoes == event.seq


def test_the_last_owner_stays_owner(owner: User, make_user: MakeUser) -> None:
    other = make_user("admin", "other@example.com")
    users.change_role(actor=owner, user=other, role="owner")
    event = last()
    other.refresh_from_db()
    users.disable_user(actor=other, user=owner)

    with pytest.raises(LastOwner):
        plan_undo(event, actor=other)
    with pytest.raises(LastOwner):
        undo(actor=other, event=event)
    assert User.objects.get(pk=other.pk).role == Role.OWNER
    assert AuditEvent.objects.filter(undoes__isnull=False).count() == 0


def test_an_operator_who_lost_their_rights_undoes_nothing(
    owner: User, admin: User, viewer: User
) -> None:
    users.disable_user(actor=admin, user=viewer)
    event = last()
    users.change_role(actor=owner, user=admin, role="viewer")

    with pytest.raises(Forbidden):
        undo(actor=User.objects.get(pk=admin.pk), event=event)
    assert not User.objects.get(pk=viewer.pk).is_active


@pytest.mark.parametrize("channel", ["web", "worker"])
def test_what_gatehouse_did_by_itself_is_refused(owner: User, viewer: User, channel: str) -> None:
    with use_context(RequestContext(channel=channel)):
        users.change_role(actor=SYSTEM, user=viewer, role="editor")

    assert refusal(last(), owner).startswith("Gatehouse made this change by itself")


def test_what_the_directory_did_is_refused(owner: User, viewer: User) -> None:
    with use_context(RequestContext(channel="command")):
        users.disable_user(actor=SYSTEM, user=viewer, reason="syncldap 1: not there any more")

    assert refusal(last(), owner).startswith("Gatehouse made this change by itself")


def test_a_change_by_a_command_is_undone(owner: User, viewer: User) -> None:
    with use_context(RequestContext(channel="command")):
        users.change_role(actor=SYSTEM, user=viewer, role="editor")

    undo(actor=owner, event=last())

    assert User.objects.get(pk=viewer.pk).role == "viewer"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda actor, user: users.delete_user(actor=actor, user=user), "are deleted"),
        (lambda actor, user: sessions.end_sessions(actor=actor, user=user), "never revived"),
        (
            lambda actor, user: audit_log.record(
                "account:factor:reset", actor=actor, target=user, kinds=["totp"]
            ),
            "are deleted",
        ),
    ],
)
def test_what_never_comes_back_says_why(
    owner: User, viewer: User, act: Change, reason: str
) -> None:
    act(owner, viewer)
    event = last()

    text = refusal(event, owner)

    assert text.startswith("This cannot be undone, because ")
    assert reason in text
    assert text.endswith(".")
    assert undo_problem(event, timezone.now()) == text


def test_a_revoked_secret_is_never_revived(owner: User, viewer: User) -> None:
    """Not even by its user: the log has no secret, and the row of the key stays revoked."""
    key = made(viewer).key
    revoke_key(actor=owner, key=key)

    assert refusal(last(), owner) == (
        "This cannot be undone, because a revoked secret is never revived. Create another key."
    )
    for action in ("link:login:withdraw", "webhook:endpoint:delete", "account:invitation:withdraw"):
        audit_log.record(action, actor=owner, target=viewer)
        assert refusal(last(), owner).startswith("This cannot be undone, because ")


def test_a_refused_action_changed_nothing_that_could_be_undone(owner: User, viewer: User) -> None:
    audit_log.record("account:role:change", actor=owner, target=viewer, result="refused")

    assert undo_problem(last(), timezone.now()) == ""
    assert refusal(last(), owner) == "This cannot be undone."


def test_an_offboarding_is_not_undone_by_half(owner: User, viewer: User) -> None:
    offboard.offboard(actor=owner, user=viewer)
    disabled = AuditEvent.objects.get(action="account:user:disable")

    assert refusal(disabled, owner).startswith("It was changed again on ")


def test_an_address_is_not_undone(owner: User, viewer: User) -> None:
    users.edit_profile(
        actor=owner, user=viewer, profile=Profile(name="Other", email="other@example.com")
    )

    assert refusal(last(), owner).startswith("The address was changed: both addresses were told")


def test_a_taken_user_name_is_not_given_back(
    owner: User, viewer: User, make_user: MakeUser
) -> None:
    users.edit_profile(actor=owner, user=viewer, profile=Profile(username="other"))
    event = last()
    make_user("viewer", "new@example.com", username="vera")

    with pytest.raises(users.RecordInvalid, match="Another account has this user name"):
        undo(actor=owner, event=event)
    assert User.objects.get(pk=viewer.pk).username == "other"


def test_names_are_stored_beside_the_log_and_go_with_the_account(
    owner: User, viewer: User, at_time: Move
) -> None:
    users.edit_profile(actor=owner, user=viewer, profile=Profile(name="Other"))
    event = last()
    assert event.detail == {"fields": ["name"]}
    assert ProfileChange.objects.get(pk=event.seq).before["name"] == "Vera Viewer"

    users.delete_user(actor=owner, user=viewer)

    assert not ProfileChange.objects.exists()
    assert refusal(event, owner) == "This account does not exist any more."


def test_names_are_deleted_when_the_window_is_over(
    owner: User, viewer: User, at_time: Move
) -> None:
    users.edit_profile(actor=owner, user=viewer, profile=Profile(name="Other"))
    now = timezone.now()

    assert purge_profile_changes(now + settings.UNDO_WINDOW - timedelta(minutes=1)) == 0
    assert purge_profile_changes(now + settings.UNDO_WINDOW + timedelta(minutes=1)) == 1
    assert refusal(last(), owner) == "The earlier values are not stored any more."


def test_every_action_that_can_or_cannot_be_undone_exists() -> None:
    possible, impossible = known_actions()

    assert (possible | impossible) - WORDINGS.keys() == set()
    assert possible & impossible == set()
    assert possible == {
        "account:expiry:clear", "account:expiry:set", "account:group:change",
        "account:group:delete", "account:membership:add", "account:membership:limit",
        "account:membership:remove", "account:role:change", "account:role:keep",
        "account:role:limit", "account:service:hand-over", "account:service:team",
        "account:user:disable", "account:user:edit", "account:user:enable",
        "moderation:ban:lift", "moderation:ban:start", "openid:scope:change",
        "settings:provider:switch-off", "settings:provider:switch-on", "sso:app:change",
        "sso:rule:change", "sso:rule:create", "sso:rule:delete", "sso:rule:move",
    }  # fmt: skip
