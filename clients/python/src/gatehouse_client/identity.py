"""Who sends a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gatehouse_client.errors import Forbidden

# From the lowest to the highest. A user with the role `none` may enter nothing.
ROLES = ("none", "viewer", "editor", "admin", "owner")
PROXY = "proxy"


@dataclass(frozen=True)
class Identity:
    """A user, as of now.

    sub: the permanent id: the key of your data. kind: api_key, access_token, session or proxy.
    scopes: of the credential; empty behind a proxy, which has compared them with the method.
    claims: everything that was told.
    """

    sub: str
    email: str
    role: str
    kind: str
    username: str = ""
    name: str = ""
    groups: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    # Frameworks ask a user object for these.
    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def pk(self) -> str:
        """The permanent id, as Django calls it."""
        return self.sub

    def __str__(self) -> str:
        return self.email or self.sub

    def has_role(self, role: str) -> bool:
        """Whether the user has this role or a higher one. Raises ValueError for an unknown name."""
        own = ROLES.index(self.role) if self.role in ROLES else 0
        return own >= ROLES.index(role) > 0

    def require(self, *, role: str = "", scope: str = "", group: str = "") -> None:
        """Raise Forbidden unless the user has the role, the credential the scope, and so on."""
        if role and not self.has_role(role):
            raise Forbidden
        if scope and scope not in self.scopes:
            raise Forbidden(f"This needs a credential with the scope {scope}.")
        if group and group not in self.groups:
            raise Forbidden


def identity_of(claims: Mapping[str, Any]) -> Identity | None:
    """The user of an answer of Gatehouse or of an access token; None if it names nobody."""
    sub, role = claims.get("sub"), claims.get("role")
    if not isinstance(sub, str) or not sub or role not in ROLES[1:]:
        return None
    email = str(claims.get("email") or "")
    groups = claims.get("groups")
    return Identity(
        sub=sub,
        email=email,
        role=str(role),
        kind=str(claims.get("token_type") or "access_token"),
        username=str(claims.get("username") or email),
        name=str(claims.get("name") or ""),
        groups=tuple(map(str, groups)) if isinstance(groups, list) else (),
        scopes=frozenset(str(claims.get("scope") or "").split()),
        claims=dict(claims),
    )
