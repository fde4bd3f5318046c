"""Synchronizes accounts with the directory: disables removed users, and updates roles.

plan() only reads. apply() writes in batches, each with one audit row that lists its changes, so
that undo() works even if the run was interrupted. An error of the directory never means "no users":
it ends the run before anything is written.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import NamedTuple, Self, TypeVar

from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.roles import Role
from accounts.services.groups.sources import (
    differs,
    existing_names,
    names_of_source_by_user,
)
from accounts.services.sessions import revoke_sessions
from accounts.services.users import change_role, disable_user, enable_user
from audit import audit_log
from audit.models import AuditEvent
from core.errors import GatehouseError, LastOwner
from core.locks import lock_users
from federation.group_mapping import MappedGroups
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.connection import opened_as_service
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import issuer_of, user_info_of
from federation.ldap.users import DirectoryUser, attributes, describe, subject_of
from federation.models import ExternalIdentity
from federation.services.groups import membership_source, update_groups
from federation.services.identities import decide, has_enough_claims, mapped_role, profile_update_of
from federation.services.profile_updates import ProfileUpdate, changes_of, update_profile

SYNC, UNDO = "account:directory:sync", "account:directory:undo"
BATCH = 200
# Together with the worker's interval, below the five minutes that docs/ldap.md promises.
LIVE_EVERY = timedelta(minutes=4)
GONE = "not in the directory any more"
NOT_ADMITTED = "LDAP_AUTHORIZATION_FILTER does not find this person any more"
Item = TypeVar("Item")
Progress = Callable[[int], None]


class TooManyDisables(GatehouseError):
    """More users would be disabled than the limit allows; nothing was done."""

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
    """There is no run to undo."""

    code = "nothing_to_undo"
    status = 409

    def __init__(self) -> None:
        super().__init__("There is no run that could be undone.")


@dataclass(frozen=True, slots=True)
class Change:
    """One planned change: disable (role None), or assign `role`; with the reason."""

    user: User
    identity: ExternalIdentity
    reason: str
    role: Role | None = None


class ProfileChange(NamedTuple):
    """A profile that has changed in the directory. fields: what will be updated."""

    identity: ExternalIdentity
    update: ProfileUpdate
    fields: tuple[str, ...]


class GroupsChange(NamedTuple):
    """Groups that the directory puts a person into or takes them out of."""

    identity: ExternalIdentity
    mapped: MappedGroups


@dataclass(frozen=True, slots=True)
class Plan:
    """total: compared accounts. found: those that the directory still has.

    profiles: users whose address or names have changed there. groups: whose groups have.
    """

    total: int
    found: int
    disables: tuple[Change, ...]
    roles: tuple[Change, ...]
    profiles: tuple[ProfileChange, ...] = ()
    groups: tuple[GroupsChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Is everything as the directory says?"""
        return not (self.disables or self.roles or self.profiles or self.groups)

    def check_cap(self, percent: float) -> None:
        """Raise TooManyDisables if more than `percent` of all would be disabled."""
        if len(self.disables) * 100 > percent * self.total:
            raise TooManyDisables(len(self.disables), self.total, percent)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """run: its id, "" if nothing was done. kept: last owners, who were not changed."""

    run: str
    disabled: int
    roles: int
    kept: int
    profiles: int = 0
    groups: int = 0


def plan(config: LDAPConfig, *, users: Q | None = None, progress: Progress | None = None) -> Plan:
    """Compare active accounts with the directory, in pages (RFC 2696). Raises DirectoryError.

    users: limits the identities. progress(n): n more entries were read.
    """
    rows = ExternalIdentity.objects.select_related("user").filter(
        provider=PROVIDER, user__is_active=True
    )
    # By key, because a join with sessions returns a user once for each of them.
    found_rows = {row.pk: row for row in (rows.filter(users) if users else rows)}.values()
    waiting = {
        row.subject: row for row in found_rows if row.issuer == issuer_of(config, row.subject)
    }
    # Identities of another directory match no user of this one.
    elsewhere = [row for row in found_rows if waiting.get(row.subject) is not row]
    total = len(found_rows)
    disables: list[Change] = []
    roles: list[Change] = []
    profiles: list[ProfileChange] = []
    groups: list[GroupsChange] = []
    if total:
        now = _GroupsNow.read(config)
        for directory_user in _read(config, waiting, progress or (lambda _count: None)):
            row = waiting.pop(directory_user.subject)
            change = _compare(config, directory_user, row)
            if change is None or change.role is not None:
                info = user_info_of(config, directory_user)
                update = profile_update_of(config.source, info)
                fields = changes_of(row, update)
                if fields:
                    profiles.append(ProfileChange(row, update, tuple(fields)))
                mapped = config.source.groups.decide(info.claims)
                if now.differ(row, mapped):
                    groups.append(GroupsChange(row, mapped))
            if change is not None:
                (disables if change.role is None else roles).append(change)
    missing = [*waiting.values(), *elsewhere]
    found = total - len(missing)
    disables += [Change(row.user, row, GONE) for row in missing]
    return Plan(total, found, tuple(disables), tuple(roles), tuple(profiles), tuple(groups))


