"""Who acts: a signed-in person or the machine's own operator at the command line."""

import uuid
from dataclasses import dataclass
from typing import Protocol

from accounts.roles import Role


class Actor(Protocol):
    """Anything with a role that services may be called for."""

    @property
    def pk(self) -> uuid.UUID | None: ...

    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SystemActor:
    """The command line or Gatehouse itself: owner's rights, bound by the last-owner rule."""

    pk: None = None
    role: str = Role.OWNER

    def __str__(self) -> str:
        return "system"


SYSTEM = SystemActor()
