"""The end of an account, and of a role: what may be chosen, and which reminders are due."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import EndReminder, User
from accounts.roles import Role, can_give
from core.errors import RecordInvalid

Subject = EndReminder.Subject
# How many days before an end a reminder is mailed.
REMINDER_DAYS = (7, 1)


def check_end(field: str, end: datetime | None, now: datetime) -> None:
    """Raise RecordInvalid for an end that has passed."""
    if end is not None and end <= now:
        raise RecordInvalid({field: [_("Choose a time in the future.")]})


def check_role_end(
    actor: Actor, role: str, until: datetime | None, then: str, now: datetime
) -> None:
    """Check the end of a role and the role that follows. Raises RecordInvalid with all errors.

    The following role is lower, and one that `actor` may give; its right to give `role` is checked
    elsewhere.
    """
    errors: dict[str, list[str]] = {}
    if until is not None and until <= now:
        errors["role_until"] = [_("Choose a time in the future.")]
    if until is None and then:
        errors["role_until"] = [_("Say when the role ends, or leave the role afterwards empty.")]
    if until is not None:
        errors |= _errors_of_following(actor, role, then)
    if errors:
        raise RecordInvalid(errors)


def _errors_of_following(actor: Actor, role: str, then: str) -> dict[str, list[str]]:
    if then not in list(Role):
        return {"role_after": [_("Choose the role that follows.")]}
    if Role(then).rank >= Role(role).rank or not can_give(Role(actor.role), Role(then)):
        return {"role_after": [_("Choose a role below the one that ends.")]}
    return {}


def skip_passed_reminders(
    user: User, subject: Subject, ends_at: datetime | None, now: datetime
) -> None:
    """Note the reminders of a new end whose time has passed: who sets an end knows it."""
    rows = passed_reminders(user, subject, ends_at, now)
    if rows:
        EndReminder.objects.bulk_create(rows, ignore_conflicts=True)


def passed_reminders(
    user: User, subject: Subject, ends_at: datetime | None, now: datetime
) -> list[EndReminder]:
    """The reminders of an end whose time has passed, unsaved; see skip_passed_reminders()."""
    if ends_at is None:
        return []
    passed = [days for days in REMINDER_DAYS if ends_at - timedelta(days=days) <= now]
    return [EndReminder(user=user, subject=subject, ends_at=ends_at, days=days) for days in passed]


def end_details(until: datetime | None, then: str = "") -> dict[str, Any]:
    """The end for the audit log: nothing for a role without an end."""
    return {"until": audit_time(until), "then": then} if until is not None else {}


def account_ends(user: User) -> dict[str, Any]:
    """The ends of a new account for the audit log: those that there are."""
    ends = end_details(user.role_until, user.role_after)
    if user.expires_at is not None:
        ends["expires_at"] = audit_time(user.expires_at)
    return ends


def audit_time(end: datetime) -> str:
    """As in `2026-12-04 17:00 UTC`."""
    return f"{end.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def exact_audit_time(end: datetime) -> str:
    """As in `2026-12-04T17:00:00+00:00`, to the microsecond: what undo restores."""
    return end.astimezone(UTC).isoformat()


def gives_more(user: User, role: str, until: datetime | None, then: str) -> bool:
    """Whether a role with its end, and the role that follows, give `user` more than they have."""
    if Role(role).rank != user.rank:
        return Role(role).rank > user.rank
    if is_later_end(until, user.role_until):
        return True
    has_end = until is not None and user.role_until is not None
    return has_end and _rank(then) > _rank(user.role_after)


def is_later_end(end: datetime | None, before: datetime | None) -> bool:
    """Whether `end` is later than the end `before`; None is no end."""
    return before is not None and (end is None or end > before)


def _rank(role: str) -> int:
    return Role(role or Role.NONE).rank
