"""Importing users from a file: all or nothing, or all rows without an error.

A row whose address has an account changes nothing, so a file may be imported again. With `update`
it changes name, role, state, ends and groups through the services of users and groups, which check
the rank and revoke sessions for each. A password is taken only for a new account. No mail is sent.
"""

import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.actors import Actor
from accounts.models import EndReminder, User
from accounts.roles import Role
from accounts.services import users
from accounts.services.approvals.rule import TwoPersonRequired
from accounts.services.bulk.groups import (
    GROUP_GONE,
    GroupBook,
    change_groups,
    insert_memberships,
)
from accounts.services.bulk.planning import (
    BATCH,
    SECOND_OWNER,
    Decision,
    ImportOptions,
    ImportResult,
    Outcome,
    Planner,
)
from accounts.services.end_dates import Subject, account_ends, passed_reminders
from accounts.services.users import Profile
from accounts.user_files.rows import RowError
from audit import audit_log
from core import sql
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users
from core.text.email_addresses import gettext_noop

TAKEN_MEANWHILE = gettext_noop("Another account has taken this since the import began.")
TAKEN_IN_FILE = gettext_noop(
    "Another account has taken an address or user name of the file since the import began. Nothing "
    "was imported. Import the file again."
)
CHANGED_MEANWHILE = gettext_noop("The account was changed meanwhile. Import the file again.")
Progress = Callable[[str, int], object]


class _Made(NamedTuple):
    """What the audit log says of a new account."""

    pk: uuid.UUID
    role: str
    ends: dict[str, Any]
    joined: list[Any]


class _Cancelled(Exception):
    """Rolls a transaction back. errors: of the row that could not be written; [] if it is not known
    which new account has a name that is taken by now."""

    def __init__(self, errors: list[RowError] | None = None) -> None:
        super().__init__()
        self.errors = errors or []


def plan_import(
    stream: BinaryIO,
    *,
    actor: Actor,
    options: ImportOptions,
    progress: Progress = lambda _stage, _count: None,
) -> ImportResult:
    """What import_users() would do now. Changes nothing. Raises RecordInvalid."""
    return _plan(Planner(stream, actor, options), progress)[0]


def import_users(
    stream: BinaryIO,
    *,
    actor: Actor,
    options: ImportOptions,
    progress: Progress = lambda _stage, _count: None,
) -> ImportResult:
    """Create the accounts of a file, and update existing ones if the options say so.

    stream: a binary file that can be read twice. Without `skip_errors` one wrong row cancels the
    whole file: result.is_done is False then, and nothing was written. With it, each batch of rows
    is a transaction. Each account has its audit row, and each batch one with counts. progress: is
    called with "checked" or "written" and the number of these rows. Raises Forbidden below admin,
    and RecordInvalid for a file that cannot be read; with `skip_errors`, the batches before the
    faulty line are imported then.
    """
    if isinstance(actor, User) and not actor.is_staff:
        raise Forbidden
    if options.skip_errors:
        return _import_batches(Planner(stream, actor, options), progress)
    planned, keys = _plan(Planner(stream, actor, options), progress)
    if planned.counts[Outcome.ERROR] or not planned.changes:
        return planned
    return _import_all(Planner(stream, actor, options), progress, planned, keys)


def _plan(planner: Planner, progress: Progress) -> tuple[ImportResult, set[uuid.UUID]]:
    """The plan, and the accounts that it changes."""
    result, keys = _result_of(planner), set[uuid.UUID]()
    for batch in planner.batches():
        result.add(batch)
        keys |= _keys(batch)
        progress("checked", len(batch))
    return result, keys


def _import_all(
    planner: Planner, progress: Progress, planned: ImportResult, keys: set[uuid.UUID]
) -> ImportResult:
    """Everything in one transaction, with the file decided again under the locks."""
    result = _result_of(planner)
    try:
        with transaction.atomic():
            _lock(planner.actor, keys)
            result.is_done = _write(planner, _decided(planner, result, progress), keys)
    except _Cancelled as cancelled:
        # What the plan did not see: the file or the accounts have changed since.
        if not cancelled.errors:
            raise RecordInvalid({"file": [_(TAKEN_IN_FILE)]}) from None
        planned.errors = cancelled.errors
        planned.counts[Outcome.ERROR] += 1
        return planned
    return result


