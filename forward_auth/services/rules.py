"""Reads access rules for the checks, and changes them.

Only owners change rules, because rules are settings (CONTRACT section 4).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.group_names import is_id
from accounts.models import Group
from accounts.roles import Role
from accounts.services.groups.uses import GroupUse
from applications.models import App
from audit import audit_log
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock
from forward_auth.models import AccessRule, Denial
from forward_auth.request import clean_host
from forward_auth.rules.matching import Effect, Rule, rules_admitting
from forward_auth.rules.path_readings import composed
from forward_auth.rules.validation import clean_fields

FIELDS = (
    *("name", "is_enabled", "effect", "role", "host", "path", "methods", "networks", "group_ids"),
    "app_id",
)
MAX_RULES = 500
STEP = 10


def load_rules() -> tuple[Rule, ...]:
    """The enabled rules in order."""
    rows = list(AccessRule.objects.filter(is_enabled=True))
    names = names_of_groups(rows)
    return tuple(rule_of(row, names) for row in rows)


def names_of_groups(rows: Iterable[AccessRule]) -> dict[str, str]:
    """The name of each group that these rules ask for, by its id; deleted ones are missing."""
    wanted = {UUID(key) for row in rows for key in row.group_ids if is_id(key)}
    found = Group.objects.filter(pk__in=wanted) if wanted else []
    return {str(group.pk): group.name for group in found}


def rule_of(row: AccessRule, names: Mapping[str, str] | None = None) -> Rule:
    """The rule of a row. names: names_of_groups(), if many rows are read."""
    names = names_of_groups([row]) if names is None else names
    return Rule(
        id=str(row.pk),
        name=row.name,
        effect=Effect(row.effect),
        role=Role(row.role),
        # Older rows may not be in the form that rules are stored in now.
        host=clean_host(row.host) or row.host,
        path=composed(row.path),
        methods=frozenset(row.methods),
        networks=tuple(ip_network(text) for text in row.networks),
        # The id of a deleted group is no name, so nobody is in it.
        groups=frozenset(names.get(key, key) for key in row.group_ids),
    )


def apps_of_rules() -> dict[str, App]:
    """The app of each rule that has one, by the id of the rule. One query."""
    rows = AccessRule.objects.exclude(app=None).select_related("app")
    return {str(row.pk): row.app for row in rows if row.app is not None}


def create_rule(*, actor: Actor, rule: AccessRule, position: int | None = None) -> AccessRule:
    """Store a new rule after all others, or at a place, 1 for the first.

    Raises Forbidden, RecordInvalid.
    """
    require_owner(actor)
    _validate(rule)
    with transaction.atomic():
        others = _locked()
        _require_room(len(others) + 1)
        _require_app(rule)
        _require_groups(rule)
        rule.position = others[-1].position + STEP if others else STEP
        rule.save(force_insert=True)
        details: dict[str, int] = {}
        if position is not None:
            index = min(max(position - 1, 0), len(others))
            _number([*others[:index], rule, *others[index:]])
            details["place"] = index + 1
        _record_created(actor, rule, **details)
    return rule


def store_new_rules(*, actor: Actor, rules: Sequence[AccessRule]) -> None:
    """Store new rules in this order, before the first enabled rule that matches every request.

    Behind such a rule they would never be reached. For a transaction that writes more before its
    audit rows, which record_new_rules() writes. Raises Forbidden, RecordInvalid.
    """
    require_owner(actor)
    for rule in rules:
        _validate(rule)
    others = _locked()
    _require_room(len(others) + len(rules))
    place = place_of_new(others)
    for rule in rules:
        _require_app(rule)
        _require_groups(rule)
        rule.save(force_insert=True)
    _number([*others[:place], *rules, *others[place:]])


def record_new_rules(*, actor: Actor, rules: Sequence[AccessRule]) -> None:
    """The audit rows of new rules."""
    for rule in rules:
        _record_created(actor, rule, place=place_of(rule))


def place_of_new(rows: Sequence[AccessRule]) -> int:
    """The index at which store_new_rules() inserts among `rows`, which are all rules in order."""
    for place, row in enumerate(rows):
        if row.is_enabled and rule_of(row).is_unconditional:
            return place
    return len(rows)


def change_rule(*, actor: Actor, rule: AccessRule) -> AccessRule:
    """Store the values of `rule`, not its position. Without a change, nothing is written.

    Raises Forbidden, RecordInvalid, NotFound.
    """
    require_owner(actor)
    _validate(rule)
    with transaction.atomic():
        before, after = values_of(_current(rule)), values_of(rule)
        changed = [name for name in FIELDS if before[name] != after[name]]
        if not changed:
            return rule
        _require_app(rule)
        _require_groups(rule, before["group_ids"])
        rule.save(update_fields=changed)
        _record(
            "sso:rule:change",
            actor,
            rule,
            before=with_app_name({name: before[name] for name in changed}),
            after=with_app_name({name: after[name] for name in changed}),
        )
    return rule


def set_rule_enabled(*, actor: Actor, rule: AccessRule, is_enabled: bool) -> AccessRule:
    """Enable or disable a rule. Raises Forbidden, NotFound."""
    return edit_rule(actor=actor, rule=rule, changes={"is_enabled": is_enabled})


def edit_rule(*, actor: Actor, rule: AccessRule, changes: dict[str, Any]) -> AccessRule:
    """Store some fields of a rule; the others keep the values that are stored now.

    Raises Forbidden, RecordInvalid, NotFound.
    """
    require_owner(actor)
    with transaction.atomic():
        current = _current(rule)
        for name, value in changes.items():
            setattr(current, name, value)
        return change_rule(actor=actor, rule=current)


def delete_rule(*, actor: Actor, rule: AccessRule) -> None:
    """Delete a rule; denials by it stay, without a rule. Raises Forbidden, NotFound."""
    require_owner(actor)
    with transaction.atomic():
        current = _current(rule)
        key, place = current.pk, place_of(current)
        current.delete()
        current.pk = key
        before = with_app_name(values_of(current))
        _record("sso:rule:delete", actor, current, before=before, place=place)


def move_rule(*, actor: Actor, rule: AccessRule, places: int) -> bool:
    """Move a rule up (places < 0) or down; returns whether its place changed.

    Renumbers all positions, so that each is unique. Raises Forbidden, NotFound.
    """
    return _move(actor, rule, lambda place: place + places)


def move_rule_to(*, actor: Actor, rule: AccessRule, position: int) -> bool:
    """Move a rule to a place, 1 for the first; see move_rule()."""
    return _move(actor, rule, lambda _place: position - 1)


def _move(actor: Actor, rule: AccessRule, new_place: Callable[[int], int]) -> bool:
    """new_place: the new index of the rule, from the present one."""
    require_owner(actor)
    with transaction.atomic():
        rows = _locked()
        keys = [row.pk for row in rows]
        if rule.pk not in keys:
            raise NotFound
        before = keys.index(rule.pk)
        after = min(max(new_place(before), 0), len(rows) - 1)
        if before == after:
            return False
        rows.insert(after, rows.pop(before))
        _number(rows)
        _record("sso:rule:move", actor, rows[after], before=str(before + 1), after=str(after + 1))
    return True


def rules_open_to_registration() -> tuple[Rule | None, ...]:
    """The rules that admit anyone who registers; None stands for the default.

    Empty where registration is off, or gives the role none.
    """
    if not settings.ALLOW_REGISTRATION or settings.DEFAULT_ROLE == Role.NONE:
        return ()
    return rules_admitting(load_rules(), Role(settings.DEFAULT_ROLE))


def rules_beyond_ascii() -> tuple[str, ...]:
    """Names of enabled rules with a path that apps may encode differently."""
    return tuple(rule.name for rule in load_rules() if not rule.path.isascii())


def is_used() -> bool:
    """Whether proxies ask this server: there are rules or denials."""
    return AccessRule.objects.exists() or Denial.objects.exists()


def require_owner(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an owner."""
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners change rules."))


