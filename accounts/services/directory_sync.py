"""Keeping accounts in step with the directory: whoever is gone or disabled there is shut out.

Roles follow groups.

plan() only reads. apply() writes in batches, each batch with one audit row that names what it did,
so that undo() finds it whatever became of the run. An error of the directory is never taken for
"nobody is there": it ends the run before anything is written.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.actors import SYSTEM
from accounts.directory.connection import opened_as_service
from accounts.directory.failures import DirectoryError, Failures
from accounts.directory.people import Person, attributes, describe, subject_of
from accounts.directory.values import PROVIDER, Directory
from accounts.errors import GatehouseError, LastOwner
from accounts.locks import lock_people
from accounts.models import AuditEvent, Identity, User
from accounts.roles import Role
from accounts.services.directory import arrival_of, issuer_of
from accounts.services.identities import decide, is_told, role_by, told_by
from accounts.services.profile_updates import Told, changes_of, update_profile
from accounts.services.sessions import end_sign_ins
from accounts.services.users import change_role, disable_user, enable_user

SYNC, UNDO = "account:directory:sync", "account:directory:undo"
BATCH = 200
# With the worker's own steps this stays below the five minutes that docs/ldap.md promises.
LIVE_EVERY = timedelta(minutes=4)
GONE = "not in the directory any more"
NOT_ADMITTED = "LDAP_AUTHORIZATION_FILTER does not find this person any more"
Item = TypeVar("Item")
Progress = Callable[[int], None]


class TooManyDisables(GatehouseError):
    """More people would be shut out than the cap allows; nothing was done."""

    code = "too_many_disables"
    status = 409

    def __init__(self, count: int, total: int, percent: float) -> None:
        self.count, self.total = count, total
        needed = -(-count * 100 // total)
        super().__init__(
            f"{count} of {total} people would be disabled, more than {percent:g} %. Nothing was "
            f"done. If that is right, run it again with --max-percent {needed}."
        )


class NothingToUndo(GatehouseError):
    """No run is left that could be undone."""

    code = "nothing_to_undo"
    status = 409

    def __init__(self) -> None:
        super().__init__("There is no run that could be undone.")


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to one account: disabled (role None), or given `role`; and why."""

    user: User
    identity: Identity
    reason: str
    role: Role | None = None


class ProfileChange(NamedTuple):
    """What the directory tells anew of a person. fields: what will follow it."""

    identity: Identity
    told: Told
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """total: accounts that were compared. found: how many the directory still has.

    profiles: whose address or names have changed there, with what is told now.
    """

    total: int
    found: int
    disables: tuple[Change, ...]
    roles: tuple[Change, ...]
    profiles: tuple[ProfileChange, ...] = ()

    def check_cap(self, percent: float) -> None:
        """Raise TooManyDisables when more than `percent` of all would be disabled."""
        if len(self.disables) * 100 > percent * self.total:
            raise TooManyDisables(len(self.disables), self.total, percent)


@dataclass(frozen=True, slots=True)
class Outcome:
    """run: its id, "" when nothing was done. kept: last owners that were left alone."""

    run: str
    disabled: int
    roles: int
    kept: int
    profiles: int = 0


def plan(
    directory: Directory, *, people: Q | None = None, progress: Progress | None = None
) -> Plan:
    """Compare active accounts with the directory, in pages (RFC 2696). Raises DirectoryError.

    people: only these identities. progress(n): n more entries were read.
    """
    rows = Identity.objects.select_related("user").filter(provider=PROVIDER, user__is_active=True)
    # By key, because a condition on sessions finds a person once for each of them.
    found_rows = {row.pk: row for row in (rows.filter(people) if people else rows)}.values()
    waiting = {
        row.subject: row for row in found_rows if row.issuer == issuer_of(directory, row.subject)
    }
    # Of another directory: nobody of this one, whatever their number is.
    elsewhere = [row for row in found_rows if waiting.get(row.subject) is not row]
    total = len(found_rows)
    disables: list[Change] = []
    roles: list[Change] = []
    profiles: list[ProfileChange] = []
    if total:
        for person in _read(directory, waiting, progress or (lambda _count: None)):
            row = waiting.pop(person.subject)
            change = _compare(directory, person, row)
            if change is None or change.role is not None:
                told = told_by(directory.door, arrival_of(directory, person))
                fields = changes_of(row, told)
                if fields:
                    profiles.append(ProfileChange(row, told, tuple(fields)))
            if change is not None:
                (disables if change.role is None else roles).append(change)
    missing = [*waiting.values(), *elsewhere]
    found = total - len(missing)
    disables += [Change(row.user, row, GONE) for row in missing]
    return Plan(total, found, tuple(disables), tuple(roles), tuple(profiles))


