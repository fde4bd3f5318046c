"""Step 4 of a check: what a request requires. Rules in order, the first that matches decides. Pure.

Without a matching rule, reading requires the role viewer and writing requires editor (CONTRACT
section 7). An unclear request gains nothing: every rule that may match it is considered, and the
strictest requirement counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from accounts.roles import Role
from core.web.client_ip import parse_address
from forward_auth.request import Target

Network = IPv4Network | IPv6Network


class Condition(StrEnum):
    """What a rule can ask of a request."""

    HOST = "host"
    PATH = "path"
    METHOD = "method"
    NETWORK = "network"


class Effect(StrEnum):
    """Whom a rule allows: no one, everyone without a credential, or a role and above.

    Only the last may ask for a group as well.
    """

    DENY = "deny"
    PUBLIC = "public"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It matches when all its conditions do; an empty condition always does.

    host: a name, or `*.example.com` for every name below. path: the path itself and everything
    below it, so that /api matches neither /apis nor /api2. networks: of the client. groups: names;
    whom it allows is in one of them, besides the role. That of a deleted group is its id, which is
    no name, so nobody is in it.
    """

    id: str
    name: str
    effect: Effect
    role: Role = Role.VIEWER
    host: str = ""
    path: str = ""
    methods: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    groups: frozenset[str] = frozenset()

    @property
    def is_unconditional(self) -> bool:
        """Whether it matches every request."""
        return not (self.host or self.path.rstrip("/") or self.methods or self.networks)

    def matches(self, target: Target, ip: str) -> bool:
        """Whether it applies to this request from this client."""
        return (
            self._matches_host(target.host)
            and self._matches_path(target.path)
            and (not self.methods or target.method in self.methods)
            and (not self.networks or self._matches_network(ip))
        )

    def unmet_conditions(self, target: Target, ip: str) -> tuple[Condition, ...]:
        """The conditions that this request does not meet; () when the rule matches."""
        met = {
            Condition.HOST: self._matches_host(target.host),
            Condition.PATH: self._matches_path(target.path),
            Condition.METHOD: not self.methods or target.method in self.methods,
            Condition.NETWORK: not self.networks or self._matches_network(ip),
        }
        return tuple(condition for condition, is_met in met.items() if not is_met)

    def may_match(self, target: Target, ip: str) -> bool:
        """Whether it would match if everything unclear were as the rule asks."""
        return set(self.unmet_conditions(target, ip)) <= unclear(target, ip)

    def _matches_host(self, host: str) -> bool:
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return not self.host or host == self.host

    def _matches_path(self, path: str) -> bool:
        prefix = self.path.rstrip("/")
        return not self.path or path == prefix or path.startswith(f"{prefix}/")

    def _matches_network(self, ip: str) -> bool:
        address = parse_address(ip)
        return address is not None and any(
            address.version == network.version and address in network for network in self.networks
        )


class Requirement(NamedTuple):
    """What a request requires.

    rule_id: "" for the default. min_role: None when no credential is required. why: for the table
    of denials. groups: one of each set is required besides the role.
    """

    rule_id: str
    is_denied: bool
    min_role: Role | None
    why: str
    groups: tuple[frozenset[str], ...] = ()

    def admits(self, groups: Sequence[str]) -> bool:
        """Whether these groups of a person are enough."""
        return all(not names.isdisjoint(groups) for names in self.groups)

    @property
    def strictness(self) -> int:
        """An order: -1 for public, the rank of a role, and above all of them for denied."""
        if self.is_denied:
            return Role.OWNER.rank + 1
        return -1 if self.min_role is None else self.min_role.rank


def unclear(target: Target, ip: str) -> set[Condition]:
    """What the request does not say, or says in a way that servers read differently."""
    values = {
        Condition.HOST: target.host,
        Condition.PATH: target.path,
        Condition.METHOD: target.method,
        Condition.NETWORK: ip,
    }
    return {condition for condition, value in values.items() if not value}


class MatchState(StrEnum):
    """MATCHES: the rule decides, unless an unclear one is stricter. UNCLEAR: it may match.
    NOT_REACHED: an earlier rule matches.
    """

    MATCHES = "matches"
    UNCLEAR = "unclear"
    NO_MATCH = "no-match"
    NOT_REACHED = "not-reached"


class RuleStep(NamedTuple):
    """A rule, and the conditions that this request does not meet; () for a rule not reached."""

    rule: Rule
    state: MatchState
    unmet: tuple[Condition, ...]


class ReadingStep(NamedTuple):
    """What one reading of the path requires, and every rule on the way to it."""

    target: Target
    rules: tuple[RuleStep, ...]
    requirement: Requirement


