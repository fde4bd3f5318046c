"""What the kinds of objects are made of, and what they share in one run of `apply`."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple
from uuid import UUID

from accounts.actors import Actor
from accounts.group_names import folded, is_id
from accounts.models import Group, User
from accounts.models.users import login_column
from core.errors import GatehouseError, RecordInvalid
from core.text.plain_text import trim_line
from operations.as_code.fields import Entry, Problems, Reference, Table

# Of a secret. A logo may be larger; the service that stores it says so.
MAX_FILE = 256 * 1024
# Begins the id of a person who is invited.
INVITATION = "invitation:"


class Stored(NamedTuple):
    """An object as it is stored. values: of the fields of the file, without secrets."""

    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects: how the file describes it, and the services that store it.

    clean_key: the stored form of a key; raises ValueError. read: all objects with one of these
    keys, or for None what an export writes, in the order of the file. save: makes the object of an
    entry be as it says; None stands for one that is not there. arrange: called once all are saved.
    remove: what becomes of an object that the file does not name any more, in a word; "" for
    nothing. users_of: addresses of the accounts that
    are locked first. key_of: the key that the row with this id has now, where read() does not read
    all rows; "" for none.
    """

    table: Table
    read: Callable[[Collection[str] | None], dict[str, Stored]]
    save: Callable[["Run", Entry, Stored | None], None]
    remove: Callable[["Run", Stored], str]
    clean_key: Callable[[str], str] = str.strip
    arrange: Callable[["Run", list[Entry]], None] = lambda _run, _entries: None
    users_of: Callable[[Iterable[Entry]], set[str]] = lambda _entries: set()
    key_of: Callable[[str], str] = lambda _id: ""
    # Fields that matter only when the object is made, so that a change of them is no difference.
    initial: frozenset[str] = frozenset()


class AccountsMoved(Exception):
    """An address of the file belongs to an account now that is not locked: begin again.

    It is too late to lock it; see docs/architecture.md on the order of locks.
    """


