"""Taking back bans and their end."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.models.audit_events import sentence_of
from accounts.services.undo import find_event, undo
from audit import audit_log
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden, RecordInvalid
from moderation.models import Ban
from moderation.services import bans
from tests.moderation.conftest import AWAY

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
Move = Callable[[timedelta], datetime]


def last() -> AuditEvent:
    found = find_event(AuditEvent.objects.latest("seq").seq)
    assert found is not None
    return found


def refusal(event: AuditEvent, actor: User) -> str:
    before = list(Ban.objects.order_by("pk").values())
    with pytest.raises(CannotUndo) as error:
        undo(actor=actor, event=event)
    assert list(Ban.objects.order_by("pk").values()) == before
    return str(error.value)


def test_a_ban_is_lifted_and_set_again_with_its_end_and_reason(admin: User, viewer: User) -> None:
    row = bans.ban(actor=admin, user=viewer, network=AWAY, duration=HOUR, reason="Too loud.")
    assert last().detail == {
        "ban": str(row.pk),
        "kind": "manual",
        "covers": ["user", "network"],
        "until": f"{row.until:%Y-%m-%d %H:%M} UTC",
    }

    lifted = undo(actor=admin, event=last())

    assert (bans.ban_of(viewer), bans.ban_at(AWAY)) == (None, None)
    assert lifted.action == "moderation:ban:lift"
    undo(actor=admin, event=last())
    again = bans.ban_of(viewer)
    assert again is not None
    assert again.pk != row.pk
    assert (again.network, again.until, again.reason) == (AWAY, row.until, "Too loud.")
    undo(actor=admin, event=last())
    assert bans.ban_of(viewer) is None
    assert audit_log.verify().broken_at is None


def test_the_ban_of_a_network_alone_is_taken_back(admin: User) -> None:
    bans.ban(actor=admin, network=AWAY, duration=None, reason="")
    assert (last().target_id, last().detail["until"]) == (None, None)
    assert sentence_of(last()) == "Ada Admin banned a network address (by an administrator)."

    undo(actor=admin, event=last())

    assert bans.ban_at(AWAY) is None
    undo(actor=admin, event=last())
    assert bans.ban_at(AWAY) is not None


def test_a_ban_that_is_not_in_force_is_not_lifted(admin: User, viewer: User, at_time: Move) -> None:
    row = bans.ban(actor=admin, user=viewer, duration=HOUR, reason="")
    event = last()
    bans.lift(actor=admin, ban=row)
    assert refusal(event, admin) == "The ban is not in force any more."

    bans.ban(actor=admin, user=viewer, duration=HOUR, reason="")
    event = last()
    at_time(2 * HOUR)

    assert refusal(event, admin) == "The ban is not in force any more."


def test_a_lifted_ban_is_not_set_again_twice_or_after_its_end(
    admin: User, viewer: User, at_time: Move
) -> None:
    bans.lift(actor=admin, ban=bans.ban(actor=admin, user=viewer, duration=HOUR, reason=""))
    event = last()
    other = bans.ban(actor=admin, user=viewer, duration=None, reason="")

    assert refusal(event, admin).startswith("The same was banned again on ")
    bans.lift(actor=admin, ban=other)
    at_time(2 * HOUR)
    assert refusal(event, admin) == "The ban would have ended by itself by now."


def test_undo_asks_for_the_rank_of_the_ban(
    owner: User, admin: User, editor: User, make_user: Callable[..., User]
) -> None:
    other = make_user("admin", "other@example.com")
    bans.ban(actor=owner, user=other, duration=HOUR, reason="")

    for actor in (admin, editor):
        with pytest.raises(Forbidden):
            undo(actor=actor, event=last())
    assert bans.ban_of(other) is not None
    undo(actor=owner, event=last())
    with pytest.raises(Forbidden):
        undo(actor=admin, event=last())
    assert bans.ban_of(other) is None


def test_no_one_bans_their_own_network_by_undo(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bans.lift(actor=admin, ban=bans.ban(actor=admin, network=AWAY, duration=None, reason=""))
    monkeypatch.setattr("moderation.services.bans.is_exempt", lambda _name: True)

    with pytest.raises(RecordInvalid, match="cannot be banned"):
        undo(actor=admin, event=last())


def test_an_automatic_ban_is_lifted_in_the_list_and_that_is_undone(
    admin: User, viewer: User
) -> None:
    row = Ban.objects.create(
        user=viewer, kind="automatic", reason="limit", until=timezone.now() + HOUR
    )
    audit_log.record("moderation:ban:start", target=viewer, ban=str(row.pk), kind=row.kind)
    assert refusal(last(), admin).startswith("Gatehouse made this change by itself")

    bans.lift(actor=admin, ban=row)
    undo(actor=admin, event=last())

    again = bans.ban_of(viewer)
    assert again is not None
    assert (again.kind, again.until, again.reason) == ("manual", row.until, "limit")


def test_a_ban_that_was_deleted_is_not_taken_back(admin: User, viewer: User) -> None:
    bans.ban(actor=admin, user=viewer, duration=HOUR, reason="")
    Ban.objects.all().delete()

    assert refusal(last(), admin) == "The ban is not stored any more."


def test_each_lifted_ban_tells_what_it_covered(admin: User, viewer: User) -> None:
    bans.ban(actor=SYSTEM, user=viewer, duration=HOUR, reason="")

    bans.lift_all(actor=admin, user=viewer)

    assert last().detail["covers"] == ["user"]
