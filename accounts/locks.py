"""The lock on users, which every service takes first.

What belongs to a user (sessions, tokens, mail) is written under their lock. The order of all locks
is in core.locks; tests/accounts/test_lock_order.py watches every service.
"""

import uuid

from django.db import connection, transaction

from accounts.models import User


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
    rows = User.everyone.filter(pk__in=wanted).order_by("pk").select_for_update()
    list(rows.values_list("pk", flat=True))