def requirement_for(
    rules: Sequence[Rule],
    target: Target,
    ip: str,
    override: Role | None = None,
    trace: list[ReadingStep] | None = None,
) -> Requirement:
    """What `target` requires, by the first rule that matches, else by its method.

    override: the lowest role that the proxy's own configuration asks for (?role=admin); it only
    raises the requirement. For a path with several readings the strictest reading counts:
    otherwise //private would pass where /private does not. For an unclear request the strictest
    counts among the rule that matches and all rules before it that may match.

    trace: a list to which each reading is added.
    """
    if target.others:
        return strictest(
            *(requirement_for(rules, one, ip, override, trace) for one in target.readings)
        )
    is_clear = bool(target.host and target.path and target.method and ip)
    uncertain: list[Rule] = []
    decisive = None
    for rule in rules:
        if rule.matches(target, ip):
            decisive = rule
            break
        if not is_clear and rule.may_match(target, ip):
            uncertain.append(rule)
    last = (
        default_requirement(target, override)
        if decisive is None
        else rule_requirement(decisive, override)
    )
    requirement = strictest(*(rule_requirement(rule, override) for rule in uncertain), last)
    if trace is not None:
        steps = tuple(_steps(rules, target, ip, decisive, uncertain))
        trace.append(ReadingStep(target, steps, requirement))
    return requirement


def _steps(
    rules: Sequence[Rule], target: Target, ip: str, decisive: Rule | None, uncertain: list[Rule]
) -> Iterator[RuleStep]:
    """What requirement_for() has found for each rule."""
    is_decided = False
    for rule in rules:
        if is_decided:
            yield RuleStep(rule, MatchState.NOT_REACHED, ())
        elif rule is decisive:
            is_decided = True
            yield RuleStep(rule, MatchState.MATCHES, ())
        else:
            state = MatchState.UNCLEAR if rule in uncertain else MatchState.NO_MATCH
            yield RuleStep(rule, state, rule.unmet_conditions(target, ip))


def strictest(*requirements: Requirement) -> Requirement:
    """The one that admits the fewest, the first of equals, with the groups of all of them."""
    found = max(requirements, key=lambda one: one.strictness)
    groups = tuple(dict.fromkeys(names for one in requirements for names in one.groups))
    if groups == found.groups:
        return found
    return found._replace(
        groups=groups, why=f"{found.why}; another rule that may match: {_one_of(groups)}"
    )


def default_requirement(target: Target, override: Role | None) -> Requirement:
    """What a request requires that no rule matches."""
    min_role = Role.VIEWER if target.is_reading else Role.EDITOR
    kind = "reading" if target.is_reading else "writing"
    why = f"no rule matches; {kind} requires {min_role}"
    return Requirement("", False, _higher(min_role, override), why)


def rule_requirement(rule: Rule, override: Role | None) -> Requirement:
    """What a request requires that `rule` matches."""
    name = f"rule “{rule.name}”"
    match rule.effect:
        case Effect.DENY:
            return Requirement(rule.id, True, Role.OWNER, f"{name} allows no one")
        case Effect.PUBLIC if override is None:
            return Requirement(rule.id, False, None, f"{name} allows everyone")
        case Effect.PUBLIC:
            why = f"{name} is public, but the proxy asks for {override}"
            return Requirement(rule.id, False, override, why)
    min_role = _higher(rule.role, override)
    if not rule.groups:
        return Requirement(rule.id, False, min_role, f"{name} requires {min_role}")
    groups = (rule.groups,)
    why = f"{name} requires {min_role} and {_one_of(groups)}"
    return Requirement(rule.id, False, min_role, why, groups)


def _one_of(groups: Sequence[frozenset[str]]) -> str:
    return " and ".join(f"a group of {', '.join(sorted(names))}" for names in groups)


def reachable_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that can decide: up to the first that matches every request."""
    for place, rule in enumerate(rules):
        if rule.is_unconditional:
            return tuple(rules[: place + 1])
    return tuple(rules)


def rules_admitting(rules: Sequence[Rule], role: Role) -> tuple[Rule | None, ...]:
    """The rules that admit `role`, without those that are public or ask for a group.

    None stands for the default, by which a viewer may read, unless a rule matches every request.
    """
    reached = reachable_rules(rules)
    found: list[Rule | None] = [
        rule
        for rule in reached
        if rule.effect is Effect.ROLE
        and not rule.groups
        and Role.NONE.rank < rule.role.rank <= role.rank
    ]
    has_default = not (reached and reached[-1].is_unconditional)
    return (*found, None) if has_default and role.rank >= Role.VIEWER.rank else tuple(found)


def _higher(min_role: Role, override: Role | None) -> Role:
    return override if override is not None and override.rank > min_role.rank else min_role
