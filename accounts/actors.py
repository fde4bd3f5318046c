"""Who performs an action: a signed-in user, the system itself, or the anonymous user. Pure.

The anonymous user is built in. Every visitor acts as this user while sign-in is off. It is one row
that `User.objects` does not return, so no list, count, search, sign-in or change finds it. It may
act only while settings.ANONYMOUS_ROLE is set.
"""

import uuid
from dataclasses import dataclass
from typing import Protocol

from accounts.roles import Role
from core.text.email_addresses import RESERVED_DOMAIN

ANONYMOUS_ID = uuid.UUID("00000000-0000-7000-8000-000000000001")
# parse_email() refuses this domain for all other accounts.
ANONYMOUS_EMAIL = f"anonymous@{RESERVED_DOMAIN}"


class Actor(Protocol):
    """On whose behalf a service acts: a User, or SYSTEM."""

    @property
    def pk(self) -> uuid.UUID | None: ...

    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SystemActor:
    """The command line or Gatehouse itself: an owner's rights, limited by the last-owner rule."""

    pk: None = None
    role: str = Role.OWNER

    def __str__(self) -> str:
        return "system"


SYSTEM = SystemActor()


def is_anonymous(key: object) -> bool:
    """Whether `key` is the primary key of the built-in anonymous user."""
    return key == ANONYMOUS_ID
