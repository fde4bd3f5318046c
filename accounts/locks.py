"""Locks that the database holds: one writer at a time for roles and for the audit chain."""

from django.db import connection, transaction

from accounts.models import HouseLock

ROLES = "roles"
AUDIT = "audit"


def house_lock(name: str) -> HouseLock:
    """The locked row `name`; held until the surrounding transaction ends.

    Must run inside a transaction. Rows are made by the first migration.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("house_lock() needs a transaction")
    return HouseLock.objects.select_for_update().get(pk=name)
