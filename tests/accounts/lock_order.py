"""Watches the statements of a process and tells when locks are taken in another order.

The order (docs/architecture.md): rows of people first, then the lock of roles, the audit chain
last. After it nothing is taken but what belongs to a person who is locked already. Needs no pytest.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from accounts.anonymous import ANONYMOUS_ID

PEOPLE, LOCKS, AUDIT_ROWS = "accounts_user", "core_namedlock", "audit_auditevent"
# Rows of the chain itself; signing keys, which change under the lock of the chain alone; counters;
# and notes of requests, which the one who has taken them deletes.
FREE = {AUDIT_ROWS, "api_signingkey", "core_cacheentry", "accounts_emailrequest"}
# What User.objects adds to each statement: its key is the one that is not touched.
LEAVES_OUT = 'NOT ("accounts_user"."id" = %s)'
TAKES = re.compile(
    r'^\s*(INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)"?|FROM\s+"?(\w+)"?.*FOR (?:NO KEY )?UPDATE',
    re.S,
)


@dataclass
class Taken:
    """What the present transaction holds."""

    block: Any = None
    people: set[uuid.UUID] = field(default_factory=set)
    locks: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)


class Watcher:
    """One for each thread, because connections are."""

    def __init__(self) -> None:
        self.taken = Taken()
        self.faults: list[str] = []

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if context["connection"].alias == "default" and connection.in_atomic_block:
            self._note(sql, params)
        return execute(sql, params, many, context)

    def _note(self, sql: str, params: Any) -> None:
        match = TAKES.search(sql)
        if match is None:
            return
        block = connection.atomic_blocks[0]
        if self.taken.block is not block:
            self.taken = Taken(block)
        table = match[2] or match[3]
        self.taken.seen.append(f"{match[1] or 'FOR UPDATE'} {table}")
        if table == LOCKS:
            self._note_lock(str([value for value in params if isinstance(value, str)][-1]))
        elif table == PEOPLE:
            keys = set(_keys(params))
            if LEAVES_OUT in sql:
                keys -= {ANONYMOUS_ID}
            self._note_people(keys, is_new=match[1] == "INSERT INTO")
        elif table not in FREE:
            self._note_row(table)

    def _note_people(self, keys: set[uuid.UUID], *, is_new: bool) -> None:
        before = self.taken.locks | self.taken.written
        if before and not is_new and not keys <= self.taken.people:
            self._fault(f"a person after {sorted(before)}")
        self.taken.people |= keys

    def _note_row(self, table: str) -> None:
        self.taken.written.add(table)
        if "audit" in self.taken.locks and not self.taken.people:
            self._fault(f"{table} after the audit chain, and no person is locked")

    def _note_lock(self, name: str) -> None:
        if name == "roles" and "audit" in self.taken.locks and "roles" not in self.taken.locks:
            self._fault("the lock of roles after the audit chain")
        self.taken.locks.add(name)

    def _fault(self, what: str) -> None:
        self.faults.append(f"{what}: {' · '.join(self.taken.seen)}")


def _keys(params: Any) -> Iterator[uuid.UUID]:
    for value in params or ():
        if isinstance(value, uuid.UUID):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _keys(value)


_here = threading.local()


@contextmanager
def watched() -> Iterator[list[str]]:
    """The faults of what this thread does inside the block."""
    watcher = Watcher()
    with connection.execute_wrapper(watcher):
        yield watcher.faults
