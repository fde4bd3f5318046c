"""Locks that the database holds, and their one order.

People first, by lock_people(); then the lock of roles; the audit chain last, which audit.record()
takes. What belongs to a person (sessions, tokens, mail and the like) is written under the lock of
the person. See docs/architecture.md; tests/accounts/test_lock_order.py watches every service.
"""

import uuid

from django.db import connection, transaction

from accounts.models import HouseLock, User

ROLES = "roles"
AUDIT = "audit"


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
    rows = User.everyone.filter(pk__in=wanted).order_by("pk").select_for_update()
    list(rows.values_list("pk", flat=True))
