"""The mode without sign-in: its one user is made, let in, put out, and inherited from."""

import logging

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import audit, gates
from accounts.actors import SYSTEM
from accounts.anonymous import ANONYMOUS_EMAIL, ANONYMOUS_ID
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import User
from accounts.ownership import hand_rows_over
from accounts.roles import Role

logger = logging.getLogger("gatehouse.anonymous")


def settle_mode() -> None:
    """Bring the anonymous user in line with the settings; called at each start.

    Writes an audit row when the mode has been switched on or off or its role has changed, and a
    warning to the log whenever it is on.
    """
    with transaction.atomic():
        lock_people(ANONYMOUS_ID)
        house_lock(ROLES)
        row = _row()
        if settings.ANONYMOUS_ROLE is not None:
            _switch_on(row, settings.ANONYMOUS_ROLE)
        elif row is not None and row.is_active:
            row.is_active = False
            row.save(update_fields=["is_active"])
            audit.record("account:anonymous-mode:off", actor=SYSTEM, target=row)
    if settings.ANONYMOUS_ROLE is not None:
        logger.warning(
            "sign-in is off: everybody who can open this site may use it",
            extra={"role": str(settings.ANONYMOUS_ROLE), "by": list(settings.ANONYMOUS_SETTINGS)},
        )


def visitor(ip: str) -> User | None:
    """The anonymous user for a request without credentials; None while sign-in is needed.

    Each such request stands at the door: raises Refused when the address `ip` is banned.
    """
    if settings.ANONYMOUS_ROLE is None:
        return None
    row = _row()
    if row is None or not gates.may_act(row):
        return None
    gates.require_open_door(ip)
    return row


def hand_over(taker: User) -> None:
    """Give all that the anonymous user has made to `taker`, the first person of the house.

    Must run inside the transaction that makes him that person, and that has begun with the locks of
    both. API keys work on: of a new
    account none can have been ended, so the mark of the anonymous user's keys holds for them.
    """
    giver = _row()
    if giver is None:
        return
    counts = hand_rows_over(giver=giver, taker=taker)
    if not any(counts.values()):
        return
    taker.keys_not_before = giver.keys_not_before
    taker.save(update_fields=["keys_not_before"])
    audit.record("account:anonymous-mode:take-over", actor=taker, target=taker, counts=counts)


def _row() -> User | None:
    return User.everyone.filter(pk=ANONYMOUS_ID).first()


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
    audit.record("account:anonymous-mode:on", actor=SYSTEM, target=row, role=role, by=by)
