"""Watches the statements of a process and tells when locks are taken in another order.

The order (docs/architecture.md): rows of people first, then the lock of roles, the audit chain
last. After it nothing is locked except rows of a user who is locked already. A service that changes
rows that others change after the chain holds their person, or the lock of roles, before. Needs no
pytest.
"""

import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from accounts.actors import ANONYMOUS_ID

USERS, LOCKS, AUDIT_ROWS = "accounts_user", "core_namedlock", "audit_auditevent"
# Rows of the chain itself; signing keys, which change under the lock of the chain alone; counters;
# and notes of requests, which the one who has taken them deletes.
FREE = {AUDIT_ROWS, "api_signingkey", "core_cacheentry", "accounts_emailrequest"}
# Rows of people, and rows of the instance, that some services change when they hold the chain: who
# changes them without the lock that all others hold waits for the chain with them in hand.
OF_USERS = {
    "accounts_accounttoken",
    "accounts_browsersession",
    "api_apikey",
    "api_foreignidentity",
    "api_tokenfamily",
    "federation_externalidentity",
    "magiclinks_loginlink",
    "mfa_authenticator",
    "mfa_recoverycode",
    "mfa_trustedbrowser",
}
OF_ROLES = {
    "accounts_invitation",
    "access_reviews_accessreview",
    "access_reviews_reviewitem",
    "applications_app",
    "applications_customscope",
    "forward_auth_accessrule",
}
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
    waited_for: set[uuid.UUID] = field(default_factory=set)
    locks: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)


class Watcher:
    """One for each thread, because connections are."""

    def __init__(self) -> None:
        self.taken = Taken()
        self.faults: list[str] = []
        # Functions under which a lock was taken or a row written in a transaction.
        self.reached: set[str] = set()

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
        self.reached |= _callers()
        block = connection.atomic_blocks[0]
        if self.taken.block is not block:
            self.taken = Taken(block)
        table = match[2] or match[3]
        self.taken.seen.append(f"{match[1] or 'FOR UPDATE'} {table}")
        if table == LOCKS:
            self._note_lock(str([value for value in params if isinstance(value, str)][-1]))
        elif table == USERS:
            keys = set(_keys(params))
            if LEAVES_OUT in sql:
                keys -= {ANONYMOUS_ID}
            self._note_users(keys, is_new=match[1] == "INSERT INTO")
        elif table not in FREE:
            self._note_row(table, is_new=match[1] == "INSERT INTO")

    def _note_users(self, keys: set[uuid.UUID], *, is_new: bool) -> None:
        before = self.taken.locks | self.taken.written
        new = keys - self.taken.people
        if before and not is_new and new:
            self._fault(f"a person after {sorted(before)}")
        if not is_new and any(later > key for key in new for later in self.taken.waited_for):
            self._fault("a person after one whose key comes later")
        if not is_new:
            self.taken.waited_for |= new
        self.taken.people |= keys

    def _note_row(self, table: str, *, is_new: bool) -> None:
        self.taken.written.add(table)
        if not is_new:
            self.taken.changed.add(table)
        if "audit" in self.taken.locks and not self.taken.people:
            self._fault(f"{table} after the audit chain, and no person is locked")

    def _note_lock(self, name: str) -> None:
        if name == "roles" and "audit" in self.taken.locks and "roles" not in self.taken.locks:
            self._fault("the lock of roles after the audit chain")
        if name == "audit" and "audit" not in self.taken.locks:
            self._note_bare()
        self.taken.locks.add(name)

    def _note_bare(self) -> None:
        """What was changed without the lock that is its own, now that the chain is waited for."""
        bare = set() if self.taken.people else self.taken.changed & OF_USERS
        if "roles" not in self.taken.locks:
            bare |= self.taken.changed & OF_ROLES
        if bare:
            self._fault(f"{sorted(bare)} before the audit chain, without the lock that is theirs")

    def _fault(self, what: str) -> None:
        self.faults.append(f"{what}: {' · '.join(self.taken.seen)}")


def _keys(params: Any) -> Iterator[uuid.UUID]:
    for value in params or ():
        if isinstance(value, uuid.UUID):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _keys(value)


def _callers() -> set[str]:
    """The functions that this thread is in, by dotted names."""
    found = set()
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        found.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")
    return found


@contextmanager
def watched() -> Iterator[Watcher]:
    """What this thread does inside the block: its `faults`, and what has `reached` a lock."""
    watcher = Watcher()
    with connection.execute_wrapper(watcher):
        yield watcher
