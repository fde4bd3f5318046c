"""Which groups a person is in, as of now."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.group_names import folded
from accounts.models import Group, Membership, User, UserQuerySet
from core.errors import NotFound, RecordInvalid
from core.text.plain_text import echo


class CurrentGroups(NamedTuple):
    """The names of a person's groups in order, and when the next membership ends by itself."""

    names: tuple[str, ...]
    next_end: datetime | None


def current_groups(user: User, now: datetime) -> CurrentGroups:
    """groups_of() with the next end, by one query."""
    held = [(name, end) for name, end in user.all_memberships() if end is None or end > now]
    ends = [end for _name, end in held if end is not None]
    return CurrentGroups(tuple(sorted({name for name, _end in held})), min(ends, default=None))


def groups_of(user: User, now: datetime | None = None) -> tuple[str, ...]:
    """The names of the groups that the person is in, in alphabetical order.

    A membership whose time is up does not count, whether or not the worker has deleted it.
    """
    return current_groups(user, now or timezone.now()).names


def load_groups(users: Iterable[User]) -> None:
    """Read the groups of many people with one query, so that groups_of() needs none."""
    people = list(users)
    found: defaultdict[UUID, list[tuple[str, datetime | None]]] = defaultdict(list)
    rows = Membership.objects.filter(user_id__in=[user.pk for user in people])
    for user_id, name, end in rows.values_list("user_id", "group__name", "until"):
        found[user_id].append((name, end))
    for user in people:
        user.loaded_memberships = tuple(found[user.pk])


def in_group(users: UserQuerySet, group: Group, now: datetime) -> UserQuerySet:
    """Those of `users` who are in the group."""
    rows = Membership.objects.filter(group=group).current(now)
    return users.filter(pk__in=rows.values("user"))


def find_groups(texts: Iterable[str]) -> list[Group]:
    """The groups with these names or ids, without duplicates.

    Raises RecordInvalid, with one message for each that does not exist.
    """
    found: dict[UUID, Group] = {}
    errors = []
    for text in texts:
        try:
            group = find_group(text)
        except NotFound:
            errors.append(_no_group(text))
        else:
            found[group.pk] = group
    if errors:
        raise RecordInvalid({"groups": errors})
    return list(found.values())


def groups_with_ids(keys: Iterable[str]) -> list[Group]:
    """Those of the groups with these ids that exist, in the order of their names."""
    ids = list(keys)
    return list(Group.objects.filter(pk__in=ids).order_by("name")) if ids else []


def _no_group(text: str) -> str:
    names = Group.objects.values_list("name", flat=True)
    near = get_close_matches(folded(text), names, n=1)
    if not near:
        return _("There is no group %(value)s. Create it first.") % {"value": echo(text)}
    return _("There is no group %(value)s. Did you mean “%(near)s”?") % {
        "value": echo(text),
        "near": near[0],
    }


def find_group(text: str) -> Group:
    """The group with this name or id. Raises NotFound."""
    key = text.strip().lower()
    try:
        found = Group.objects.filter(pk=UUID(key)).first()
    except ValueError:
        found = Group.objects.filter(name=key).first()
    if found is None:
        raise NotFound(_("There is no such group."))
    return found