@dataclass(frozen=True, slots=True)
class _GroupsNow:
    """held: what the directory has put each user into. existing: the mapped groups that exist."""

    held: Mapping[uuid.UUID, set[str]]
    existing: frozenset[str]

    @classmethod
    def read(cls, config: LDAPConfig) -> Self:
        names = existing_names(config.source.groups.names)
        return cls(names_of_source_by_user(membership_source(PROVIDER)), names)

    def differ(self, identity: ExternalIdentity, mapped: MappedGroups) -> bool:
        held = self.held.get(identity.user_id, set())
        return differs(held, mapped.names & self.existing, mapped.unknown)


def _read(
    config: LDAPConfig, wanted: dict[str, ExternalIdentity], progress: Progress
) -> Iterator[DirectoryUser]:
    """Each wanted user that the directory has, once."""
    text = config.user_filter.for_anybody()
    seen: set[str] = set()
    count = 0
    with opened_as_service(config) as connection:
        for page in connection.pages(config.base_dn, text, attributes(config)):
            count += len(page)
            entries = []
            for entry in page:
                subject = subject_of(config, entry)
                if subject in wanted and subject not in seen:
                    seen.add(subject)
                    entries.append(entry)
            yield from describe(connection, config, entries)
            progress(len(page))
    if not count:
        # An empty result means lost permissions rather than an empty directory.
        raise DirectoryError(Failures.NO_USERS_VISIBLE)


def _compare(
    config: LDAPConfig, directory_user: DirectoryUser, identity: ExternalIdentity
) -> Change | None:
    user = identity.user
    info = user_info_of(config, directory_user)
    decision = decide(config.source, info)
    if not decision.is_admitted:
        return Change(
            user,
            identity,
            directory_user.disabled_reason.reason
            if directory_user.disabled_reason
            else NOT_ADMITTED,
        )
    if not has_enough_claims(config.source, user, info):
        return None  # incomplete groups must not change anything
    role = mapped_role(config.source, user, decision)
    return None if role == user.role else Change(user, identity, decision.reason, role)


def apply(planned: Plan, progress: Progress | None = None) -> SyncResult:
    """Apply the plan; ends sessions and tokens, and API keys of disabled users.

    Each account is checked again under its lock, so that changes by administrators in between stay.
    """
    run = str(uuid.uuid4())
    disabled = roles = kept = 0
    for batch in _batches((*planned.disables, *planned.roles)):
        done_disables: list[str] = []
        done_roles: list[list[str]] = []
        with transaction.atomic():
            there = _lock_existing(change.user.pk for change in batch)
            for change in batch:
                if change.user.pk not in there:
                    continue  # deleted since the plan was made
                try:
                    _apply_one(change, run, done_disables, done_roles)
                except LastOwner:
                    kept += 1
            _note_reasons(batch)
            if done_disables or done_roles:
                audit_log.record(SYNC, run=run, disabled=done_disables, roles=done_roles)
        disabled, roles = disabled + len(done_disables), roles + len(done_roles)
        if progress:
            progress(len(batch))
    followed = _follow(planned.profiles, progress)
    moved = sum(_set_groups(change, progress) for change in planned.groups)
    return SyncResult(run if disabled or roles else "", disabled, roles, kept, followed, moved)


def _set_groups(change: GroupsChange, progress: Progress | None) -> bool:
    """One transaction each: the lock of the audit log must be taken last."""
    with transaction.atomic():
        is_there = bool(_lock_existing([change.identity.user_id]))
        is_changed = is_there and update_groups(PROVIDER, change.identity.user, change.mapped)
    if progress:
        progress(1)
    return is_changed


def _follow(changes: Sequence[ProfileChange], progress: Progress | None) -> int:
    """Update addresses and names; returns the number of users.

    Runs twice where another account held the new address, which this run may have released.
    """
    followed: set[uuid.UUID] = set()
    waiting = list(changes)
    for _round in range(2):
        for batch in _batches(waiting):
            for change in batch:
                # One transaction each: the lock of the audit log must be taken last.
                with transaction.atomic():
                    if not _lock_existing([change.identity.user_id]):
                        continue
                    change.identity.user.refresh_from_db()
                    if update_profile(change.identity, change.update):
                        followed.add(change.identity.pk)
            if progress:
                progress(len(batch))
        waiting = [change for change in waiting if change.identity.former_email]
    return len(followed)