def _require_room(count: int) -> None:
    if count > MAX_RULES:
        raise RecordInvalid({"name": [_("There are too many rules.")]})


def _require_app(rule: AccessRule) -> None:
    """Raise RecordInvalid if the app was deleted meanwhile. Deletions take the same lock."""
    if rule.app_id is not None and not App.objects.filter(pk=rule.app_id).exists():
        raise RecordInvalid({"app_id": [_("There is no such app.")]})


def _require_groups(rule: AccessRule, before: Sequence[str] = ()) -> None:
    """Raise RecordInvalid for a new group that does not exist. Deletions take the same lock.

    before: groups that the rule asks for already. A deleted one stays, so that no edit of another
    field opens the rule.
    """
    found = names_of_groups([rule])
    if any(key not in found and key not in before for key in rule.group_ids):
        raise RecordInvalid({"group_ids": [_("There is no such group.")]})


def uses_of_group(group: Group) -> list[GroupUse]:
    """The rules that ask for the group, with their pages."""
    rows = AccessRule.objects.exclude(group_ids=[]).order_by("position", "pk")
    return [
        GroupUse(
            _("Access rule “%(name)s”") % {"name": row.name},
            reverse("admin:forward_auth_accessrule_change", args=[row.pk]),
        )
        for row in rows
        if str(group.pk) in row.group_ids
    ]


