"""Applies a file in one transaction, or shows what that would change.

A plan is the same run, taken back: so both are validated by the services of the admin panel and of
the API, and show what these have really written. See docs/decisions/0051-configuration-as-code.md.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, NoReturn
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.group_names import is_id
from accounts.models import User
from audit import audit_log
from core.errors import GatehouseError, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users
from operations.as_code.changes import Change, changes_between
from operations.as_code.document import DocumentError, read_document
from operations.as_code.fields import Entry, Problem, Problems
from operations.as_code.managed import Managed, Record, kept_values, load_record, store_record
from operations.as_code.object_types import KINDS, TABLES
from operations.as_code.reading import entries_of
from operations.as_code.run import AccountsMoved, Kind, Run, Stored, numbered
from operations.errors import OperationError
from webhooks.models import WebhookEndpoint

Snapshot = dict[str, dict[str, Stored]]
DIGEST_SHOWN = 12
# How often the accounts are looked up again, when others change their addresses meanwhile.
MAX_RUNS = 5
ACCOUNT_TABLES = frozenset({"people", "service_accounts"})


class ConfigurationInvalid(OperationError):
    """The file cannot be applied; nothing has changed. problems: everything that is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(each.message for each in self.problems[:3]))


@dataclass(frozen=True, slots=True)
class Options:
    """folder: where relative paths in the file begin. prunes: also remove what the file left."""

    folder: Path
    prunes: bool = False
    allows_owners: bool = False


class Outcome(NamedTuple):
    """left: objects of an earlier file that this one does not name, as `apps: wiki`."""

    changes: tuple[Change, ...]
    left: tuple[str, ...]


def plan_configuration(content: bytes, options: Options) -> Outcome:
    """What apply_configuration() would do. Writes nothing. Raises ConfigurationInvalid."""
    return _run(content, options, is_plan=True)


def apply_configuration(content: bytes, options: Options) -> Outcome:
    """Make the database be as the file says, in one transaction. A second time nothing is written.

    It acts as the command line, which has the rights of an owner. Raises ConfigurationInvalid with
    all problems.
    """
    return _run(content, options, is_plan=False)


def read_configuration(content: bytes) -> dict[str, list[Entry]]:
    """The objects of a file by their table. Raises ConfigurationInvalid."""
    problems = Problems()
    try:
        document = read_document(content)
    except DocumentError as error:
        raise ConfigurationInvalid([Problem(error.line, "", error.message)]) from None
    found = entries_of(document, TABLES, problems, timezone.get_current_timezone())
    result = {
        kind.table.name: _with_keys(kind, found[kind.table.name], problems)
        for kind in KINDS
        if kind.table.name in found
    }
    if problems:
        raise ConfigurationInvalid(problems)
    return result


def _with_keys(kind: Kind, entries: Iterable[Entry], problems: Problems) -> list[Entry]:
    """The entries with the stored form of their keys."""
    if not kind.table.key:
        return list(entries)
    cleaned = [replace(entry, key=key) for entry in entries if (key := _key(kind, entry, problems))]
    if kind.table.repeats:
        keys = numbered(entry.key for entry in cleaned)
        return [replace(entry, key=key) for entry, key in zip(cleaned, keys, strict=True)]
    lines: dict[str, int] = {}
    for entry in cleaned:
        first = lines.setdefault(entry.key, entry.line)
        if first != entry.line:
            text = f"line {first} has the same: write all fields there"
            problems.add(*entry.place(kind.table.key), text)
    return cleaned


def _key(kind: Kind, entry: Entry, problems: Problems) -> str:
    """ "" with a problem, or where a problem with the key is told already."""
    if kind.table.key not in entry.values:
        return ""
    try:
        key = kind.clean_key(entry.values[kind.table.key])
        problem = "" if key else "this is empty"
    except ValueError as error:
        key, problem = "", str(error)
    except RecordInvalid as error:
        key, problem = "", error.sentences
    if problem:
        problems.add(*entry.place(kind.table.key), problem)
    return key


def _run(content: bytes, options: Options, *, is_plan: bool) -> Outcome:
    entries = read_configuration(content)
    for _try in range(MAX_RUNS):
        run = Run(SYSTEM, options.folder, Problems(), options.allows_owners, entries)
        try:
            # All audit rows come last, because new accounts must not wait for others with the
            # chain.
            with transaction.atomic(), audit_log.deferred():
                outcome = _apply(run, options, hashlib.sha256(content).hexdigest())
                if is_plan:
                    _take_back(outcome)
        except _TakenBack as taken_back:
            (outcome,) = taken_back.args
        except AccountsMoved:
            continue
        return outcome
    raise OperationError(
        "Others are changing addresses of accounts in this file. Nothing has changed; repeat it."
    )


class _TakenBack(Exception):
    """Ends the transaction of a plan."""


def _take_back(outcome: Outcome) -> NoReturn:
    raise _TakenBack(outcome)


