"""The access rules of a demo: six apps behind a proxy, and what is closed to everyone."""

from accounts.models import User
from accounts.roles import Role
from forward_auth.models import AccessRule
from forward_auth.rules.matching import Effect
from forward_auth.services.rules import create_rule
from operations.demo.people import DOMAIN

APPS = (
    AccessRule(name="Status page, for everyone", effect=Effect.PUBLIC, host=f"status.{DOMAIN}"),
    AccessRule(
        name="Git hooks from the build servers",
        effect=Effect.PUBLIC,
        host=f"git.{DOMAIN}",
        path="/hooks",
        methods=["POST"],
        networks=["192.0.2.0/28"],
    ),
    AccessRule(name="Git", effect=Effect.ROLE, role=Role.EDITOR, host=f"git.{DOMAIN}"),
    AccessRule(name="Wiki", effect=Effect.ROLE, role=Role.VIEWER, host=f"wiki.{DOMAIN}"),
    AccessRule(
        name="Grafana: settings",
        effect=Effect.ROLE,
        role=Role.ADMIN,
        host=f"grafana.{DOMAIN}",
        path="/admin",
    ),
    AccessRule(name="Grafana", effect=Effect.ROLE, role=Role.VIEWER, host=f"grafana.{DOMAIN}"),
    AccessRule(
        name="Accounting, from the office",
        effect=Effect.ROLE,
        role=Role.EDITOR,
        host=f"accounting.{DOMAIN}",
        networks=["198.51.100.0/24"],
    ),
    AccessRule(name="Accounting, elsewhere", effect=Effect.DENY, host=f"accounting.{DOMAIN}"),
    AccessRule(name="Notebooks", effect=Effect.ROLE, role=Role.EDITOR, host=f"notebooks.{DOMAIN}"),
)


def make_rule(owner: User, number: int) -> None:
    """Store rule `number` of APPS, as the owner."""
    template = APPS[number]
    fields = ("name", "effect", "role", "host", "path", "methods", "networks")
    create_rule(
        actor=owner, rule=AccessRule(**{field: getattr(template, field) for field in fields})
    )
