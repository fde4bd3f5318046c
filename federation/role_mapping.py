"""Maps claims of a provider to a role: who is admitted, and with which role. Pure.

One engine serves OpenID Connect, social providers and LDAP. Only a rule that names owner assigns
it; a mapping without such a rule does not change owners.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from accounts.roles import Role

# Kind of token or response ("id", "access", "userinfo", "ldap") -> its claims.
Claims = Mapping[str, Mapping[str, Any]]
MAX_VALUES = 5000
# Keys that hold the name of an object in a list, in order of preference.
NAME_KEYS = ("name", "displayName", "display_name", "display")


class ClaimPath(NamedTuple):
    """Where to find values: a dotted path, such as realm_access.roles, and the kind of token.

    kind: "" searches all of them, the ID token first.
    """

    path: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})" if self.kind else self.path

    def values(self, claims: Claims) -> tuple[str, ...]:
        """The strings at the path, in order; a single string is a list of one.

        A string is never split, because group names contain spaces and commas. Of a mapping the
        keys count, of a list of objects their names. Other values are left out; see
        why_incomplete().
        """
        for source in self._sources(claims):
            found = _value_at(source, self.path)
            if found is not None:
                return _str_list(found)[0]
        return ()

    def why_incomplete(self, claims: Claims) -> str:
        """Why the values are incomplete or unreadable; "" when they are complete.

        Providers truncate long lists of groups (OpenID Connect Core 1.0, section 5.6.2).
        """
        reason = ""
        for source in self._sources(claims):
            reason = reason or _why_truncated(source, self.path)
            found = _value_at(source, self.path)
            if found is None:
                continue
            if not reason and not _str_list(found)[1]:
                reason = "has a type that cannot be read, or is too long"
            return f"{self} {reason}" if reason else ""
        return f"{self} {reason}" if reason else ""

    def _sources(self, claims: Claims) -> list[Mapping[str, Any]]:
        return [claims.get(kind, {}) for kind in ([self.kind] if self.kind else claims)]


class Requirement(NamedTuple):
    """Users with none of `values` at `path` are not admitted."""

    path: ClaimPath
    values: frozenset[str]


class RoleRule(NamedTuple):
    """Users with one of `values` at `path` get `role`."""

    path: ClaimPath
    values: frozenset[str]
    role: Role


class Decision(NamedTuple):
    """is_admitted: may the user sign in? role: None keeps the current one.

    reason: an English sentence for the admin; it names rules and values, never a secret.
    """

    is_admitted: bool
    role: Role | None
    reason: str


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """How the claims of one provider map to roles.

    rules: the first match wins.
    default: the role when no rule matches; None keeps the current role.
    updates: apply at each sign-in, removal included; otherwise only to a new account.
    folds_case: compare values without regard to case, as LDAP does.
    """

    requirements: tuple[Requirement, ...] = ()
    rules: tuple[RoleRule, ...] = ()
    default: Role | None = None
    updates: bool = False
    folds_case: bool = False

    @property
    def gives_owner(self) -> bool:
        """Does a rule assign owner? Only then does the mapping change owners."""
        return any(rule.role is Role.OWNER for rule in self.rules)

    def decide(self, claims: Claims) -> Decision:
        """Whether the user is admitted, the role, and the reason."""
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
        """Why `claims` do not suffice for decide(); "" when they do.

        A value that is present counts even in a truncated list; an absent one proves nothing there.
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
        """The first value at `path` that is in `wanted`, or ""."""
        keys = {self._comparable(value) for value in wanted}
        return next((found for found in path.values(claims) if self._comparable(found) in keys), "")

    def _comparable(self, value: str) -> str:
        return value.casefold() if self.folds_case else value


def _value_at(claims: Mapping[str, Any], path: str) -> Any:
    """The value at the dotted `path`. Names may contain dots; the longest match wins.

    So `https://example.com/roles` and `resource_access.my.app.roles` both work.
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
    """(the strings in `found`, whether they are all of it)."""
    if isinstance(found, str):
        return (found,), True
    if isinstance(found, Mapping):
        # Zitadel sends {"admin": {…}}; a role with false or null does not count.
        items: list[Any] = [key for key, value in found.items() if value not in (False, None)]
    elif isinstance(found, list | tuple):
        items = list(found)
    else:
        return (), False
    names = [_name(item) for item in items[:MAX_VALUES]]
    texts = tuple(name for name in names if name is not None)
    return texts, len(texts) == len(items)


def _name(item: Any) -> str | None:
    """A string, or the name of an object; None for anything else."""
    if isinstance(item, Mapping):
        item = next((item[name] for name in NAME_KEYS if isinstance(item.get(name), str)), None)
    return item if isinstance(item, str) else None


def _why_truncated(source: Mapping[str, Any], path: str) -> str:
    """A reason if `source` says that the value at `path` is truncated or kept elsewhere, or ""."""
    elsewhere = source.get("_claim_names")
    names = list(elsewhere) if isinstance(elsewhere, Mapping) else []
    # Microsoft's short form for groups in front-channel responses.
    if source.get("hasgroups") not in (None, False, "false", "False", "0", 0):
        names.append("groups")
    names += [name.partition(":src")[0] for name in source if ":src" in name]
    is_cut = any(path == name or path.startswith(f"{name}.") for name in names)
    return "is truncated: the provider has more than it sent" if is_cut else ""
