"""From what a provider says of a person to a role: who is admitted, and as what. Pure.

One engine for OpenID Connect, social providers and LDAP. A mapping never gives owner unless one of
its rules says owner, and one without such a rule leaves owners as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from accounts.roles import Role

# Kind of token or answer ("id", "access", "userinfo", "ldap") -> its claims.
Claims = Mapping[str, Mapping[str, Any]]
MOST_VALUES = 5000


class ClaimPath(NamedTuple):
    """Where values stand: in which token, at which dotted path, such as realm_access.roles.

    kind: "" looks in all of them, ID token first.
    """

    path: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})" if self.kind else self.path

    def values(self, claims: Claims) -> tuple[str, ...]:
        """The texts there, in their order; a single text is a list of one. Anything else is none.

        A text is never split: groups have names with spaces and commas.
        """
        kinds = [self.kind] if self.kind else list(claims)
        for kind in kinds:
            found = _at(claims.get(kind, {}), self.path)
            if found is not None:
                return _texts(found)
        return ()


class Requirement(NamedTuple):
    """Whoever has none of `values` at `path` is not admitted."""

    path: ClaimPath
    values: frozenset[str]


class RoleRule(NamedTuple):
    """Whoever has one of `values` at `path` gets `role`."""

    path: ClaimPath
    values: frozenset[str]
    role: Role


class Decision(NamedTuple):
    """is_admitted: may the person come in at all; role: None leaves it as it is; reason: why.

    reason is one English sentence for the panel; it names rules and values, never a secret.
    """

    is_admitted: bool
    role: Role | None
    reason: str


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """What one provider's claims mean here.

    rules: the first that matches wins, so that their order is the priority.
    default: the role of whoever matches no rule; None leaves a person's role as it is (a new
    person gets `Role.NONE` then).
    updates: apply at each sign-in, removal included; else only when the account is made.
    folds_case: values compare without regard to case, as names in LDAP do.
    """

    requirements: tuple[Requirement, ...] = ()
    rules: tuple[RoleRule, ...] = ()
    default: Role | None = None
    updates: bool = False
    folds_case: bool = False

    @property
    def gives_owner(self) -> bool:
        """Does a rule say owner? Only then are owners of its concern."""
        return any(rule.role is Role.OWNER for rule in self.rules)

    def decide(self, claims: Claims) -> Decision:
        """Who may come in, as what, and why."""
        for requirement in self.requirements:
            if not self._match(requirement.path, requirement.values, claims):
                wanted = ", ".join(sorted(requirement.values))
                return Decision(
                    False, None, f"{requirement.path} holds none of the required: {wanted}"[:300]
                )
        for rule in self.rules:
            value = self._match(rule.path, rule.values, claims)
            if value:
                return Decision(True, rule.role, f"{rule.role}: {rule.path} holds {value}"[:300])
        if not self.rules:
            return Decision(True, self.default, "no rule for roles is configured")
        role = "its default" if self.default is None else str(self.default)
        return Decision(True, self.default, f"{role}: no rule matches"[:300])

    def _match(self, path: ClaimPath, wanted: frozenset[str], claims: Claims) -> str:
        """The first value at `path` that is wanted, or ""."""
        keys = {self._key(value) for value in wanted}
        return next((found for found in path.values(claims) if self._key(found) in keys), "")

    def _key(self, value: str) -> str:
        return value.casefold() if self.folds_case else value


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a name that may hold dots itself (https://example.com/roles), or along them."""
    if path in claims:
        return claims[path]
    here: Any = claims
    for name in path.split("."):
        if not isinstance(here, Mapping) or name not in here:
            return None
        here = here[name]
    return here


def _texts(found: Any) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    if isinstance(found, list | tuple):
        return tuple(value for value in found[:MOST_VALUES] if isinstance(value, str))
    return ()