@dataclass(slots=True)
class Run:
    """folder: where relative paths of references begin. entries: the objects of the file.

    locked: the accounts that were there before, and are held until the end.
    """

    actor: Actor
    folder: Path
    problems: Problems
    allows_owners: bool = False
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    # (table, key) -> the secrets that were stored anew.
    secrets: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    locked: set[UUID] = field(default_factory=set)

    def require_locked(self, key: str) -> None:
        """Raise AccountsMoved for the id of an account that is not; others are no accounts."""
        if is_id(key) and UUID(key) not in self.locked:
            raise AccountsMoved

    @contextmanager
    def telling(
        self,
        entry: Entry,
        names: Mapping[str, str] | None = None,
        probe: Callable[[str, list[Any]], object] | None = None,
    ) -> Iterator[None]:
        """Turn errors of a service into problems of the entry.

        names: fields of the service that have another name in the file. probe: raises ValueError or
        RecordInvalid if this entry of a list is wrong by itself.
        """
        try:
            yield
        except RecordInvalid as error:
            for name, texts in error.errors.items():
                known = (names or {}).get(name, name)
                for text in texts:
                    self._tell(entry, known, str(text), probe)
        except GatehouseError as error:
            self.problems.add(entry.line, entry.path, error.message)

    def _tell(
        self, entry: Entry, name: str, text: str, probe: Callable[[str, list[Any]], object] | None
    ) -> None:
        if name not in entry.table.names:
            self.problems.add(entry.line, entry.path, text)
            return
        values = entry.values.get(name)
        if probe is not None and isinstance(values, list):
            for item, value in enumerate(values):
                try:
                    probe(name, [value])
                except (ValueError, RecordInvalid) as error:
                    own = error.sentences if isinstance(error, RecordInvalid) else str(error)
                    self.problems.add(*entry.place(name, item), own)
                    return
        self.problems.add(*entry.place(name), text)

    def wrong(self, entry: Entry, name: str, text: str, item: int | None = None) -> None:
        """Something is wrong with a field."""
        self.problems.add(*entry.place(name, item), text)

    def read_reference(self, entry: Entry, name: str) -> bytes:
        """What a reference of the entry means; b"" with a problem, or without a reference."""
        reference = entry.values.get(name)
        if not isinstance(reference, Reference):
            return b""
        try:
            return _content_of(reference, self.folder)
        except _Unreadable as error:
            self.wrong(entry, name, str(error))
            return b""

    def read_secret(self, entry: Entry, name: str) -> str:
        """A text that is kept elsewhere, in one line; "" with a problem, or without a reference."""
        content = self.read_reference(entry, name)
        try:
            text = trim_line(content.decode())
        except UnicodeDecodeError:
            text = ""
        if content and (not text or "\n" in text):
            self.wrong(entry, name, "what it refers to is not one line of text")
            return ""
        return text

    def note_secret(self, entry: Entry, name: str) -> None:
        """Say that a secret was stored anew."""
        self.secrets.setdefault((entry.table.name, entry.key), []).append(name)

    def group_ids(self, entry: Entry, name: str, kept: Collection[str] = ()) -> list[str]:
        """Ids of the groups that a field names. kept: ids that may stay, of deleted groups."""
        texts = _texts(entry, name)
        keys = [folded(text) for text in texts]
        rows = Group.objects.filter(name__in=keys) if texts else []
        found = {group.name: str(group.pk) for group in rows}
        problem = "there is no group of this name: add it under “groups”"
        ids = [found.get(key, "") for key in keys]
        made = [self.makes("groups", key) for key in keys]
        return self._ids(entry, name, ids, made, kept, problem)

    def people_ids(self, entry: Entry, name: str, kept: Collection[str] = ()) -> list[str]:
        """Ids of the people whose addresses a field has; see group_ids()."""
        texts = _texts(entry, name)
        keys = [login_column(text)[1] for text in texts]
        rows = User.objects.people().filter(email__in=keys) if texts else []
        found = {user.email: str(user.pk) for user in rows}
        problem = "no account has this address: add it under “people”, and do not invite it"
        ids = [found.get(key, "") for key in keys]
        made = [self.makes("people", key) for key in keys]
        return self._ids(entry, name, ids, made, kept, problem)

    def makes(self, table: str, key: str) -> bool:
        """Whether the file makes this object: if it is not there, that is told at its place."""
        found = (entry for entry in self.entries.get(table, ()) if entry.key == key)
        return any(not entry.values.get("invite") for entry in found)

    def _ids(
        self,
        entry: Entry,
        name: str,
        found: Sequence[str],
        made: Sequence[bool],
        kept: Collection[str],
        problem: str,
    ) -> list[str]:
        is_list = isinstance(entry.values.get(name), list)
        ids = []
        for item, text in enumerate(_texts(entry, name)):
            key = found[item] or (text if text in kept else "")
            if key:
                ids.append(key)
            elif not made[item]:
                self.wrong(entry, name, problem, item if is_list else None)
        return list(dict.fromkeys(ids))


def _texts(entry: Entry, name: str) -> list[str]:
    """The texts of a list, or the one text of a field; none if it is empty."""
    value = entry.values.get(name) or []
    return [value] if isinstance(value, str) else list(value)


class _Unreadable(Exception):
    """Why a reference means nothing, without what is there."""


def _content_of(reference: Reference, folder: Path) -> bytes:
    kind, name = reference
    if kind == "env":
        text = os.environ.get(name, "")
        if not text:
            raise _Unreadable(f"the variable {name} is not set where this command runs")
        return text.encode(errors="surrogateescape")
    path = folder / name
    try:
        if not S_ISREG(path.stat().st_mode):
            raise _Unreadable("this is no file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _Unreadable(f"this file cannot be read: {error.strerror}") from None
    if not content or len(content) > MAX_FILE:
        raise _Unreadable("this file is empty" if not content else "this file is too large")
    return content


def numbered(keys: Iterable[str]) -> Iterator[str]:
    """Keys that may repeat, told apart: `wiki`, `wiki  (2)`. No stored name has two spaces."""
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = number = counts.get(key, 0) + 1
        yield key if number == 1 else f"{key}  ({number})"


def is_same(wanted: Mapping[str, Any], stored: Stored) -> bool:
    """Whether the object has all these values already."""
    return all(name in stored.values and stored.values[name] == value
               for name, value in wanted.items())  # fmt: skip
