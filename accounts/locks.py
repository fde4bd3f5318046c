"""Locks that the database holds, and their one order.

People first, by lock_people(); then the lock of roles; the audit chain last, which audit.record()
takes. What belongs to a person (sessions, tokens, mail and the like) is changed under the lock of
the person, invitations and rules under the lock of roles. What clears away takes free rows alone.
See docs/architecture.md; tests/accounts/test_lock_order.py watches every service.
"""

import uuid
from typing import Any

from django.db import connection, router, transaction
from django.db.models import QuerySet

from accounts.models import HouseLock, User

ROLES = "roles"
AUDIT = "audit"
BATCH = 1000


def house_lock(name: str) -> HouseLock:
    """The locked row `name`; held until the surrounding transaction ends.

    Must run inside a transaction, after lock_people(). Rows are made by the first migration.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("house_lock() needs a transaction")
    return HouseLock.objects.select_for_update().get(pk=name)


def lock_people(*keys: uuid.UUID | None) -> None:
    """Hold these accounts until the surrounding transaction ends; before any other row is written.

    Always in the order of their keys, so that two who want the same people never wait for each
    other. With SQLite a transaction is alone with all rows anyway.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("lock_people() needs a transaction")
    wanted = {key for key in keys if key is not None}
    if not wanted or not connection.features.has_select_for_update:
        return
    # Whoever writes a row that names the account (an invitation its inviter) asks whether it is
    # there, and would wait for a full lock: the wrong way round while they hold the lock of roles.
    rows = User.everyone.filter(pk__in=wanted).order_by("pk").select_for_update(no_key=True)
    list(rows.values_list("pk", flat=True))


def hold_free(rows: "QuerySet[Any]", most: int = BATCH) -> list[Any]:
    """Keys of at most `most` rows that nobody holds, which are held from now on.

    For background work on rows of many people: it waits for nobody, so that it never stands in a
    circle. Whatever is busy has its turn the next time. Must run inside a transaction.
    """
    free = rows.select_for_update(skip_locked=True)
    return list(free.values_list("pk", flat=True)[:most])


def delete_free(rows: "QuerySet[Any]", *, batches: int = 1000) -> int:
    """Delete all rows that nobody holds, in short transactions; how many. See hold_free()."""
    count = 0
    for _batch in range(batches):
        with transaction.atomic(using=router.db_for_write(rows.model)):
            keys = hold_free(rows)
            rows.model._base_manager.filter(pk__in=keys).delete()
        count += len(keys)
        if len(keys) < BATCH:
            break
    return count
