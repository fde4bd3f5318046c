"""The rules as the engine takes them, read anew whenever anything has changed; and their changes.

Only owners change rules: they are settings (CONTRACT section 4).
"""

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Forbidden, NotFound, RecordInvalid
from accounts.locks import ROLES, house_lock
from accounts.roles import Role
from sso.models import AccessRule, Denial
from sso.readings import composed
from sso.rulechecks import clean_fields
from sso.rules import Effect, Rule, admitting
from sso.targets import clean_host

FIELDS = ("name", "is_enabled", "effect", "role", "host", "path", "methods", "networks")
MOST_RULES = 500
STEP = 10


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
        # Rows of before are compared as those of today are stored.
        host=clean_host(row.host) or row.host,
        path=composed(row.path),
        methods=frozenset(row.methods),
        networks=tuple(ip_network(text) for text in row.networks),
    )


def create_rule(*, actor: Actor, rule: AccessRule) -> AccessRule:
    """Store a new rule behind all others. Raises Forbidden, RecordInvalid."""
    require_owner(actor)
    _clean(rule)
    with transaction.atomic():
        others = _locked()
        if len(others) >= MOST_RULES:
            raise RecordInvalid({"name": [_("There are too many rules already.")]})
        rule.position = others[-1].position + STEP if others else STEP
        rule.save(force_insert=True)
        audit.record(
            "sso:rule:create", actor=actor, target=rule, name=rule.name, after=told(_values(rule))
        )
    return rule


def change_rule(*, actor: Actor, rule: AccessRule) -> AccessRule:
    """Store the values that `rule` has now; its place stays. No change writes nothing.

    Raises Forbidden, RecordInvalid, NotFound.
    """
    require_owner(actor)
    _clean(rule)
    with transaction.atomic():
        before, after = _values(_current(rule)), _values(rule)
        changed = [name for name in FIELDS if before[name] != after[name]]
        if not changed:
            return rule
        rule.save(update_fields=changed)
        audit.record(
            "sso:rule:change",
            actor=actor,
            target=rule,
            name=rule.name,
            before=told({name: before[name] for name in changed}),
            after=told({name: after[name] for name in changed}),
        )
    return rule


def switch_rule(*, actor: Actor, rule: AccessRule, is_enabled: bool) -> AccessRule:
    """Take a rule into use or out of it. Raises Forbidden, NotFound."""
    require_owner(actor)
    with transaction.atomic():
        current = _current(rule)
        current.is_enabled = is_enabled
        return change_rule(actor=actor, rule=current)


def delete_rule(*, actor: Actor, rule: AccessRule) -> None:
    """Delete a rule; refusals by it stay and name none. Raises Forbidden, NotFound."""
    require_owner(actor)
    with transaction.atomic():
        current = _current(rule)
        key, values = current.pk, told(_values(current))
        current.delete()
        current.pk = key
        audit.record(
            "sso:rule:delete", actor=actor, target=current, name=current.name, before=values
        )


def move_rule(*, actor: Actor, rule: AccessRule, places: int) -> bool:
    """Move a rule up (places < 0) or down; returns whether its place differs now.

    Raises Forbidden, NotFound. Positions are numbered anew, so that none is there twice.
    """
    require_owner(actor)
    with transaction.atomic():
        rows = _locked()
        keys = [row.pk for row in rows]
        if rule.pk not in keys:
            raise NotFound
        before = keys.index(rule.pk)
        after = min(max(before + places, 0), len(rows) - 1)
        if before == after:
            return False
        rows.insert(after, rows.pop(before))
        _number(rows)
        audit.record(
            "sso:rule:move",
            actor=actor,
            target=rule,
            name=rows[after].name,
            before=str(before + 1),
            after=str(after + 1),
        )
    return True


def open_entries() -> tuple[Rule | None, ...]:
    """By which rules anybody could let himself in, because he may register; None: the default.

    Empty where registration is closed or gives a role that passes no door.
    """
    if not settings.ALLOW_REGISTRATION or settings.DEFAULT_ROLE == Role.NONE:
        return ()
    return admitting(load_rules(), Role(settings.DEFAULT_ROLE))


def rules_beyond_ascii() -> tuple[str, ...]:
    """Names of rules in use whose path some app might write in other bytes than ours."""
    return tuple(rule.name for rule in load_rules() if not rule.path.isascii())


def is_used() -> bool:
    """Does any proxy ask this server? It leaves rules or refusals behind."""
    return AccessRule.objects.exists() or Denial.objects.exists()


def require_owner(actor: Actor) -> None:
    """Raise Forbidden for everybody else."""
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners change rules."))


def told(values: dict[str, Any]) -> str:
    """Values in one line of text, as the audit log keeps them."""
    return "; ".join(f"{name}: {_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value) if value != "" else "-"


def _clean(rule: AccessRule) -> None:
    cleaned, errors = clean_fields(_values(rule))
    if errors:
        raise RecordInvalid(errors)
    for name, value in cleaned.items():
        setattr(rule, name, value)


def _values(rule: AccessRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in FIELDS}


def _locked() -> list[AccessRule]:
    """All rules in order; one at a time changes them."""
    house_lock(ROLES)
    return list(AccessRule.objects.order_by("position", "pk"))


def _current(rule: AccessRule) -> AccessRule:
    house_lock(ROLES)
    found = AccessRule.objects.filter(pk=rule.pk).first()
    if found is None:
        raise NotFound(_("This rule does not exist any more."))
    return found


def _number(rows: list[AccessRule]) -> None:
    for place, row in enumerate(rows, start=1):
        if row.position != place * STEP:
            row.position = place * STEP
            row.save(update_fields=["position"])
