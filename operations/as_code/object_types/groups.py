"""Groups."""

from collections.abc import Collection

from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import Group
from accounts.models.groups import MAX_DESCRIPTION_LENGTH, MAX_LABEL_LENGTH
from accounts.services.groups.changes import MAX_GROUPS, change_group, create_group, delete_group
from accounts.services.groups.names import name_of
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same

TABLE = Table(
    "groups",
    "Groups of people. Rules, apps and tokens ask for them.",
    (
        Field("name", Type.TEXT, "Letters a to z, digits, hyphens, dots and underscores.",
              most=MAX_NAME_LENGTH, is_required=True),
        Field("label", Type.TEXT, "What people see instead of the name.", most=MAX_LABEL_LENGTH),
        Field("description", Type.TEXT, "What the group is for.", most=MAX_DESCRIPTION_LENGTH),
    ),
    most=MAX_GROUPS,
)  # fmt: skip


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """All groups are read, because they are few."""
    return {
        group.name: Stored(
            str(group.pk),
            {"name": group.name, "label": group.label, "description": group.description},
        )
        for group in Group.objects.order_by("name")
    }


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    values = entry.wanted() | {"name": entry.key}
    with run.telling(entry):
        if stored is None:
            create_group(actor=run.actor, **values)
        elif not is_same(values, stored):
            change_group(actor=run.actor, group=Group(pk=stored.id), changes=values)


def remove(run: Run, stored: Stored) -> str:
    """Deleted, unless something depends on it."""
    delete_group(actor=run.actor, group=Group(pk=stored.id))
    return "deleted"


KIND = Kind(TABLE, read, save, remove, clean_key=name_of)
