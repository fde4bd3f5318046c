"""Which groups a person is in, as of now."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Group, Membership, User
from core.errors import NotFound


def groups_of(user: User, now: datetime | None = None) -> tuple[str, ...]:
    """The names of the groups that the person is in, in alphabetical order.

    A membership whose time is up does not count, whether or not the worker has deleted it.
    """
    rows = Membership.objects.filter(user_id=user.pk).current(now or timezone.now())
    return tuple(sorted(set(rows.values_list("group__name", flat=True))))


def groups_of_many(keys: Iterable[Any], now: datetime | None = None) -> dict[UUID, tuple[str, ...]]:
    """groups_of() of many people by their id, with one query; nobody who is in none."""
    rows = Membership.objects.filter(user_id__in=list(keys)).current(now or timezone.now())
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for user_id, name in rows.values_list("user_id", "group__name"):
        found[user_id].add(name)
    return {user_id: tuple(sorted(names)) for user_id, names in found.items()}


def next_group_end(user: User, now: datetime) -> datetime | None:
    """When the next membership of the person ends by itself; None if none does."""
    rows = Membership.objects.filter(user_id=user.pk, until__gt=now)
    end: datetime | None = rows.aggregate(end=Min("until"))["end"]
    return end


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
