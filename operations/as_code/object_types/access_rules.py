"""Access rules of forward auth, and their order: the first rule that matches decides."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from accounts.roles import Role
from applications.models import App
from core.text.networks import MAX_NETWORKS
from forward_auth.models import AccessRule
from forward_auth.rules.validation import (
    MAX_GROUPS,
    MAX_HOST_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PATH_LENGTH,
    METHODS,
    clean_fields,
    name_of,
)
from forward_auth.services.rules import (
    MAX_RULES,
    create_rule,
    delete_rule,
    edit_rule,
    move_rule_to,
    names_of_groups,
    place_of_new,
)
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same, numbered

TABLE = Table(
    "access_rules",
    "Who may access the hosts and paths behind a proxy, in the order of the list: the first rule "
    "that matches decides.",
    (
        Field("name", Type.TEXT, "Lists and denials show it.", most=MAX_NAME_LENGTH,
              is_required=True),
        Field("effect", Type.TEXT, "role admits a role and higher ones, public everyone, deny no "
              "one.", choices=tuple(value for value, _label in AccessRule.EFFECTS),
              is_required=True),
        Field("role", Type.TEXT, "With the effect role: the lowest one.",
              default=Role.VIEWER.value,
              choices=tuple(value for value, _label in AccessRule.LEVELS)),
        Field("host", Type.TEXT, "app.example.com, or *.example.com for every name below it. "
              "Empty: every host.", most=MAX_HOST_LENGTH),
        Field("path", Type.TEXT, "/api matches itself and everything below it. Empty: every path.",
              most=MAX_PATH_LENGTH),
        Field("methods", Type.TEXTS, "Empty: every method.", default=[], choices=METHODS),
        Field("networks", Type.TEXTS, "Networks of the client. Empty: every network.", default=[],
              most=MAX_NETWORKS),
        Field("groups", Type.TEXTS, "Besides the role, a person is in one of these groups.",
              default=[], most=MAX_GROUPS),
        Field("app", Type.TEXT, "The short name of the app that it belongs to. It decides "
              "nothing."),
        Field("is_enabled", Type.FLAG, "Whether the rule is in use.", default=True),
    ),
    repeats=True,
    is_ordered=True,
    most=MAX_RULES,
)  # fmt: skip
PLAIN = ("name", "effect", "role", "host", "path", "methods", "networks", "is_enabled")
FILE_NAMES = {"group_ids": "groups", "app_id": "app"}


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """All rules in their order."""
    rows = list(AccessRule.objects.order_by("position", "pk").select_related("app"))
    groups = names_of_groups(rows)
    return {
        key: Stored(
            str(row.pk),
            {name: getattr(row, name) for name in PLAIN}
            | {
                # The id of a deleted group, which admits nobody.
                "groups": [groups.get(each, each) for each in row.group_ids],
                "app": row.app.slug if row.app else "",
            },
        )
        for key, row in zip(numbered(row.name for row in rows), rows, strict=True)
    }


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    wanted = entry.wanted()
    before = stored.values if stored else {}
    values = {name: wanted[name] for name in PLAIN if name in wanted}
    values["group_ids"] = run.group_ids(entry, "groups", before.get("groups", ()))
    values["app_id"] = _app_id(run, entry, wanted["app"])
    with run.telling(entry, FILE_NAMES, _probe):
        if stored is None:
            rule = AccessRule(**values)
            create_rule(actor=run.actor, rule=rule, position=_place(run, entry) + 1)
        elif not is_same(wanted, stored):
            edit_rule(actor=run.actor, rule=AccessRule(pk=stored.id), changes=values)


def _place(run: Run, entry: Entry) -> int:
    """The index of a new rule: behind the one that the file has before it.

    The first of the file stands before the next one. Without either it stands where the assistant
    for apps would put it, before a rule that matches everything.
    """
    keys, entries = list(read(None)), run.entries[TABLE.name]
    number = entries.index(entry)
    if number and entries[number - 1].key in keys:
        return keys.index(entries[number - 1].key) + 1
    following = next((each.key for each in entries[number:] if each.key in keys), None)
    if following is not None:
        return keys.index(following)
    return place_of_new(list(AccessRule.objects.order_by("position", "pk")))


def _app_id(run: Run, entry: Entry, slug: str) -> Any:
    found = App.objects.filter(slug=slug.strip().lower()).first() if slug else None
    if slug and found is None and not run.makes("apps", slug):
        run.wrong(entry, "app", "there is no app of this short name: add it under “apps”")
    return found.pk if found else None


def _probe(name: str, items: list[Any]) -> object:
    if name == "groups":
        return None
    errors = clean_fields({name: items})[1]
    if errors:
        raise ValueError(*errors[name])
    return None


def arrange(run: Run, entries: list[Entry]) -> None:
    """Bring the rules of the file into its order. Others keep their places between them."""
    stored = read(None)
    wanted = [stored[entry.key].id for entry in entries if entry.key in stored]
    present = [each.id for each in stored.values()]
    for place, key in enumerate(order_of(present, wanted)):
        if present[place] != key:
            move_rule_to(actor=run.actor, rule=AccessRule(pk=UUID(key)), position=place + 1)
            present.remove(key)
            present.insert(place, key)


def order_of(present: list[str], wanted: list[str]) -> list[str]:
    """All of `present`, with those of `wanted` in that order: they share their places anew."""
    following = iter(wanted)
    chosen = set(wanted)
    return [next(following) if key in chosen else key for key in present]


def remove(run: Run, stored: Stored) -> str:
    """Deleted; denials by it stay."""
    delete_rule(actor=run.actor, rule=AccessRule(pk=stored.id))
    return "deleted"


KIND = Kind(TABLE, read, save, remove, clean_key=name_of, arrange=arrange)
