"""The rules as the engine takes them, read anew whenever anything has changed."""

from ipaddress import ip_network

from accounts.roles import Role
from sso.models import AccessRule
from sso.rules import Effect, Rule


def load_rules() -> tuple[Rule, ...]:
    """Every rule in use, in their order."""
    return tuple(rule_of(row) for row in AccessRule.objects.filter(is_enabled=True))


def rule_of(row: AccessRule) -> Rule:
    """The rule that a row says."""
    return Rule(
        id=str(row.pk),
        name=row.name,
        effect=Effect(row.effect),
        role=Role(row.role),
        host=row.host,
        path=row.path,
        methods=frozenset(row.methods),
        networks=tuple(ip_network(text) for text in row.networks),
    )
