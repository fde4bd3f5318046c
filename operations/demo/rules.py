"""The apps of a demo behind a proxy, and their access rules."""

from accounts.models import User
from accounts.roles import Role
from accounts.services.groups.reading import find_groups
from applications.models import App
from applications.services.apps import create_app
from forward_auth.models import AccessRule
from forward_auth.rules.matching import Effect
from forward_auth.services.rules import create_rule
from operations.demo.people import DOMAIN

APPS = (
    App(name="Wiki", description="What the team knows, and how we decide.", proxy="nginx"),
    App(name="Git", description="Code, reviews and releases.", proxy="nginx"),
    App(name="Grafana", description="Dashboards of the services.", proxy="caddy"),
    App(name="Notebooks", description="Analyses with the data of the week.", proxy="caddy"),
    App(name="Accounting", description="Invoices and expenses; from the office.", proxy="haproxy"),
    App(name="Status", description="What is up, for everyone.", proxy="nginx"),
)
RULES = (
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
    # make_rule() replaces the names of groups by their ids.
    AccessRule(
        name="Accounting, from the office",
        effect=Effect.ROLE,
        role=Role.EDITOR,
        host=f"accounting.{DOMAIN}",
        networks=["198.51.100.0/24"],
        group_ids=["finance", "auditors"],
    ),
    AccessRule(name="Accounting, elsewhere", effect=Effect.DENY, host=f"accounting.{DOMAIN}"),
    AccessRule(name="Notebooks", effect=Effect.ROLE, role=Role.EDITOR, host=f"notebooks.{DOMAIN}"),
)


def make_app(owner: User, number: int) -> None:
    """Store app `number` of APPS, as the owner."""
    template = APPS[number]
    values = {name: getattr(template, name) for name in ("name", "description", "proxy")}
    url = f"https://{template.name.lower()}.{DOMAIN}"
    create_app(actor=owner, app=App(**values, url=url, upstream=f"10.0.0.{10 + number}:8080"))


def make_rule(owner: User, number: int) -> None:
    """Store rule `number` of RULES, as the owner."""
    template = RULES[number]
    fields = ("name", "effect", "role", "host", "path", "methods", "networks")
    values = {field: getattr(template, field) for field in fields}
    app = App.objects.filter(host=template.host).first()
    groups = [str(group.pk) for group in find_groups(template.group_ids)]
    create_rule(actor=owner, rule=AccessRule(**values, app=app, group_ids=groups))