def _read(
    directory: Directory, wanted: dict[str, Identity], progress: Progress
) -> Iterator[Person]:
    """Each wanted person whom the directory has, once."""
    text = directory.user_filter.for_anybody()
    seen: set[str] = set()
    count = 0
    with opened_as_service(directory) as connection:
        for page in connection.pages(directory.base_dn, text, attributes(directory)):
            count += len(page)
            entries = []
            for entry in page:
                subject = subject_of(directory, entry)
                if subject in wanted and subject not in seen:
                    seen.add(subject)
                    entries.append(entry)
            yield from describe(connection, directory, entries)
            progress(len(page))
    if not count:
        # A directory with people in it does not become empty; a right that was lost looks so.
        raise DirectoryError(Failures.NOBODY_SEEN)


def _compare(directory: Directory, person: Person, identity: Identity) -> Change | None:
    user = identity.user
    arrival = arrival_of(directory, person)
    decision = decide(directory.door, arrival)
    if not decision.is_admitted:
        return Change(user, identity, person.shut.reason if person.shut else NOT_ADMITTED)
    if not is_told(directory.door, user, arrival):
        return None  # a part of the groups is no reason to change anything
    role = role_by(directory.door, user, decision)
    return None if role == user.role else Change(user, identity, decision.reason, role)


def apply(planned: Plan, progress: Progress | None = None) -> Outcome:
    """Do what the plan says. Ends sessions, tokens and, of the disabled, keys. progress as above.

    Each account is looked at again under the lock of roles: what an operator did in between stays.
    """
    run = str(uuid.uuid4())
    disabled = roles = kept = 0
    for batch in _batches((*planned.disables, *planned.roles)):
        done_disables: list[str] = []
        done_roles: list[list[str]] = []
        with transaction.atomic():
            there = _hold(change.user.pk for change in batch)
            for change in batch:
                if change.user.pk not in there:
                    continue  # deleted since the plan was made
                try:
                    _apply_one(change, run, done_disables, done_roles)
                except LastOwner:
                    kept += 1
            _note_reasons(batch)
            if done_disables or done_roles:
                audit.record(SYNC, run=run, disabled=done_disables, roles=done_roles)
        disabled, roles = disabled + len(done_disables), roles + len(done_roles)
        if progress:
            progress(len(batch))
    followed = _follow(planned.profiles, progress)
    return Outcome(run if disabled or roles else "", disabled, roles, kept, followed)


def _follow(changes: Sequence[ProfileChange], progress: Progress | None) -> int:
    """Take over addresses and names; returns of how many people.

    Twice where an address was somebody else's at first: they may have given it back in this run.
    """
    followed: set[uuid.UUID] = set()
    waiting = list(changes)
    for _round in range(2):
        for batch in _batches(waiting):
            for change in batch:
                # One at a time: each is written into the audit log, whose lock comes last.
                with transaction.atomic():
                    if not _hold([change.identity.user_id]):
                        continue
                    change.identity.user.refresh_from_db()
                    if update_profile(change.identity, change.told):
                        followed.add(change.identity.pk)
            if progress:
                progress(len(batch))
        waiting = [change for change in waiting if change.identity.former_email]
    return len(followed)


