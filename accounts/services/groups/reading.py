"""Which groups a person is in, as of now."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Group, Membership, User
from core.errors import NotFound


class CurrentGroups(NamedTuple):
    """The names of a person's groups in order, and when the next membership ends by itself."""

    names: tuple[str, ...]
    next_end: datetime | None


def current_groups(user: User, now: datetime) -> CurrentGroups:
    """groups_of() with the next end, by one query."""
    rows = Membership.objects.filter(user_id=user.pk).current(now)
    found = list(rows.values_list("group__name", "until"))
    ends = [end for _name, end in found if end is not None]
    return CurrentGroups(tuple(sorted({name for name, _end in found})), min(ends, default=None))


def groups_of(user: User, now: datetime | None = None) -> tuple[str, ...]:
    """The names of the groups that the person is in, in alphabetical order.

    A membership whose time is up does not count, whether or not the worker has deleted it.
    """
    return current_groups(user, now or timezone.now()).names


def groups_of_many(keys: Iterable[Any], now: datetime | None = None) -> dict[UUID, tuple[str, ...]]:
    """groups_of() of many people by their id, with one query; nobody who is in none."""
    rows = Membership.objects.filter(user_id__in=list(keys)).current(now or timezone.now())
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for user_id, name in rows.values_list("user_id", "group__name"):
        found[user_id].add(name)
    return {user_id: tuple(sorted(names)) for user_id, names in found.items()}


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
