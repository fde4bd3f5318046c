"""Who may pass where: rules in order, the first that fits decides. Pure.

Without a fitting rule, reading takes the role viewer and writing editor (CONTRACT section 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from accounts.client import parse_address
from accounts.roles import Role
from sso.targets import Target

Network = IPv4Network | IPv6Network


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

    def fits(self, target: Target, ip: str) -> bool:
        """Does it speak of this request from this client?"""
        return (
            self._fits_host(target.host)
            and self._fits_path(target.path)
            and (not self.methods or target.method in self.methods)
            and (not self.networks or self._fits_network(ip))
        )

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


def demand(rules: Sequence[Rule], target: Target, ip: str, raised: Role | None = None) -> Demand:
    """What `target` takes, by the first rule that fits, else by its method.

    raised: the role that the proxy's own configuration asks for (?role=admin); it only raises.
    A path that can be read in two ways ("") fits no rule of a path; then a rule that would shut
    it might be missed, so that it takes an admin where any rule speaks of paths on that host.
    """
    if not target.path and _is_about_paths(rules, target.host):
        return Demand("", False, _higher(Role.ADMIN, raised), "the path can be read in two ways")
    for rule in rules:
        if rule.fits(target, ip):
            return _of_rule(rule, target, raised)
    floor = Role.VIEWER if target.is_reading else Role.EDITOR
    kind = "reading" if target.is_reading else "writing"
    return Demand("", False, _higher(floor, raised), f"no rule fits; {kind} takes {floor}")


def _of_rule(rule: Rule, target: Target, raised: Role | None) -> Demand:
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


def _is_about_paths(rules: Sequence[Rule], host: str) -> bool:
    return any(rule.path and rule._fits_host(host) for rule in rules)


def _higher(floor: Role, raised: Role | None) -> Role:
    return raised if raised is not None and raised.rank > floor.rank else floor
