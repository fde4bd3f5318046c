"""What another system says about the groups of a person: the directory, a provider, SCIM."""

from collections.abc import Collection

from django.db import transaction

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.members import MAX_GROUPS_OF_USER, record
from accounts.services.users import lock_account


def set_groups_of_source(*, user: User, source: str, names: Collection[str]) -> None:
    """Make the memberships of `source` what it says now. Those of other sources stay.

    names: of groups that the settings open to the source; a group that does not exist is not made.
    Reads one statement if nothing has changed. Raises RecordInvalid for a deleted account.
    """
    if _names_now(user, source) == _existing(names).keys():
        return
    with transaction.atomic():
        current = lock_account(user)
        wanted = _existing(names)
        rows = Membership.objects.filter(user=current, source=source).select_related("group")
        held = {row.group.name: row for row in rows.order_by("group__name")}
        others = Membership.objects.filter(user=current).exclude(source=source)
        said = {"source": source, "reason": source.partition(":")[0]}
        room = MAX_GROUPS_OF_USER - others.values("group").distinct().count()
        for name in sorted(held.keys() - wanted.keys()):
            held[name].delete()
            record("account:membership:remove", SYSTEM, current, held[name].group, **said)
        added = sorted(wanted.keys() - held.keys())[: max(room - len(held.keys() & wanted), 0)]
        for name in added:
            Membership.objects.create(user=current, group=wanted[name], source=source)
            record("account:membership:add", SYSTEM, current, wanted[name], **said)


def _names_now(user: User, source: str) -> set[str]:
    rows = Membership.objects.filter(user=user, source=source)
    return set(rows.values_list("group__name", flat=True))


def _existing(names: Collection[str]) -> dict[str, Group]:
    return {group.name: group for group in Group.objects.filter(name__in=names)} if names else {}
