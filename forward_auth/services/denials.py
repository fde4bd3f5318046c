"""Denials under short references, so that an administrator can look up why a request was denied.

They are collected in the process and written by its worker, so that no check waits for the disk. A
crash loses the last two seconds.

Anonymous clients (401) and users (403) have separate limits, by minute and for the table, so that a
flood of one kind hides nothing of the other. In a minute each client or user gets a few rows, and
all together some more. One row counts what exceeds these limits.
"""

import secrets
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from applications.models import App
from applications.refusals import RefusedSignIn
from applications.services.apps import find_app
from core.locks import ROLES, acquire_lock, delete_free, lock_users
from core.web.client_ip import network_key
from forward_auth.cache import CheckResult
from forward_auth.decisions import Decision, Principal, Question
from forward_auth.models import AccessRule, Denial
from forward_auth.request import Target
from forward_auth.rules.matching import Requirement

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 8
# Equal denials within this time share a reference.
SAME_FOR = timedelta(minutes=1)
MAX_WAITING = 5_000
KEEP = timedelta(days=7)
# In place of the kind of a credential: the refusal of a sign-in to an app.
SIGN_IN = "openid"
OVERFLOW = "more denials in a minute than are recorded one by one; this row counts the rest"


@dataclass(frozen=True, slots=True)
class _Limits:
    """The highest number of rows: of one client or user in a minute, of all in a minute (both for
    each process), and in the table.
    """

    each: int
    minute: int
    table: int


CLIENT_LIMITS = _Limits(each=20, minute=60, table=20_000)
USER_LIMITS = _Limits(each=30, minute=300, table=100_000)