def _apply(run: Run, options: Options, digest: str) -> Outcome:
    run.locked |= _lock(run.entries, load_record())
    record = load_record()
    keys = _keys(run.entries, record)
    before = _read(keys)
    for name in ACCOUNT_TABLES:
        for row in before[name].values():
            run.require_locked(row.id)
    _refuse_renamed(run, record, before)
    for kind in KINDS:
        for entry in run.entries.get(kind.table.name, ()):
            kind.save(run, entry, before[kind.table.name].get(entry.key))
    _require_none(run.problems)
    for kind in KINDS:
        kind.arrange(run, run.entries.get(kind.table.name, []))
    removed, left = _remove(run, record, prunes=options.prunes)
    _require_none(run.problems)
    after = _read(keys)
    gone = {(change.table, change.key) for change in removed}
    changes = (*changes_between(before, after, run.secrets, gone), *removed)
    following = Record(digest, _managed(run.entries, record, before, after), left)
    if following != record:
        store_record(following)
        actions = [change.action for change in changes]
        audit_log.record(
            "instance:configuration:apply",
            actor=run.actor,
            digest=digest[:DIGEST_SHOWN],
            created=actions.count("create"),
            changed=actions.count("change"),
            removed=actions.count("remove"),
        )
    return Outcome(changes, tuple(map(str, left)))


def _lock(entries: Mapping[str, list[Entry]], record: Record) -> set[UUID]:
    """Lock everything that the services lock, in the order of docs/architecture.md.

    Returns the accounts. Until they are locked, another one may get an address of the file.
    """
    recorded = [each for each in record.objects + record.left if each.table in ACCOUNT_TABLES]
    # An account that was renamed is found by its id, and who has its name now by that.
    logins = {each.key for each in recorded}
    for kind in KINDS:
        logins |= kind.users_of(entries.get(kind.table.name, ()))
    keys = set(User.objects.filter(email__in=logins).values_list("pk", flat=True))
    keys |= {UUID(each.id) for each in recorded if is_id(each.id)}
    lock_users(*keys)
    list(WebhookEndpoint.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    acquire_lock(ROLES)
    return keys


def _refuse_renamed(run: Run, record: Record, before: Snapshot) -> None:
    """An object that has another name now is not made a second time.

    Otherwise an account that has a new address would leave its role to whoever has the old one.
    """
    earlier = _by_key(record)
    for kind in KINDS:
        name = kind.table.name
        keys = {row.id: key for key, row in before[name].items()}
        for entry in run.entries.get(name, ()):
            known = earlier.get((name, entry.key))
            if known is None or entry.key in before[name]:
                continue
            now = keys.get(known.id) or kind.key_of(known.id)
            if now:
                text = f"this is “{now}” now: write that here, or change it back"
                run.wrong(entry, kind.table.key, text)


def _by_key(record: Record) -> dict[tuple[str, str], Managed]:
    return {(each.table, each.key): each for each in record.left + record.objects}


def _keys(entries: Mapping[str, list[Entry]], record: Record) -> dict[str, set[str]]:
    """What is read of each table: the objects of the file, and those that apply manages."""
    found: dict[str, set[str]] = {kind.table.name: set() for kind in KINDS}
    for name, rows in entries.items():
        found[name] |= {entry.key for entry in rows}
    for each in record.objects + record.left:
        if each.table in found:
            found[each.table].add(each.key)
    return found


def _read(keys: Mapping[str, Collection[str]]) -> Snapshot:
    return {kind.table.name: kind.read(keys[kind.table.name]) for kind in KINDS}


def _require_none(problems: Problems) -> None:
    if problems:
        raise ConfigurationInvalid(problems)


def _remove(run: Run, record: Record, *, prunes: bool) -> tuple[list[Change], tuple[Managed, ...]]:
    """(what was removed, what the file no longer names and is still there), the last kind first."""
    removed: list[Change] = []
    left: list[Managed] = []
    for kind in reversed(KINDS):
        name = kind.table.name
        named = {entry.key for entry in run.entries.get(name, ())}
        managed = [each for each in record.objects + record.left
                   if each.table == name and each.key not in named]  # fmt: skip
        stored = kind.read({each.key for each in managed})
        for each in managed:
            row = stored.get(each.key)
            # What somebody has deleted, and made again by hand, is not ours.
            if row is None or not each.is_row(row):
                continue
            # An account that was found is nobody's to take away, and the appearance never goes.
            if (not each.is_made and name in ACCOUNT_TABLES) or not kind.table.key:
                continue
            if not prunes:
                left.append(each._replace(values=None))
                continue
            try:
                word = kind.remove(run, row)
            except GatehouseError as error:
                run.problems.add(0, str(each), error.sentences)
                continue
            if word:
                removed.append(Change("remove", name, each.key, note=word))
    return removed, tuple(left)


def _managed(
    entries: Mapping[str, list[Entry]], record: Record, before: Snapshot, after: Snapshot
) -> tuple[Managed, ...]:
    """The objects of the file as they are now."""
    earlier = _by_key(record)
    found = []
    for kind in KINDS:
        name = kind.table.name
        for entry in entries.get(name, ()):
            row = after[name][entry.key]
            known = earlier.get((name, entry.key))
            is_made = entry.key not in before[name] or (
                known is not None and known.is_made and known.is_row(row)
            )
            found.append(Managed(name, entry.key, row.id, is_made, kept_values(kind, entry, row)))
    return tuple(found)