def values_of(rule: AccessRule) -> dict[str, Any]:
    """The fields of a rule, as the audit log stores them and undo restores them."""
    values = {name: getattr(rule, name) for name in FIELDS}
    return values | {"app_id": None if rule.app_id is None else str(rule.app_id)}


def place_of(rule: AccessRule) -> int:
    """1 for the first rule, disabled ones included."""
    keys = list(AccessRule.objects.order_by("position", "pk").values_list("pk", flat=True))
    return keys.index(rule.pk) + 1


def with_app_name(values: dict[str, Any]) -> dict[str, Any]:
    """Values of rules for people: beside the id of the app its name, as of now."""
    values = _with_group_names(values)
    if "app_id" not in values:
        return values
    app = App.objects.filter(pk=values["app_id"]).first() if values["app_id"] else None
    return values | {"app": app.name if app else ""}


def _with_group_names(values: dict[str, Any]) -> dict[str, Any]:
    if not values.get("group_ids"):
        return values | {"groups": []} if "group_ids" in values else values
    names = names_of_groups([AccessRule(group_ids=values["group_ids"])])
    return values | {"groups": sorted(names.get(key, key) for key in values["group_ids"])}


def _record_created(actor: Actor, rule: AccessRule, **details: int) -> None:
    """place: where it was inserted; without it, the rule is the last one."""
    values = values_of(rule)
    for name in ("app_id", "group_ids"):
        if not values[name]:
            del values[name]
    _record("sso:rule:create", actor, rule, after=with_app_name(values), **details)


def _record(action: str, actor: Actor, rule: AccessRule, **changes: Any) -> None:
    audit_log.record(action, actor=actor, target=rule, name=rule.name, **changes)


def _validate(rule: AccessRule) -> None:
    cleaned, errors = clean_fields(values_of(rule))
    if errors:
        raise RecordInvalid(errors)
    for name, value in cleaned.items():
        setattr(rule, name, value)


def _locked() -> list[AccessRule]:
    """All rules in order, under the lock for changes."""
    acquire_lock(ROLES)
    return list(AccessRule.objects.order_by("position", "pk"))


def _current(rule: AccessRule) -> AccessRule:
    acquire_lock(ROLES)
    found = AccessRule.objects.filter(pk=rule.pk).first()
    if found is None:
        raise NotFound(_("This rule does not exist any more."))
    return found


def _number(rows: list[AccessRule]) -> None:
    for place, row in enumerate(rows, start=1):
        if row.position != place * STEP:
            row.position = place * STEP
            row.save(update_fields=["position"])
