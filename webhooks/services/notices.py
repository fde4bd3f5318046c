"""Notices to administrators by mail: what they chose, at most one mail an hour for each.

The audit log is the queue, as for webhooks: each administrator has a cursor. The first event is
mailed within a minute; what follows within the hour waits and comes in one mail.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.models import User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.roles import ADMIN_ROLES, Role
from audit import audit_log
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from core.locks import lock_users
from core.text.email_addresses import is_placeholder
from mail.outbox import enqueue_mail
from webhooks.models import NoticeChoice
from webhooks.notice_groups import ACTIONS, DEFAULT_GROUPS, GROUPS, is_told
from webhooks.services.endpoints import audit_head

EVERY = timedelta(hours=1)
# Events of one mail; the rest is counted, and the log has it.
MAX_LINES = 30
MAX_EVENTS = 5000


def chosen_groups(user: User) -> list[str]:
    """The groups that the user gets, in the order of the table."""
    row = NoticeChoice.objects.filter(pk=user.pk).first()
    return list(DEFAULT_GROUPS) if row is None else [name for name in GROUPS if name in row.groups]


def choose_notices(*, user: User, groups: Iterable[str], language: str) -> None:
    """Store what the user gets from now on. Without a change, nothing is audited.

    language: of these mails. Raises Forbidden, RecordInvalid.
    """
    wanted = set(groups)
    if Role(user.role) not in ADMIN_ROLES:
        raise Forbidden
    if unknown := sorted(wanted - GROUPS.keys()):
        text = _("There is no such notice: “%(name)s”.") % {"name": unknown[0][:60]}
        raise RecordInvalid({"groups": [text]})
    names = [name for name in GROUPS if name in wanted]
    with transaction.atomic():
        lock_users(user.pk)
        before = chosen_groups(user)
        row, is_new = NoticeChoice.objects.get_or_create(
            user=user, defaults={"groups": names, "language": language, "cursor": audit_head()}
        )
        if not is_new:
            row.groups, row.language = names, language
            row.save(update_fields=["groups", "language"])
        if names != before:
            audit_log.record("account:notices:choose", actor=user, target=user, groups=names)


def send_notices() -> int:
    """Worker job: mail what is due; returns how many mails were queued.

    Whoever is no administrator now gets nothing, also not later of what happens meanwhile.
    """
    head = audit_head()
    admins = {user.pk: user for user in _administrators()}
    known = set(NoticeChoice.objects.values_list("pk", flat=True))
    NoticeChoice.objects.exclude(pk__in=admins).filter(cursor__lt=head).update(cursor=head)
    for key in admins.keys() - known:
        # They get the default from now on.
        NoticeChoice.objects.get_or_create(
            user_id=key, defaults={"groups": list(DEFAULT_GROUPS), "cursor": head}
        )
    due = NoticeChoice.objects.filter(pk__in=admins, cursor__lt=head)
    return sum(_tell(row) for row in due if _is_due(row))


def _administrators() -> list[User]:
    """Owners and administrators who may act now, by the role that holds."""
    rows = User.objects.people().filter(is_active=True, role__in=ADMIN_ROLES)
    return [user for user in rows if _may_be_told(user)]


def _may_be_told(user: User) -> bool:
    return access_policy.get_denial(user, floor=Role.ADMIN) is None


def _is_due(row: NoticeChoice) -> bool:
    return row.last_mail_at is None or timezone.now() >= row.last_mail_at + EVERY


def _tell(row: NoticeChoice) -> bool:
    """Mail what has happened since the cursor. The lock of the user decides between processes."""
    with transaction.atomic():
        lock_users(row.pk)
        user = User.objects.filter(pk=row.pk).first()
        current = NoticeChoice.objects.filter(pk=row.pk, cursor=row.cursor).first()
        if user is None or not _may_be_told(user) or current is None or not _is_due(current):
            return False
        found, current.cursor = _events_after(current.cursor)
        told = [
            event
            for event in found
            if event.actor_id != user.pk
            and is_told(current.groups, event.action, event.result, event.detail)
        ]
        if told and not is_placeholder(user.email):
            current.last_mail_at = timezone.now()
            _enqueue(user, current.language, told)
        current.save(update_fields=["cursor", "last_mail_at"])
    return bool(told)


def _events_after(cursor: int) -> tuple[list[AuditEvent], int]:
    """The events that could be told, oldest first, and how far the log was read."""
    head = audit_head()
    rows: QuerySet[AuditEvent] = AuditEvent.objects.filter(
        seq__gt=cursor, seq__lte=head, action__in=ACTIONS
    )
    found = list(with_emails(rows).order_by("seq")[:MAX_EVENTS])
    return found, found[-1].seq if len(found) == MAX_EVENTS else head


def _enqueue(user: User, language: str, told: list[AuditEvent]) -> None:
    with translation.override(language or None):
        lines = tuple(sentence_of(event) for event in told[:MAX_LINES])
    enqueue_mail(
        kind="admin-notice",
        recipient=user.email,
        user=user,
        language=language,
        context={"lines": lines, "count": len(told), "more": len(told) - len(lines)},
    )
