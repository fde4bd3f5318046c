"""Named locks that the database holds.

One order for the whole project: users first (accounts.locks.lock_users), then ROLES, the chain of
the audit log (AUDIT) last. See docs/architecture.md.
"""

from django.db import connection, transaction

from core.models import NamedLock

ROLES = "roles"
AUDIT = "audit"


def acquire_lock(name: str) -> NamedLock:
    """The locked row `name`; held until the surrounding transaction ends.

    Must run inside a transaction, after lock_users(). Rows are made by the first migration.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("acquire_lock() needs a transaction")
    return NamedLock.objects.select_for_update().get(pk=name)
