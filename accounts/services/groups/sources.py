"""What another system says about the groups of a person: the directory, a provider, SCIM."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction

from accounts.actors import SYSTEM, Actor
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import lock_group
from accounts.services.groups.members import MAX_GROUPS_OF_USER, record, require_room
from accounts.services.ranks import require_rank
from accounts.services.users import lock_account
from core.locks import ROLES, acquire_lock, lock_users


def set_groups_of_source(
    *, user: User, source: str, names: Collection[str], unknown: Collection[str] = ()
) -> bool:
    """Make the memberships of `source` what it says now. Those of other sources stay.

    names: of groups that the settings open to the source; a group that does not exist is not made.
    unknown: groups in which a person stays who is in them, because the source said too little.
    Returns whether anything was written; reads two statements if not. Raises RecordInvalid for a
    deleted account.
    """
    if not differs(names_of_source(user, source), _existing(names).keys(), unknown):
        return False
    with transaction.atomic():
        current = lock_account(user)
        rows = Membership.objects.filter(user=current, source=source).select_related("group")
        held = {row.group.name: row for row in rows.order_by("group__name")}
        wanted = _existing({*names, *(held.keys() & set(unknown))})
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
        return bool(added or held.keys() - wanted.keys())


def change_members_of_source(
    *,
    actor: Actor,
    group: Group,
    source: str,
    added: Sequence[User] = (),
    removed: Sequence[User] = (),
) -> None:
    """Put people into a group, and take people out, as `source` says: all of them, or nobody.

    Memberships of other sources stay, so who was put in by hand as well is still in the group.
    Raises Forbidden, NotFound, RecordInvalid.
    """
    with transaction.atomic():
        lock_users(*(user.pk for user in (*added, *removed)))
        current = lock_group(group)
        rows = Membership.objects.filter(group=current, source=source)
        held = {row.user_id: row for row in rows.filter(user__in=[*added, *removed])}
        said = {"source": source, "reason": source.partition(":")[0]}
        for user in removed:
            require_rank(actor, lock_account(user))
            if user.pk in held:
                held[user.pk].delete()
                record("account:membership:remove", actor, user, current, **said)
        for user in added:
            require_rank(actor, lock_account(user))
            if user.pk not in held:
                require_room(user, current)
                Membership.objects.create(
                    user=user, group=current, source=source, added_by_id=actor.pk
                )
                record("account:membership:add", actor, user, current, **said)


def differs(held: Collection[str], wanted: Collection[str], unknown: Collection[str]) -> bool:
    """Whether someone in the groups `held` has to join or to leave one."""
    return {*wanted, *({*held} & {*unknown})} != {*held}


def names_of_source(user: User, source: str) -> set[str]:
    """The groups that the source has put the person into."""
    rows = Membership.objects.filter(user=user, source=source)
    return set(rows.values_list("group__name", flat=True))


def names_of_source_by_user(source: str) -> dict[UUID, set[str]]:
    """names_of_source() of everyone who has such groups."""
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    rows = Membership.objects.filter(source=source)
    for key, name in rows.values_list("user_id", "group__name"):
        found[key].add(name)
    return found


def forget_groups_of_source(*, user: User, source: str) -> bool:
    """Take the person out of every group that the source has put them into."""
    return set_groups_of_source(user=user, source=source, names=())


def move_groups(users: Collection[UUID], old: str, new: str) -> None:
    """Let the memberships of these people count as those of `new`, which is what `old` was.

    Call it in a transaction that has locked the people and writes the audit row.
    """
    acquire_lock(ROLES)
    rows = Membership.objects.filter(user__in=users)
    taken = set(rows.filter(source=new).values_list("user_id", "group_id"))
    for row in rows.filter(source=old):
        if (row.user_id, row.group_id) in taken:
            row.delete()
        else:
            row.source = new
            row.save(update_fields=["source"])


def existing_names(names: Collection[str]) -> frozenset[str]:
    """Those of the names that a group has."""
    return frozenset(_existing(names))


def _existing(names: Collection[str]) -> dict[str, Group]:
    return {group.name: group for group in Group.objects.filter(name__in=names)} if names else {}
