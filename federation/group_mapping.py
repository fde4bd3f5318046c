"""Maps claims of a provider to groups: which groups of ours the source puts a person into. Pure.

It reads claims as federation.role_mapping does, for OpenID Connect, social providers and LDAP.
"""

from dataclasses import dataclass
from typing import NamedTuple

from federation.role_mapping import ClaimPath, Claims


class GroupRule(NamedTuple):
    """People with `value` in one of `paths` are in the groups `names`."""

    paths: tuple[ClaimPath, ...]
    value: str
    names: tuple[str, ...]


class MappedGroups(NamedTuple):
    """names: the groups. unknown: those about which the claims say too little to decide.

    reason: why there are unknown ones, or "".
    """

    names: frozenset[str]
    unknown: frozenset[str] = frozenset()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GroupMapping:
    """Which values of a source open which groups.

    folds_case: compare values without regard to case, as LDAP does.
    """

    rules: tuple[GroupRule, ...] = ()
    folds_case: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Every group that the source may fill."""
        return frozenset(name for rule in self.rules for name in rule.names)

    def decide(self, claims: Claims) -> MappedGroups:
        """The groups of a person. A claim that is missing is an empty one, as for roles.

        A value that is present counts even in a truncated list; an absent one proves nothing there.
        """
        names: set[str] = set()
        unknown: set[str] = set()
        reason = ""
        for rule in self.rules:
            if self._matches(rule, claims):
                names.update(rule.names)
            elif why := next(filter(None, (p.why_incomplete(claims) for p in rule.paths)), ""):
                unknown.update(rule.names)
                reason = reason or why
        return MappedGroups(frozenset(names), frozenset(unknown - names), reason)

    def _matches(self, rule: GroupRule, claims: Claims) -> bool:
        wanted = self._comparable(rule.value)
        return any(
            self._comparable(found) == wanted
            for path in rule.paths
            for found in path.values(claims)
        )

    def _comparable(self, value: str) -> str:
        return value.casefold() if self.folds_case else value
