"""Database locks, and the one order in which they are taken.

First users, by lock_users(); then the lock of roles; last the audit chain, which audit_log.record()
takes. Change what belongs to a user (sessions, tokens, mail) under the lock of that user, and
invitations and access rules under the lock of roles. Clean-up jobs take only rows that are not
locked. See docs/architecture.md; tests/accounts/test_lock_order.py checks every service.
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
    """Lock the row `name` until the surrounding transaction ends, and return it.

    Call inside a transaction, after lock_users(). The first migration creates the rows.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("acquire_lock() needs a transaction")
    return NamedLock.objects.select_for_update().get(pk=name)


def lock_users(*keys: uuid.UUID | None) -> None:
    """Lock these users until the surrounding transaction ends. Call before you write any row.

    Users are locked in the order of their keys, so that two transactions never wait for each other.
    With SQLite there is one write transaction at a time anyway.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("lock_users() needs a transaction")
    wanted = {key for key in keys if key is not None}
    if not wanted or not connection.features.has_select_for_update:
        return
    # Inserting a row with a foreign key to the user (an invitation to its inviter) checks that the
    # user exists. It would wait for a full lock, in the wrong order while it holds that of roles.
    users = get_user_model()._base_manager.filter(pk__in=wanted).order_by("pk")
    rows = users.select_for_update(no_key=True)
    list(rows.values_list("pk", flat=True))


def hold_free(rows: "QuerySet[Any]", most: int = BATCH) -> list[Any]:
    """Lock at most `most` rows that are not locked; returns their keys.

    For background work on rows of many users: it never waits, so it cannot be part of a deadlock.
    The next run handles locked rows. Call inside a transaction.
    """
    free = rows.select_for_update(skip_locked=True)
    return list(free.values_list("pk", flat=True)[:most])


def delete_free(rows: "QuerySet[Any]", *, batches: int = 1000) -> int:
    """Delete all rows that are not locked, in short transactions; returns how many."""
    count = 0
    for _batch in range(batches):
        with transaction.atomic(using=router.db_for_write(rows.model)):
            keys = hold_free(rows)
            rows.model._base_manager.filter(pk__in=keys).delete()
        count += len(keys)
        if len(keys) < BATCH:
            break
    return count
