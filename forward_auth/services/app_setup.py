"""What the wizard makes: an app and its access rules, in one transaction."""

from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.roles import Role
from applications.models import App
from applications.services.apps import record_new_app, store_new_app
from forward_auth.decisions import as_wsgi
from forward_auth.models import AccessRule
from forward_auth.request import target_of
from forward_auth.rules.matching import Condition, Effect, Rule
from forward_auth.rules.validation import MAX_NAME_LENGTH
from forward_auth.services.rules import (
    load_rules,
    place_of_new,
    record_new_rules,
    store_new_rules,
)

# The choice of a proxy where no proxy asks Gatehouse, so rules would decide nothing.
BACKEND = "backend"


class Access(NamedTuple):
    """Who may enter. public_paths: without signing in. networks: () for every network.

    group_ids: only people in one of these groups, who also have the role; () for everyone.
    """

    role: Role
    public_paths: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


def protect_app(*, actor: Actor, app: App, access: Access) -> App:
    """Store the app, and its rules if a proxy asks. Raises Forbidden, RecordInvalid."""
    with transaction.atomic():
        store_new_app(actor=actor, app=app)
        rules = planned_rules(app, access) if app.proxy != BACKEND else []
        for rule in rules:
            rule.app = app
        store_new_rules(actor=actor, rules=rules)
        record_new_app(actor=actor, app=app)
        record_new_rules(actor=actor, rules=rules)
    return app


def planned_rules(app: App, access: Access) -> list[AccessRule]:
    """The rules in their order, not stored: what is public, who may enter, and no one else.

    Without networks the rule of the role closes the app to everyone else. With networks a last
    rule closes it elsewhere; it would be the default otherwise.
    """
    planned = [
        _rule(app, _("%(app)s: %(path)s for everyone") % {"app": app.name, "path": path},
              Effect.PUBLIC, path=path)
        for path in access.public_paths
    ]  # fmt: skip
    whom = {"role": access.role, "group_ids": list(access.group_ids)}
    if not access.networks:
        return [*planned, _rule(app, app.name, Effect.ROLE, **whom)]
    inside = _("%(app)s: from these networks") % {"app": app.name}
    outside = _("%(app)s: elsewhere") % {"app": app.name}
    return [
        *planned,
        _rule(app, inside, Effect.ROLE, networks=list(access.networks), **whom),
        _rule(app, outside, Effect.DENY),
    ]


def _rule(app: App, name: str, effect: Effect, **fields: object) -> AccessRule:
    fields = {"path": app.path, **fields}
    return AccessRule(name=name[:MAX_NAME_LENGTH], effect=effect, host=app.host, **fields)


def rules_before(app: App) -> list[Rule]:
    """Enabled rules that match some request to the app, and stay before the new ones."""
    stored = list(AccessRule.objects.all())
    before = {str(row.pk) for row in stored[: place_of_new(stored)]}
    return [rule for rule in load_rules() if rule.id in before and _touches(rule, app)]


def _touches(rule: Rule, app: App) -> bool:
    """Whether the rule may decide about a part of the app."""
    asked = {"HTTP_X_ORIGINAL_URL": as_wsgi(f"https://{app.host}/"),
             "HTTP_X_ORIGINAL_METHOD": "GET"}  # fmt: skip
    own, other = f"{app.path}/", f"{rule.path.rstrip('/')}/"
    is_host = Condition.HOST not in rule.unmet_conditions(target_of(asked), "")
    return is_host and (own.startswith(other) or other.startswith(own))