@dataclass(slots=True)
class _Waiting:
    """Denials that are not written yet, and the references of the last minute.

    recent: by digest, because the target may be long. used: rows in `minute`, by kind and by client
    or user.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    new: dict[str, Denial] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    recent: dict[bytes, tuple[datetime, str]] = field(default_factory=dict)
    minute: int = 0
    used: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def reference(self, key: bytes, now: datetime) -> str:
        """The reference of an equal recent denial, which it counts once more; "" for none."""
        found = self.recent.get(key)
        if found is None or now - found[0] >= SAME_FOR:
            return ""
        self.again[found[1]] = self.again.get(found[1], 0) + 1
        return found[1]

    def has_room(self, subject: tuple[str, str], limits: _Limits, now: datetime) -> bool:
        """Reserve a row in this minute; False when the limits are reached."""
        minute = int(now.timestamp() // SAME_FOR.total_seconds())
        if minute != self.minute:
            self.minute, self.used = minute, Counter()
            self.recent = {key: row for key, row in self.recent.items() if now - row[0] < SAME_FOR}
        kind = subject[:1]
        if self.used[subject] >= limits.each or self.used[kind] >= limits.minute:
            return False
        self.used[subject] += 1
        self.used[kind] += 1
        return True


_waiting = _Waiting()


def note_denial(result: CheckResult, app_id: UUID | None = None) -> str:
    """Note a denial and return its reference; "" when too many wait to be written.

    app_id: of the app that was asked for as a whole.
    """
    now = timezone.now()
    key = result.denial_key = result.denial_key or _key(result)
    with _waiting.lock:
        found = _waiting.reference(key, now)
    # Most denials are repeated. Finding out whose they are takes longer than all else.
    if found:
        return found
    decision, user_id = result.decision, result.auth_result.user_id
    is_stranger = decision.status == 401
    subject = ("stranger", network_key(result.ip)) if is_stranger else ("person", str(user_id))
    make = _row
    with _waiting.lock:
        found = _waiting.reference(key, now)
        if not found and not _waiting.has_room(
            subject, CLIENT_LIMITS if is_stranger else USER_LIMITS, now
        ):
            key, make = _digest(subject[0], decision.code), _overflow_row
            found = _waiting.reference(key, now)
        if found or len(_waiting.new) >= MAX_WAITING:
            return found
        row = make(result, now)
        row.app_id = app_id if make is _row else None
        _waiting.recent[key] = (now, row.reference)
        _waiting.new[row.reference] = row
    return row.reference


def note_refused_sign_in(refused: RefusedSignIn) -> str:
    """Note that a person could not sign in to an app by OpenID Connect; see note_denial()."""
    app, user = refused.app, refused.user
    requirement = Requirement("", False, Role(app.openid_role), refused.why)
    who = Principal(
        kind=SIGN_IN,
        user_id=str(user.pk),
        email=user.email,
        name=user.name,
        role=Role(user.role),
        is_verified=user.is_verified,
        until=0,
    )
    # No path and no method: it is about the app as a whole.
    target = Target(app.host, app.path, "", "")
    decision = Decision(403, refused.code, requirement, Question.ROLE)
    key = _digest(SIGN_IN, str(app.pk), str(user.pk), refused.code, refused.ip)
    result = CheckResult(decision, [], who, target, refused.ip, denial_key=key)
    return note_denial(result, app.pk)


def write_denials() -> int:
    """Worker job: write the denials; returns the number of rows."""
    with _waiting.lock:
        new, _waiting.new = _waiting.new, {}
        again, _waiting.again = _waiting.again, {}
    if not new and not again:
        return 0
    for reference in list(again):
        if reference in new:
            new[reference].count += again.pop(reference)
    with transaction.atomic():
        _forget_deleted(new.values())
        Denial.objects.bulk_create(new.values(), batch_size=500, ignore_conflicts=True)
        for reference, count in again.items():
            Denial.objects.filter(pk=reference).update(count=F("count") + count)
    return len(new) + len(again)


def purge_denials(now: datetime) -> int:
    """Delete denials older than a week, and the oldest of either kind above its limit."""
    deleted = delete_free(Denial.objects.filter(at__lt=now - KEEP))
    strangers = Denial.objects.filter(status=401)
    users = Denial.objects.exclude(status=401)
    for rows, limits in ((strangers, CLIENT_LIMITS), (users, USER_LIMITS)):
        newest_above = rows.order_by("-at").values_list("at", flat=True)[limits.table :].first()
        if newest_above is not None:
            deleted += delete_free(rows.filter(at__lte=newest_above))
    return deleted


def _forget_deleted(rows: Collection[Denial]) -> None:
    """Clear references to users, rules and apps that were deleted, so that no row is lost.

    Deletions take the same locks. Without them, one of the two would fail at its commit, when the
    database checks foreign keys.
    """
    users = {row.user_id for row in rows if row.user_id}
    lock_users(*users)
    acquire_lock(ROLES)
    rules = {row.rule_id for row in rows if row.rule_id}
    users &= set(User.objects.filter(pk__in=users).values_list("pk", flat=True))
    rules &= set(AccessRule.objects.filter(pk__in=rules).values_list("pk", flat=True))
    apps = {row.app_id for row in rows if row.app_id}
    apps &= set(App.objects.filter(pk__in=apps).values_list("pk", flat=True))
    for row in rows:
        row.app_id = row.app_id if row.app_id in apps else None
        row.user_id = row.user_id if row.user_id in users else None
        row.rule_id = row.rule_id if row.rule_id in rules else None


def reference_in(text: str) -> str:
    """The reference that was typed; "" if it is none. Ignores spaces, hyphens and case."""
    found = "".join(text.split()).replace("-", "").upper()
    return found if len(found) == LENGTH and set(found) <= set(ALPHABET) else ""


def app_of_denial(row: Denial) -> App | None:
    """The app that was asked for, that of the rule that decided, or the one at the address now."""
    return row.app or (row.rule.app if row.rule else None) or find_app(row.host, row.path)


def _row(result: CheckResult, now: datetime) -> Denial:
    decision, auth_result, target = result.decision, result.auth_result, result.target
    return Denial(
        reference="".join(secrets.choice(ALPHABET) for _character in range(LENGTH)),
        at=now,
        status=decision.status,
        code=decision.code,
        why=decision.requirement.why[:200],
        rule_id=_id(decision.requirement.rule_id),
        user_id=_id(auth_result.user_id),
        credential=auth_result.kind,
        host=target.host[:253],
        path=target.path[:500],
        method=target.method,
        ip=result.ip,
    )


def _overflow_row(result: CheckResult, now: datetime) -> Denial:
    """A row for many denials, without what belongs to a single one."""
    row = _row(result, now)
    row.why, row.rule_id, row.user_id = OVERFLOW, None, None
    row.credential = row.host = row.path = row.method = row.ip = ""
    return row


def _key(result: CheckResult) -> bytes:
    """Equal for equal denials."""
    decision, target = result.decision, result.target
    return _digest(decision.code, decision.requirement.rule_id, result.auth_result.user_id,
                   result.ip, target.host, target.path, target.method)  # fmt: skip


def _digest(*parts: str | None) -> bytes:
    return blake2b("\n".join(map(repr, parts)).encode()).digest()


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None
