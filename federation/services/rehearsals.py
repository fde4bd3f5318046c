"""Sign-ins that are carried out and rolled back."""

from collections.abc import Callable
from typing import TypeVar

from django.db import transaction
from django.db.models import Q

from accounts.actors import ANONYMOUS_ID
from accounts.models import User
from accounts.roles import Role
from core.locks import ROLES, acquire_lock, lock_users

TRIES = 5
T = TypeVar("T")


def rehearse(sign_in: Callable[[], T], *, provider: str, subject: str, email: str) -> T:
    """Return what `sign_in` returns or raises, and undo all that it writes.

    email: as it is stored; "" for none. A real sign-in has several transactions. Here they are one,
    so everyone whom it may lock is locked first (docs/architecture.md, order of locks). Whoever
    gets the address or the identity before that is done is locked in the next try.
    """
    concerned = User.all_objects.filter(
        Q(pk=ANONYMOUS_ID)
        | (Q(email=email) if email else Q())
        | Q(identities__provider=provider, identities__subject=subject)
        | Q(role=Role.OWNER, setup_completed=False)
    ).values_list("pk", flat=True)
    tried = 0
    while True:
        tried += 1
        with transaction.atomic():
            locked = set(concerned.all())
            lock_users(*locked)
            acquire_lock(ROLES)
            try:
                if tried == TRIES or set(concerned.all()) <= locked:
                    return sign_in()
            finally:
                transaction.set_rollback(True)