def _hold(keys: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Lock these people; those who are still there with an identity of the directory."""
    wanted = list(keys)
    lock_people(*wanted)
    rows = Identity.objects.filter(provider=PROVIDER, user__in=wanted)
    return set(rows.values_list("user_id", flat=True))


def _apply_one(change: Change, run: str, disables: list[str], roles: list[list[str]]) -> None:
    """Raises LastOwner, with nothing of this account written."""
    user = change.user
    if change.role is None:
        disable_user(actor=SYSTEM, user=user, reason=f"syncldap {run}: {change.reason}")
        disables.append(str(user.pk))
        return
    before = str(user.role)
    change_role(actor=SYSTEM, user=user, role=change.role)
    roles.append([str(user.pk), before, str(change.role)])


def _note_reasons(changes: Sequence[Change]) -> None:
    """For the panel's line "why this role"; people of one group share one reason."""
    keys: dict[str, list[uuid.UUID]] = defaultdict(list)
    for change in changes:
        if change.role is not None:
            keys[change.reason].append(change.identity.pk)
    for reason, found in keys.items():
        rows = Identity.objects.filter(pk__in=found)
        rows.update(role_reason=reason, role_decided_at=timezone.now())


def undo(progress: Progress | None = None) -> Outcome:
    """Take the last run back: open whom it disabled, give back the roles it took.

    Whoever was changed since then is left alone. Raises NothingToUndo.
    """
    last = AuditEvent.objects.filter(action=SYNC).order_by("-seq").first()
    run = last.detail["run"] if last else ""
    if not run or AuditEvent.objects.filter(action=UNDO, detail__run=run).exists():
        raise NothingToUndo
    enabled = roles = kept = 0
    for event in AuditEvent.objects.filter(action=SYNC, detail__run=run).order_by("seq"):
        with transaction.atomic():
            changed = (key for key, _before, _after in event.detail["roles"])
            lock_people(*map(uuid.UUID, (*event.detail["disabled"], *changed)))
            for key in event.detail["disabled"]:
                enabled += _enable_again(key, run)
            for key, before, after in event.detail["roles"]:
                result = _give_back(key, before, after)
                roles, kept = roles + (result is True), kept + (result is None)
        if progress:
            progress(len(event.detail["disabled"]) + len(event.detail["roles"]))
    audit.record(UNDO, run=run, enabled=enabled, roles=roles)
    return Outcome(run, enabled, roles, kept)


def _enable_again(key: str, run: str) -> bool:
    """False for whom somebody else has disabled since then, and for deleted accounts."""
    user: User | None = User.objects.filter(pk=key, is_active=False).first()
    if user is None:
        return False
    latest = (
        AuditEvent.objects.filter(action="account:user:disable", target_id=key)
        .order_by("-seq")
        .first()
    )
    if latest is None or not str(latest.detail.get("reason", "")).startswith(f"syncldap {run}"):
        return False
    enable_user(actor=SYSTEM, user=user)
    return True


def _give_back(key: str, before: str, after: str) -> bool | None:
    """None when the last owner would go, False when there is nothing to give back."""
    user: User | None = User.objects.filter(pk=key, role=after).first()
    if user is None:
        return False
    try:
        with transaction.atomic():
            change_role(actor=SYSTEM, user=user, role=before)
    except LastOwner:
        return None
    return True


def sync_live() -> int:
    """Worker job: every five minutes, lower or end the access of whoever came by the directory
    lately and has lost it there. Returns how many were changed.

    It disables nobody: a sign-in afterwards is decided by the directory again.
    """
    directory: Directory | None = settings.LDAP
    if directory is None or not _is_our_turn():
        return 0
    planned = plan(directory, people=_live())
    ended = sum(_end(change) for change in planned.disables)
    outcome = apply(replace(planned, disables=()))
    return ended + outcome.roles + outcome.profiles


def _is_our_turn() -> bool:
    """Of all server processes one does it, once in that time."""
    seconds = int(LIVE_EVERY.total_seconds())
    return bool(caches["counters"].add("ldap-sync-live", 1, timeout=seconds))


def _live() -> Q:
    """Identities that may have a session or a token now."""
    now = timezone.now()
    longest = max(settings.REFRESH_TOKEN_EXPIRY, settings.SESSION_EXPIRY)
    return Q(user__sessions__expire_date__gt=now) | Q(last_used_at__gt=now - longest)


def _end(change: Change) -> bool:
    """End what there is to end, and say so once: who has nothing any more is no event."""
    user = change.user
    with transaction.atomic():
        if not _hold([user.pk]):
            return False
        is_ended = user.last_login is not None and user.not_before >= user.last_login
        if is_ended and not user.sessions.exists():
            return False
        count = end_sign_ins(user, change.reason)
        audit.record(
            "account:session:end-all", actor=SYSTEM, target=user, count=count, reason=change.reason
        )
    return True


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