def _decided(
    planner: Planner, result: ImportResult, progress: Progress
) -> Iterator[list[Decision]]:
    """The batches of a file that has no error; raises _Cancelled if it has one by now."""
    for batch in planner.batches():
        wrong = next((each for each in batch if each.outcome == Outcome.ERROR), None)
        if wrong is not None:
            raise _Cancelled(wrong.errors)
        result.add(batch)
        yield batch
        progress("written", len(batch))


def _import_batches(planner: Planner, progress: Progress) -> ImportResult:
    result = _result_of(planner)
    for batch in planner.batches():
        _import_batch(planner, batch)
        result.add(batch)
        result.is_done = bool(result.changes)
        progress("written", len(batch))
    return result


def _import_batch(planner: Planner, batch: list[Decision]) -> None:
    """Write a batch in one transaction. A row that cannot be written becomes an error."""
    while any(each.outcome in (Outcome.NEW, Outcome.UPDATE) for each in batch):
        keys = _keys(batch)
        try:
            with transaction.atomic():
                _lock(planner.actor, keys)
                _write(planner, [batch], keys)
        except _Cancelled as cancelled:
            if not cancelled.errors:
                _mark_conflicts(batch)
        else:
            return


def _mark_conflicts(batch: list[Decision]) -> None:
    """Make errors of new accounts whose names were taken since the batch was decided."""
    new = [each for each in batch if each.outcome == Outcome.NEW]
    emails = _taken("email", [each.row.email for each in new])
    names = _taken("username", [each.row.username for each in new])
    for decision in new:
        if decision.row.email in emails:
            _fail(decision, TAKEN_MEANWHILE)
        elif decision.row.username in names:
            _fail(decision, TAKEN_MEANWHILE, "username")


def _taken(field: str, wanted: Iterable[str | None]) -> set[Any]:
    texts = [text for text in wanted if text]
    found = User.all_objects.filter(**{f"{field}__in": texts})
    return set(found.values_list(field, flat=True))


def _lock(actor: Actor, keys: set[uuid.UUID]) -> None:
    """Lock the accounts that are changed, then the roles; see core.locks."""
    if isinstance(actor, User):
        access_policy.require_unchanged(actor)
    ordered = sorted(keys)
    for start in range(0, len(ordered), BATCH):
        lock_users(*ordered[start : start + BATCH])
    acquire_lock(ROLES)


def _write(planner: Planner, batches: Iterable[Sequence[Decision]], locked: set[uuid.UUID]) -> bool:
    """Insert new accounts, then update existing ones, last write the audit log.

    In this order, because no user is inserted while the audit chain is locked. What waits for the
    end is small: the ids of new accounts, and the rows of those that change. Returns whether
    anything was written. Raises _Cancelled.
    """
    actor, made = planner.actor, list[_Made]()
    updates: list[tuple[Decision, GroupBook | None]] = []
    for batch in batches:
        made += _insert(actor, batch, planner.book)
        updates += [(each, planner.book) for each in batch if each.outcome == Outcome.UPDATE]
    for decision, book in updates:
        _update(actor, decision, book, locked)
    _record(actor, made, len(updates))
    return bool(made or updates)


def _insert(actor: Actor, batch: Sequence[Decision], book: GroupBook | None) -> list[_Made]:
    new = [each for each in batch if each.outcome == Outcome.NEW]
    accounts = [_account(each) for each in new]
    now = timezone.now()
    reminders = [
        reminder
        for account in accounts
        for reminder in (
            *passed_reminders(account, Subject.ACCOUNT, account.expires_at, now),
            *passed_reminders(account, Subject.ROLE, account.role_until, now),
        )
    ]
    try:
        with transaction.atomic():
            sql.insert(accounts)
            if reminders:
                EndReminder.objects.bulk_create(reminders)
    except IntegrityError:
        raise _Cancelled from None
    joined = _insert_groups(actor, new, accounts, book)
    return [
        _Made(account.pk, account.role, account_ends(account), joined.get(account.pk, []))
        for account in accounts
    ]


