"""How changes of access rules are taken back; see accounts.undo.registry."""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.undo.registry import Reversal, undoes
from audit.models import AuditEvent
from audit.sentences import rule_text
from core.errors import CannotUndo
from core.locks import ROLES, acquire_lock
from forward_auth.models import AccessRule
from forward_auth.services import rules

CONTENT = ("sso:rule:create", "sso:rule:change", "sso:rule:delete")


def lock_rules(_event: AuditEvent) -> None:
    """Lock what every change of rules locks first."""
    acquire_lock(ROLES)


def _order(_event: AuditEvent) -> "QuerySet[AuditEvent]":
    """What changes the places of rules. A new rule that comes after all others does not."""
    is_inserted = Q(action="sso:rule:create", detail__has_key="place")
    moves = Q(action__in=["sso:rule:delete", "sso:rule:move"])
    return AuditEvent.objects.filter(moves | is_inserted)


@undoes("sso:rule:create", changed_by=CONTENT, lock=lock_rules)
def undo_create(event: AuditEvent) -> Reversal:
    """Delete the rule again."""
    rule = _rule(event)
    now = _now(rule, event.detail["after"])
    return Reversal(
        _("Access rule “%(name)s”") % {"name": rule.name},
        rule_text(now),
        _("deleted"),
        lambda actor: rules.delete_rule(actor=actor, rule=rule),
        rules.require_owner,
        _("Requests that only this rule matched are decided by the rules after it."),
    )


@undoes("sso:rule:change", changed_by=CONTENT, lock=lock_rules)
def undo_change(event: AuditEvent) -> Reversal:
    """Give the changed fields their earlier values."""
    rule, before = _rule(event), event.detail["before"]
    now = _now(rule, event.detail["after"])
    return Reversal(
        _("Access rule “%(name)s”") % {"name": rule.name},
        rule_text(now),
        rule_text(before),
        lambda actor: rules.edit_rule(actor=actor, rule=rule, changes=_fields(before)),
        rules.require_owner,
    )


@undoes("sso:rule:delete", later=_order, lock=lock_rules)
def undo_delete(event: AuditEvent) -> Reversal:
    """Put the rule back at its place, with its id. Refused if the order has changed since."""
    before, place = event.detail["before"], int(event.detail["place"])
    if AccessRule.objects.filter(pk__in=[event.target_id]).exists():
        raise CannotUndo(_("The rule exists already."))

    def put_back(actor: Actor) -> None:
        row = AccessRule(pk=event.target_id, **_fields(before))
        rules.create_rule(actor=actor, rule=row, position=place)

    text = _("%(rule)s (place %(place)d)")
    return Reversal(
        _("Access rule “%(name)s”") % {"name": before["name"]},
        _("deleted"),
        text % {"rule": rule_text(before), "place": place},
        put_back,
        rules.require_owner,
    )


@undoes("sso:rule:move", later=_order, lock=lock_rules)
def undo_move(event: AuditEvent) -> Reversal:
    """Move the rule back. Refused if the order has changed since."""
    rule, before, after = _rule(event), event.detail["before"], event.detail["after"]
    _require_same(rules.place_of(rule), int(after))
    text = _("place %(place)s")
    return Reversal(
        _("Access rule “%(name)s”") % {"name": rule.name},
        text % {"place": after},
        text % {"place": before},
        lambda actor: rules.move_rule_to(actor=actor, rule=rule, position=int(before)),
        rules.require_owner,
    )


def _rule(event: AuditEvent) -> AccessRule:
    rule = AccessRule.objects.filter(pk__in=[event.target_id]).first()
    if rule is None:
        raise CannotUndo(_("This rule does not exist any more."))
    return rule


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the app, which is for people."""
    return {name: value for name, value in values.items() if name in rules.FIELDS}


def _now(rule: AccessRule, after: dict[str, Any]) -> dict[str, Any]:
    """The present values of the fields in `after`. Raises CannotUndo if they are others."""
    now = {name: value for name, value in rules.values_of(rule).items() if name in after}
    _require_same(now, _fields(after))
    return rules.with_app_name(now)


def _require_same(now: Any, after: Any) -> None:
    if now != after:
        raise CannotUndo(_("The rule is no longer as this change left it."))
