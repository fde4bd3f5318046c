"""Putting people into groups and taking them out, by hand. Also what the worker writes down.

A group gives access, so the rules of rank hold: who may manage a person may change their groups.
Nobody but an owner can therefore add themselves. A group never raises a role: what asks for a
group asks for a role as well. See docs/decisions/0036-groups.md.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import SYSTEM, Actor
from accounts.models import Group, Membership, User
from accounts.models.groups import MANUAL
from accounts.services.end_dates import audit_time, check_end, exact_audit_time
from accounts.services.groups.changes import lock_group
from accounts.services.ranks import require_rank
from accounts.services.users import lock_account
from audit import audit_log
from core.errors import RecordInvalid
from core.locks import lock_users

# All names together fit into one header of any proxy.
MAX_GROUPS_OF_USER = 50
# In one run of the worker; the next one takes the rest.
BATCH = 200


def add_member(
    *, actor: Actor, user: User, group: Group, until: datetime | None = None
) -> Membership:
    """Put a person into a group by hand, for good or until a time; or change the end.

    Without a change, nothing is written. Raises Forbidden, NotFound, RecordInvalid.
    """
    with transaction.atomic():
        current, group = lock_account(user), lock_group(group)
        require_rank(actor, current)
        now = timezone.now()
        check_end("until", until, now)
        row = Membership.objects.filter(user=current, group=group, source=MANUAL).first()
        is_member = row is not None and (row.until is None or row.until > now)
        if row is not None and is_member and row.until == until:
            return row
        details = _before(row) if row is not None and is_member else {}
        if row is None:
            require_room(current, group)
            row = Membership(user=current, group=group)
        row.until, row.added_by_id = until, actor.pk
        row.added_at = row.added_at if is_member else now
        row.save()
        if until is not None:
            details["until"] = audit_time(until)
        action = "account:membership:add" if until is None else "account:membership:limit"
        record(action, actor, current, group, **details)
    return row


def add_members(
    *, actor: Actor, users: Sequence[User], group: Group, until: datetime | None = None
) -> list[Membership]:
    """add_member() for each of them, or for nobody."""
    with transaction.atomic():
        lock_users(*(user.pk for user in users))
        return [add_member(actor=actor, user=user, group=group, until=until) for user in users]


def remove_members(*, actor: Actor, users: Sequence[User], group: Group) -> list[User]:
    """remove_member() for each of them, or for nobody; returns those who were in the group."""
    with transaction.atomic():
        lock_users(*(user.pk for user in users))
        return [user for user in users if remove_member(actor=actor, user=user, group=group)]


def remove_member(*, actor: Actor, user: User, group: Group) -> bool:
    """Take a person out of a group; False, and nothing written, if they were not in it by hand.

    Raises Forbidden, NotFound, and RecordInvalid for a membership of another source alone: the next
    sign-in would restore it.
    """
    with transaction.atomic():
        current, group = lock_account(user), lock_group(group)
        require_rank(actor, current)
        now = timezone.now()
        rows = list(Membership.objects.filter(user=current, group=group).current(now))
        manual = next((row for row in rows if row.source == MANUAL), None)
        if manual is None:
            if rows:
                raise RecordInvalid({"group": [_not_by_hand(rows[0].source)]})
            return False
        manual.delete()
        record("account:membership:remove", actor, current, group, **_before(manual))
    return True


def end_memberships() -> int:
    """Worker job: delete memberships whose end has passed; returns how many.

    Nothing waits for it: each reader compares the end with the clock. Safe to repeat, and in
    several processes at once.
    """
    rows = Membership.objects.ended(timezone.now()).values_list("user_id", flat=True)
    return sum(_end_memberships(key) for key in sorted(set(rows[:BATCH])))


def _end_memberships(key: UUID) -> int:
    with transaction.atomic(), suppress(RecordInvalid):  # raised for a deleted account
        user = lock_account(User(pk=key))
        ended = Membership.objects.filter(user=user).ended(timezone.now())
        rows = list(ended.select_related("group").order_by("group__name", "source"))
        Membership.objects.filter(pk__in=[row.pk for row in rows]).delete()
        for row in rows:
            record("account:membership:end", SYSTEM, user, row.group)
        return len(rows)
    return 0


def require_room(user: User, group: Group) -> None:
    """Raise RecordInvalid if the person is in as many other groups as one may be in."""
    others = Membership.objects.filter(user=user).exclude(group=group)
    if others.values("group").distinct().count() >= MAX_GROUPS_OF_USER:
        raise RecordInvalid(
            {
                "group": [
                    _("A person may be in %(most)d groups at most.") % {"most": MAX_GROUPS_OF_USER}
                ]
            }
        )


def record(action: str, actor: Actor, user: User, group: Group, **details: Any) -> None:
    """The audit row of one membership. group_id: what undo finds the group by."""
    audit_log.record(
        action, actor=actor, target=user, group=group.name, group_id=str(group.pk), **details
    )


def _before(row: Membership) -> dict[str, Any]:
    """What undo restores: the end of the membership that is replaced, None for one without."""
    return {"before_until": None if row.until is None else exact_audit_time(row.until)}


def _not_by_hand(source: str) -> str:
    if source == "directory":
        return _("The directory puts this person into the group. Remove them there.")
    if source == "scim":
        return _("The system that provisions accounts puts this person into the group. "
                 "Remove them there.")  # fmt: skip
    return _("A sign-in provider puts this person into the group. Remove them there.")
