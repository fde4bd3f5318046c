"""Locks that the database holds, and their one order.

Users first, by lock_users(); then the lock of roles; the chain of the audit log last, which
audit_log.record() takes. What belongs to a user (sessions, tokens, mail) is changed under their
lock, invitations and rules under the lock of roles. What clears away takes free rows alone. See
docs/architecture.md; tests/accounts/test_lock_order.py watches every service.
"""

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, router, transaction
from django.db.models import QuerySet

from core.models import NamedLock

ROLES = "roles"
AUDIT = "audit"
BATCH = 1000


def acquire_lock(name: str) -> NamedLock:
    """The locked row `name`; held until the surrounding transaction ends.

    Must run inside a transaction, after lock_users(). Rows are made by the first migration.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("acquire_lock() needs a transaction")
    return NamedLock.objects.select_for_update().get(pk=name)


def lock_users(*keys: uuid.UUID | None) -> None:
    """Hold these accounts until the surrounding transaction ends; before any other row is written.

    Always in the order of their keys, so that two who want the same people never wait for each
    other. With SQLite a transaction is alone with all rows anyway.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("lock_users() needs a transaction")
    wanted = {key for key in keys if key is not None}
    if not wanted or not connection.features.has_select_for_update:
        return
    # Whoever writes a row that names the account (an invitation its inviter) asks whether it is
    # there, and would wait for a full lock: the wrong way round while they hold the lock of roles.
    users = get_user_model()._base_manager.filter(pk__in=wanted).order_by("pk")
    rows = users.select_for_update(no_key=True)
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
