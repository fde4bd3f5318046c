"""Life cycle of the anonymous user, as whom visitors act while sign-in is off."""

import logging

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import access_policy
from accounts.actors import ANONYMOUS_EMAIL, ANONYMOUS_ID, SYSTEM
from accounts.models import User
from accounts.ownership import transfer_ownership
from accounts.roles import Role
from audit import audit_log
from core.locks import ROLES, acquire_lock, lock_users

logger = logging.getLogger("gatehouse.anonymous")


def sync_anonymous_user() -> None:
    """Create, enable or disable the anonymous user as the settings say; called at each start.

    Writes an audit row when something changes, and logs a warning whenever sign-in is off.
    """
    with transaction.atomic():
        lock_users(ANONYMOUS_ID)
        acquire_lock(ROLES)
        row = _row()
        if settings.ANONYMOUS_ROLE is not None:
            _switch_on(row, settings.ANONYMOUS_ROLE)
        elif row is not None and row.is_active:
            row.is_active = False
            row.save(update_fields=["is_active"])
            audit_log.record("account:anonymous-mode:off", actor=SYSTEM, target=row)
    if settings.ANONYMOUS_ROLE is not None:
        logger.warning(
            "sign-in is off: anyone who can open this site may use it",
            extra={"role": str(settings.ANONYMOUS_ROLE), "by": list(settings.ANONYMOUS_SETTINGS)},
        )


def visitor(ip: str) -> User | None:
    """The anonymous user for a request without credentials; None if sign-in is required.

    Raises AccessDenied when the address `ip` is banned.
    """
    if settings.ANONYMOUS_ROLE is None:
        return None
    row = _row()
    if row is None or not access_policy.may_act(row):
        return None
    access_policy.require_client_allowed(ip)
    return row


def hand_over(taker: User) -> None:
    """Give everything that belongs to the anonymous user to `taker`, the first user.

    Must run inside the transaction that creates `taker`, which has locked both users first. API
    keys stay valid: `taker` gets the `keys_valid_from` of the anonymous user.
    """
    giver = _row()
    if giver is None:
        return
    counts = transfer_ownership(giver=giver, taker=taker)
    if not any(counts.values()):
        return
    taker.keys_valid_from = giver.keys_valid_from
    taker.save(update_fields=["keys_valid_from"])
    audit_log.record("account:anonymous-mode:take-over", actor=taker, target=taker, counts=counts)


def _row() -> User | None:
    return User.all_objects.filter(pk=ANONYMOUS_ID).first()


def _switch_on(row: User | None, role: Role) -> None:
    if row is None:
        row = User(id=ANONYMOUS_ID, email=ANONYMOUS_EMAIL, name="Anonymous", role=role)
        row.password = make_password(None)
        row.save(force_insert=True)
    elif row.is_active and row.role == role:
        return
    else:
        row.is_active, row.role = True, role
        row.save(update_fields=["is_active", "role"])
    by = list(settings.ANONYMOUS_SETTINGS)
    audit_log.record("account:anonymous-mode:on", actor=SYSTEM, target=row, role=role, by=by)