def _lock_existing(keys: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Lock these users; returns those who still have an identity of the directory."""
    wanted = list(keys)
    lock_users(*wanted)
    rows = ExternalIdentity.objects.filter(provider=PROVIDER, user__in=wanted)
    return set(rows.values_list("user_id", flat=True))


def _apply_one(change: Change, run: str, disables: list[str], roles: list[list[str]]) -> None:
    """Apply one change. Raises LastOwner, without a change."""
    user = change.user
    if change.role is None:
        disable_user(actor=SYSTEM, user=user, reason=f"syncldap {run}: {change.reason}")
        disables.append(str(user.pk))
        return
    before = str(user.role)
    change_role(actor=SYSTEM, user=user, role=change.role)
    roles.append([str(user.pk), before, str(change.role)])


def _note_reasons(changes: Sequence[Change]) -> None:
    """Store the reasons of roles for the admin; users of one group share one reason."""
    keys: dict[str, list[uuid.UUID]] = defaultdict(list)
    for change in changes:
        if change.role is not None:
            keys[change.reason].append(change.identity.pk)
    for reason, found in keys.items():
        rows = ExternalIdentity.objects.filter(pk__in=found)
        rows.update(role_reason=reason, role_decided_at=timezone.now())


def undo(progress: Progress | None = None) -> SyncResult:
    """Undo the last run: enable the users that it disabled, and restore roles.

    Users who were changed since then stay as they are. Raises NothingToUndo.
    """
    last = AuditEvent.objects.filter(action=SYNC).order_by("-seq").first()
    run = last.detail["run"] if last else ""
    if not run or AuditEvent.objects.filter(action=UNDO, detail__run=run).exists():
        raise NothingToUndo
    enabled = roles = kept = 0
    for event in AuditEvent.objects.filter(action=SYNC, detail__run=run).order_by("seq"):
        with transaction.atomic():
            changed = (key for key, _before, _after in event.detail["roles"])
            lock_users(*map(uuid.UUID, (*event.detail["disabled"], *changed)))
            for key in event.detail["disabled"]:
                enabled += _enable_again(key, run)
            for key, before, after in event.detail["roles"]:
                result = _restore_role(key, before, after)
                roles, kept = roles + (result is True), kept + (result is None)
        if progress:
            progress(len(event.detail["disabled"]) + len(event.detail["roles"]))
    audit_log.record(UNDO, run=run, enabled=enabled, roles=roles)
    return SyncResult(run, enabled, roles, kept)


def _enable_again(key: str, run: str) -> bool:
    """False for users who were disabled again since then, and for deleted accounts."""
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


def _restore_role(key: str, before: str, after: str) -> bool | None:
    """None if the last owner would lose the role, False if there is nothing to restore."""
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
    """Worker job, every five minutes: lower or end the access of recent users of the directory
    who have lost it there. Returns the number of changes.

    It disables no account, since the directory decides on the next sign-in anyway.
    """
    config: LDAPConfig | None = settings.LDAP
    if config is None or not _is_our_turn():
        return 0
    planned = plan(config, users=_live())
    ended = sum(_end(change) for change in planned.disables)
    outcome = apply(replace(planned, disables=()))
    return ended + outcome.roles + outcome.profiles + outcome.groups


def _is_our_turn() -> bool:
    """True for one of all server processes, once in LIVE_EVERY."""
    seconds = int(LIVE_EVERY.total_seconds())
    return bool(caches["counters"].add("ldap-sync-live", 1, timeout=seconds))


def _live() -> Q:
    """Identities whose users may have a session or a token now."""
    now = timezone.now()
    longest = max(settings.REFRESH_TOKEN_EXPIRY, settings.SESSION_EXPIRY)
    return Q(user__sessions__expire_date__gt=now) | Q(last_used_at__gt=now - longest)


def _end(change: Change) -> bool:
    """Revoke sessions and tokens, and audit it; False if there was nothing to revoke."""
    user = change.user
    with transaction.atomic():
        if not _lock_existing([user.pk]):
            return False
        is_ended = user.last_login is not None and user.credentials_valid_from >= user.last_login
        if is_ended and not user.sessions.exists():
            return False
        count = revoke_sessions(user, change.reason)
        audit_log.record(
            "account:session:end-all", actor=SYSTEM, target=user, count=count, reason=change.reason
        )
    return True


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
