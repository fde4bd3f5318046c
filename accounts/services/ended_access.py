"""Work of the worker: writes down what has ended, and reminds people before it does.

Nothing waits for it: checks compute from the row and the clock what holds now (User.from_db() and
the access policy). It ends sessions and tokens, and makes the change visible in the audit log.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import EndReminder, User
from accounts.roles import ADMIN_ROLES
from accounts.services.end_dates import REMINDER_DAYS, Subject
from accounts.services.users import change_role, disable_user, lock_account
from core.errors import RecordInvalid
from core.locks import lock_users
from core.text.email_addresses import is_placeholder
from mail.models import OutboxMail
from mail.outbox import draft_mail, enqueue

# In one run; the next one takes the rest.
BATCH = 200
# The reason in the audit log.
TIME_IS_UP = "time is up"
COLUMNS = {Subject.ACCOUNT: "expires_at", Subject.ROLE: "role_until"}


def write_down_ended() -> int:
    """Worker job: disable accounts and change roles whose end has passed; returns how many.

    Safe to repeat, and in several processes at once: each account is checked again under its lock.
    """
    keys = User.objects.ended(timezone.now()).values_list("pk", flat=True)[:BATCH]
    return sum(_write_down(key) for key in list(keys))


def _write_down(key: UUID) -> int:
    with transaction.atomic(), suppress(RecordInvalid):  # raised for a deleted account
        user, now = lock_account(User(pk=key)), timezone.now()
        has_ended_role = bool(user.ended_role)
        is_expired = user.is_active and user.is_expired(now)
        if has_ended_role:
            change_role(actor=SYSTEM, user=user, role=user.role, reason=TIME_IS_UP)
        if is_expired:
            disable_user(actor=SYSTEM, user=user, reason=TIME_IS_UP)
        if has_ended_role or is_expired:
            user.end_reminders.filter(ends_at__lte=now).delete()
            return 1
    return 0


class Due(NamedTuple):
    """A reminder that is due. days: before the end; the nearest one if several are due."""

    user_id: UUID
    subject: Subject
    ends_at: datetime
    days: int


class Line(NamedTuple):
    """What a mail tells about one end. role, then: codes; "" for the end of an account."""

    person: str
    role: str
    then: str
    ends_at: datetime


def send_reminders() -> int:
    """Worker job: mail reminders of ends, to the user and to those who may manage them.

    Returns how many were due. Each is mailed once: its row is written in the same transaction.
    """
    if not _find_due(timezone.now()):
        return 0
    with transaction.atomic():
        admins = User.objects.people().filter(is_active=True, role__in=ADMIN_ROLES)
        first, keys = _find_due(timezone.now()), list(admins.values_list("pk", flat=True))
        lock_users(*(due.user_id for due in first), *keys)
        # Again, because another process may have sent them meanwhile, or deleted an administrator.
        now, locked = timezone.now(), list(admins.filter(pk__in=keys))
        reminders = [due for due in _find_due(now) if due in set(first)]
        users = User.objects.in_bulk([due.user_id for due in reminders])
        rows = [
            EndReminder(user_id=due.user_id, subject=due.subject, ends_at=due.ends_at, days=days)
            for due in reminders
            for days in REMINDER_DAYS
            if days >= due.days
        ]
        EndReminder.objects.bulk_create(rows, ignore_conflicts=True)
        lines = [(users[due.user_id], _line(users[due.user_id], due), due) for due in reminders]
        enqueue([_mail_to_user(user, line, due) for user, line, due in lines
                 if not is_placeholder(user.email)])  # fmt: skip
        enqueue(_mails_to_admins(locked, [(user, line) for user, line, _due in lines]))
    return len(reminders)


def _find_due(now: datetime) -> list[Due]:
    """For each end the nearest reminder that is due and not noted yet."""
    found: dict[tuple[UUID, Subject], Due] = {}
    for days in sorted(REMINDER_DAYS, reverse=True):
        for subject, column in COLUMNS.items():
            noted = EndReminder.objects.filter(
                user=OuterRef("pk"), subject=subject, days=days, ends_at=OuterRef(column)
            )
            soon = {f"{column}__gt": now, f"{column}__lte": now + timedelta(days=days)}
            users = User.objects.filter(
                ~Exists(noted), is_active=True, setup_completed=True, **soon
            )
            for key, end in users.values_list("pk", column)[:BATCH]:
                found[key, subject] = Due(key, subject, end, days)
    return sorted(found.values())


def _line(user: User, due: Due) -> Line:
    is_role = due.subject == Subject.ROLE
    role, then = (user.role, user.role_after) if is_role else ("", "")
    return Line(user.name or user.email, role, then, due.ends_at)


def _mail_to_user(user: User, line: Line, due: Due) -> OutboxMail:
    # The number of days makes the two reminders of one end different texts.
    context = {"line": line, "days": due.days}
    return draft_mail(kind="access-ends", recipient=user.email, user=user, context=context)


def _mails_to_admins(
    admins: Iterable[User], lines: Iterable[tuple[User, Line]]
) -> list[OutboxMail]:
    """One mail to each administrator, about all users whom they may manage, but themselves."""
    lines_by_admin: dict[User, list[Line]] = defaultdict(list)
    for admin in admins:
        for user, line in lines:
            if admin.can_manage(user) and admin.pk != user.pk and not is_placeholder(admin.email):
                lines_by_admin[admin].append(line)
    return [
        draft_mail(
            kind="access-of-people-ends",
            recipient=admin.email,
            user=admin,
            context={"lines": tuple(found)},
        )
        for admin, found in lines_by_admin.items()
    ]
