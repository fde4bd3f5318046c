"""Who may pass where: rules in order, the first that fits decides. Pure.

Without a fitting rule, reading takes the role viewer and writing editor (CONTRACT section 7).
What a request does not say clearly is never to its advantage: every rule that might speak of it
is asked, and the strictest decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from accounts.roles import Role
from core.client_ip import parse_address
from forward_auth.request_target import Target

Network = IPv4Network | IPv6Network


class Condition(StrEnum):
    """What a rule can ask of a request."""

    HOST = "host"
    PATH = "path"
    METHOD = "method"
    NETWORK = "network"


class Effect(StrEnum):
    """What a rule says: nobody, everybody without a credential, or a role and above."""

    DENY = "deny"
    PUBLIC = "public"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It fits when all its conditions do; an empty one always does.

    host: a name, or `*.example.com` for every name below. path: a beginning that ends at a slash
    or at the whole path, so that /api is neither /apis nor /api2. networks: of the client.
    """

    id: str
    name: str
    effect: Effect
    role: Role = Role.VIEWER
    host: str = ""
    path: str = ""
    methods: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @property
    def is_unconditional(self) -> bool:
        """Does it fit every request?"""
        return not (self.host or self.path.rstrip("/") or self.methods or self.networks)

    def fits(self, target: Target, ip: str) -> bool:
        """Does it speak of this request from this client?"""
        return (
            self._fits_host(target.host)
            and self._fits_path(target.path)
            and (not self.methods or target.method in self.methods)
            and (not self.networks or self._fits_network(ip))
        )

    def misfits(self, target: Target, ip: str) -> tuple[Condition, ...]:
        """The conditions that this request does not meet; () when the rule fits."""
        met = {
            Condition.HOST: self._fits_host(target.host),
            Condition.PATH: self._fits_path(target.path),
            Condition.METHOD: not self.methods or target.method in self.methods,
            Condition.NETWORK: not self.networks or self._fits_network(ip),
        }
        return tuple(condition for condition, is_met in met.items() if not is_met)

    def may_match(self, target: Target, ip: str) -> bool:
        """Would it fit if what the request does not say clearly were as the rule wants it?"""
        return set(self.misfits(target, ip)) <= unclear(target, ip)

    def _fits_host(self, host: str) -> bool:
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return not self.host or host == self.host

    def _fits_path(self, path: str) -> bool:
        wanted = self.path.rstrip("/")
        return not self.path or path == wanted or path.startswith(f"{wanted}/")

    def _fits_network(self, ip: str) -> bool:
        address = parse_address(ip)
        return address is not None and any(
            address.version == network.version and address in network for network in self.networks
        )


class Demand(NamedTuple):
    """What a request takes: rule_id "" is the default. floor None: no credential at all."""

    rule_id: str
    is_denied: bool
    floor: Role | None
    why: str

    @property
    def strictness(self) -> int:
        """Order for comparison: everybody -1, a role by its rank, nobody above all."""
        if self.is_denied:
            return Role.OWNER.rank + 1
        return -1 if self.floor is None else self.floor.rank


def unclear(target: Target, ip: str) -> set[Condition]:
    """What the request does not say, or says in a way that two servers could read differently."""
    said = {
        Condition.HOST: target.host,
        Condition.PATH: target.path,
        Condition.METHOD: target.method,
        Condition.NETWORK: ip,
    }
    return {condition for condition, value in said.items() if not value}


def demand(rules: Sequence[Rule], target: Target, ip: str, raised: Role | None = None) -> Demand:
    """What `target` takes, by the first rule that fits, else by its method.

    raised: the role that the proxy's own configuration asks for (?role=admin); it only raises.
    A path of several readings takes what the strictest of them does: otherwise //shut would pass
    where /shut does not. Of an unclear request the strictest decides among the rule that fits and
    all before it that might.
    """
    if target.others:
        return strictest(*(demand(rules, one, ip, raised) for one in target.readings))
    is_clear = bool(target.host and target.path and target.method and ip)
    uncertain: list[Demand] = []
    for rule in rules:
        if rule.fits(target, ip):
            return strictest(*uncertain, of_rule(rule, raised))
        if not is_clear and rule.may_match(target, ip):
            uncertain.append(of_rule(rule, raised))
    return strictest(*uncertain, by_method(target, raised))


def strictest(*demands: Demand) -> Demand:
    """The one that lets the fewest in; of equals the first."""
    return max(demands, key=lambda one: one.strictness)


def by_method(target: Target, raised: Role | None) -> Demand:
    """What a request takes of which no rule speaks."""
    floor = Role.VIEWER if target.is_reading else Role.EDITOR
    kind = "reading" if target.is_reading else "writing"
    return Demand("", False, _higher(floor, raised), f"no rule fits; {kind} takes {floor}")


def of_rule(rule: Rule, raised: Role | None) -> Demand:
    """What a request takes of which `rule` speaks."""
    why = f"rule “{rule.name}”"
    match rule.effect:
        case Effect.DENY:
            return Demand(rule.id, True, Role.OWNER, f"{why} lets nobody in")
        case Effect.PUBLIC if raised is None:
            return Demand(rule.id, False, None, f"{why} lets everybody in")
        case Effect.PUBLIC:
            return Demand(rule.id, False, raised, f"{why} is public, the proxy asks for {raised}")
    floor = _higher(rule.role, raised)
    return Demand(rule.id, False, floor, f"{why} takes {floor}")


def asked(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that can decide anything: up to the first that fits every request."""
    for place, rule in enumerate(rules):
        if rule.is_unconditional:
            return tuple(rules[: place + 1])
    return tuple(rules)


def admitting(rules: Sequence[Rule], role: Role) -> tuple[Rule | None, ...]:
    """The rules that let in whoever has `role`, without those that let everybody in.

    None among them: the default, which reads with viewer, where no rule fits every request.
    """
    reached = asked(rules)
    found: list[Rule | None] = [
        rule
        for rule in reached
        if rule.effect is Effect.ROLE and Role.NONE.rank < rule.role.rank <= role.rank
    ]
    has_default = not (reached and reached[-1].is_unconditional)
    return (*found, None) if has_default and role.rank >= Role.VIEWER.rank else tuple(found)


def _higher(floor: Role, raised: Role | None) -> Role:
    return raised if raised is not None and raised.rank > floor.rank else floor
