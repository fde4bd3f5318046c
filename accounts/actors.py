"""Who performs an action: a signed-in user, or the system itself (such as a command)."""

import uuid
from dataclasses import dataclass
from typing import Protocol

from accounts.roles import Role


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
