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
MAX_VALUES = 5000
# What the name of an object in a list is called, in order.
NAME_KEYS = ("name", "displayName", "display_name", "display")


class ClaimPath(NamedTuple):
    """Where values stand: in which token, at which dotted path, such as realm_access.roles.

    kind: "" looks in all of them, ID token first.
    """

    path: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})" if self.kind else self.path

    def values(self, claims: Claims) -> tuple[str, ...]:
        """The texts there, in their order; a single text is a list of one.

        A text is never split: groups have names with spaces and commas. A map counts by its keys,
        a list of objects by their names. What else stands there is left out; see why_unknown().
        """
        for source in self._sources(claims):
            found = _value_at(source, self.path)
            if found is not None:
                return _str_list(found)[0]
        return ()

    def why_incomplete(self, claims: Claims) -> str:
        """Why what stands there is only a part of it, or cannot be read; "" when it is all.

        Providers cut long lists of groups (OpenID Connect Core, 5.6.2: the rest is elsewhere).
        """
        reason = ""
        for source in self._sources(claims):
            reason = reason or _why_truncated(source, self.path)
            found = _value_at(source, self.path)
            if found is None:
                continue
            if not reason and not _str_list(found)[1]:
                reason = "is of a kind that cannot be read, or too long"
            return f"{self} {reason}" if reason else ""
        return f"{self} {reason}" if reason else ""

    def _sources(self, claims: Claims) -> list[Mapping[str, Any]]:
        return [claims.get(kind, {}) for kind in ([self.kind] if self.kind else claims)]


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

    def why_incomplete(self, claims: Claims) -> str:
        """Why `claims` do not tell what decide() would need; "" when they do.

        A value that is there counts, also of a cut list; that one is missing proves nothing then.
        """
        for requirement in self.requirements:
            if not self._match(requirement.path, requirement.values, claims):
                return requirement.path.why_incomplete(claims)
        for rule in self.rules:
            if self._match(rule.path, rule.values, claims):
                return ""
            reason = rule.path.why_incomplete(claims)
            if reason:
                return reason
        return ""

    def _match(self, path: ClaimPath, wanted: frozenset[str], claims: Claims) -> str:
        """The first value at `path` that is wanted, or ""."""
        keys = {self._comparable(value) for value in wanted}
        return next((found for found in path.values(claims) if self._comparable(found) in keys), "")

    def _comparable(self, value: str) -> str:
        return value.casefold() if self.folds_case else value


def _value_at(claims: Mapping[str, Any], path: str) -> Any:
    """The value along the dotted `path`; a name may hold dots itself, and the longest goes first.

    So `https://example.com/roles` and `resource_access.my.app.roles` mean what stands there.
    """
    if claims.get(path) is not None:
        return claims[path]
    for index in range(len(path) - 1, 0, -1):
        if path[index] != ".":
            continue
        inner = claims.get(path[:index])
        if isinstance(inner, Mapping):
            found = _value_at(inner, path[index + 1 :])
            if found is not None:
                return found
    return None


def _str_list(found: Any) -> tuple[tuple[str, ...], bool]:
    """(the texts in `found`, whether these are all)."""
    if isinstance(found, str):
        return (found,), True
    if isinstance(found, Mapping):
        # Zitadel has {"admin": {…}}; a role that is said not to be there does not count.
        items: list[Any] = [key for key, value in found.items() if value not in (False, None)]
    elif isinstance(found, list | tuple):
        items = list(found)
    else:
        return (), False
    names = [_name(item) for item in items[:MAX_VALUES]]
    texts = tuple(name for name in names if name is not None)
    return texts, len(texts) == len(items)


def _name(item: Any) -> str | None:
    """A text, or the name of an object; None for whatever else."""
    if isinstance(item, Mapping):
        item = next((item[name] for name in NAME_KEYS if isinstance(item.get(name), str)), None)
    return item if isinstance(item, str) else None


def _why_truncated(source: Mapping[str, Any], path: str) -> str:
    """Does `source` say that what stands at `path` is elsewhere, or too long to be told?"""
    elsewhere = source.get("_claim_names")
    names = list(elsewhere) if isinstance(elsewhere, Mapping) else []
    # Microsoft's short form in answers by the front channel, for groups alone.
    if source.get("hasgroups") not in (None, False, "false", "False", "0", 0):
        names.append("groups")
    names += [name.partition(":src")[0] for name in source if ":src" in name]
    is_cut = any(path == name or path.startswith(f"{name}.") for name in names)
    return "is cut: the provider has more of it than it tells here" if is_cut else ""