def _insert_groups(
    actor: Actor, new: Sequence[Decision], accounts: Sequence[User], book: GroupBook | None
) -> dict[uuid.UUID, list[Any]]:
    """Drafts for the audit log by account. Raises _Cancelled."""
    if book is None:
        return {}
    pairs = [(user, each.row.groups) for user, each in zip(accounts, new, strict=True)]
    try:
        drafts = insert_memberships(actor, book, pairs)
    except RecordInvalid as error:
        (gone,) = error.errors["groups"]
        decision = next(each for each in new if gone in [cell.name for cell in each.row.groups])
        raise _Cancelled(_fail(decision, GROUP_GONE, "groups", gone)) from None
    found: dict[uuid.UUID, list[Any]] = {}
    for draft in drafts:
        found.setdefault(draft.target_id, []).append(draft)
    return found


def _account(decision: Decision) -> User:
    row, now = decision.row, timezone.now()
    return User(
        kind=row.kind,
        responsible=decision.responsible,
        email=row.email,
        username=row.username,
        name=row.name or "",
        role=row.role or Role.VIEWER.value,
        is_active=row.is_active is not False,
        email_verified_at=now if row.is_verified else None,
        created_at=row.created_at or now,
        expires_at=row.expires_at,
        role_until=row.role_until,
        role_after=row.role_after or "",
        password=row.password or f"{UNUSABLE_PASSWORD_PREFIX}{secrets.token_hex(20)}",
    )


def _update(
    actor: Actor, decision: Decision, book: GroupBook | None, locked: set[uuid.UUID]
) -> None:
    """Make the changes of one account through the services. Raises _Cancelled."""
    user = decision.user
    if user is None or user.pk not in locked:
        # It was made since the locks were taken; taking one now would be against their order.
        raise _Cancelled(_fail(decision, CHANGED_MEANWHILE))
    try:
        with transaction.atomic():
            _change(actor, user, decision.changes)
            if "groups" in decision.changes and book is not None:
                change_groups(actor, user, book, *decision.changes["groups"])
    except TwoPersonRequired:
        # The plan refuses it; somebody has become owner meanwhile. The request is rolled back.
        raise _Cancelled(_fail(decision, SECOND_OWNER)) from None
    except NotFound:
        raise _Cancelled(_fail(decision, CHANGED_MEANWHILE, "groups")) from None
    except (Forbidden, RecordInvalid) as error:
        raise _Cancelled(_fail(decision, error.sentences)) from None


def _change(actor: Actor, user: User, changes: dict[str, Any]) -> None:
    if "name" in changes:
        users.edit_profile(actor=actor, user=user, profile=Profile(name=changes["name"]))
    if "role" in changes:
        users.change_role(
            actor=actor,
            user=user,
            role=changes["role"],
            until=changes.get("role_until"),
            then=changes.get("role_after", ""),
        )
    if "expires_at" in changes:
        users.set_expiry(actor=actor, user=user, expires_at=changes["expires_at"])
    if "is_active" in changes:
        change = users.enable_user if changes["is_active"] else users.disable_user
        change(actor=actor, user=user)


def _record(actor: Actor, made: list[_Made], updated: int) -> None:
    """One audit row for each new account, and one with counts for each batch of them."""
    batch = str(uuid.uuid4())
    for start in range(0, max(len(made), 1), BATCH):
        part = made[start : start + BATCH]
        created, changed = len(part), 0 if start else updated
        if not created + changed:
            return
        drafts = [
            audit_log.draft(
                "account:user:create",
                actor=actor,
                target=each,
                role=each.role,
                source="import",
                batch=batch,
                **each.ends,
            )
            for each in part
        ]
        drafts += [draft for each in part for draft in each.joined]
        drafts.append(
            audit_log.draft(
                "account:user:import",
                actor=actor,
                batch=batch,
                created=created,
                updated=changed,
            )
        )
        audit_log.append(drafts)


def _result_of(planner: Planner) -> ImportResult:
    return ImportResult(mapping=planner.mapping, columns=planner.table.columns)


def _keys(batch: Iterable[Decision]) -> set[uuid.UUID]:
    """The accounts that a batch changes."""
    return {
        each.user.pk for each in batch if each.outcome == Outcome.UPDATE and each.user is not None
    }


def _fail(
    decision: Decision, message: str, field: str = "email", value: str = ""
) -> list[RowError]:
    """Make an error of a row that could not be written; returns its errors."""
    row = decision.row
    decision.outcome = Outcome.ERROR
    decision.errors = [RowError(row.line, field, message, value, row.email)]
    return decision.errors
