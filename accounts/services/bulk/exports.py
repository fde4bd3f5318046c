"""Exporting users as CSV, in the columns that an import reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Prefetch
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import Membership, User, UserQuerySet
from accounts.user_files.fields import FIELDS
from accounts.user_files.groups import GroupCell, format_groups
from accounts.user_files.spreadsheets import csv_lines
from audit import audit_log
from core.errors import Forbidden

CHUNK = 2000
# With it, Excel reads the file as UTF-8.
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """Which users are exported; all by default. is_active: None for both states."""

    search: str = ""
    role: str = ""
    is_active: bool | None = None

    def users(self) -> UserQuerySet:
        found: UserQuerySet = User.objects.search(self.search)
        if self.role:
            found = found.filter(role=self.role)
        return found if self.is_active is None else found.filter(is_active=self.is_active)


def export_users(*, actor: Actor, chosen: ExportFilter, with_hashes: bool = False) -> Iterator[str]:
    """The lines of a CSV file, oldest account first, read from the database as they are taken.

    with_hashes: with password hashes, for the command line only. Writes its audit row before the
    first line is returned. Raises Forbidden below admin, at once.
    """
    if isinstance(actor, User) and (not actor.is_staff or with_hashes):
        raise Forbidden
    users = chosen.users()
    audit_log.record(
        "account:user:export", actor=actor, count=users.count(), password_hashes=with_hashes
    )
    columns = FIELDS if with_hashes else FIELDS[:-1]
    return csv_lines(columns, map(_cells, _by_key(users)))


def _by_key(users: UserQuerySet) -> Iterator[User]:
    """All users in short queries, so that a slow download holds no transaction."""
    last: Any = None
    while True:
        found = users if last is None else users.filter(pk__gt=last)
        related = ("responsible", Prefetch("memberships", _memberships_now(), "now_in"))
        chunk = list(found.order_by("pk").prefetch_related(*related)[:CHUNK])
        yield from chunk
        if len(chunk) < CHUNK:
            return
        last = chunk[-1].pk


def _memberships_now() -> Any:
    """Those by hand and those of a source; ended ones are left out."""
    return Membership.objects.current(timezone.now()).select_related("group")


def _groups(user: User) -> str:
    """Of a group that several sources give, the longest membership counts."""
    longest: dict[str, datetime | None] = {}
    for row in user.now_in:  # type: ignore[attr-defined]  # prefetched by _by_key()
        name, known = row.group.name, longest.get(row.group.name, row.until)
        longest[name] = None if None in (known, row.until) else max(known, row.until)
    return format_groups(GroupCell(*each) for each in longest.items())


def _cells(user: User) -> dict[str, str]:
    """The cells of a user, as everything holds now, whether the worker has written it or not."""
    may_act = user.is_active and not user.is_expired(timezone.now())
    role_until = None if user.ended_role else user.role_until
    return {
        "email": user.address or "",
        "name": user.name,
        "username": user.username or "",
        "role": user.role,
        "state": "active" if may_act else "disabled",
        "verified": "yes" if user.is_verified else "no",
        "created_at": user.created_at.isoformat(timespec="seconds"),
        "expires_at": _end(user.expires_at),
        "role_until": _end(role_until),
        "role_after": user.role_after if role_until else "",
        "groups": _groups(user),
        "kind": user.kind,
        "responsible": user.responsible.email if user.responsible else "",
        "password_hash": user.password if user.has_usable_password() else "",
    }


def _end(moment: datetime | None) -> str:
    """RFC 3339 in UTC, to the microsecond; "" for no end."""
    return "" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
