"""The groups of imported users: what a file changes, and writing it.

A file says which groups a person is in. With that, memberships by hand are added, limited and
removed; those that the directory or a provider gives stay, whatever the file says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.actors import Actor
from accounts.models import Group, Membership, User
from accounts.models.groups import MANUAL
from accounts.services.end_dates import audit_time
from accounts.services.groups.members import MAX_GROUPS_OF_USER, add_member, remove_member
from accounts.user_files.groups import GroupCell
from audit import audit_log
from core.errors import RecordInvalid
from core.text.email_addresses import gettext_noop
from core.text.plain_text import echo

NO_GROUP = gettext_noop("There is no group %(value)s. Create it first.")
NO_GROUP_BUT = gettext_noop("There is no group %(value)s. Did you mean “%(near)s”?")
GROUP_TWICE = gettext_noop("The group %(value)s is named twice.")
GROUP_END_PASSED = gettext_noop("The end of the group %(value)s has passed.")
TOO_MANY_GROUPS = gettext_noop("A person may be in 50 groups at most.")
GROUP_GONE = gettext_noop("The group %(value)s was deleted since the import began.")
# (message, value, near) of a RowError.
Fault = tuple[str, str, str]


class GroupBook:
    """Every group by its name, and who of a batch is in which."""

    def __init__(self) -> None:
        self.groups = {group.name: group for group in Group.objects.all()}
        self.held: Mapping[UUID, Mapping[str, list[Membership]]] = {}

    def read_held(self, users: Iterable[User]) -> None:
        """Read the memberships of these people, by one query."""
        found: defaultdict[UUID, defaultdict[str, list[Membership]]] = defaultdict(
            lambda: defaultdict(list)
        )
        rows = Membership.objects.filter(user__in=[user.pk for user in users])
        for row in rows.current(timezone.now()).select_related("group"):
            found[row.user_id][row.group.name].append(row)
        self.held = found

    def fault(self, cells: Sequence[GroupCell], now: datetime) -> Fault | None:
        """The first thing wrong with the groups of a row."""
        seen: set[str] = set()
        for cell in cells:
            if cell.name not in self.groups:
                near = get_close_matches(cell.name, self.groups, n=1)
                return (NO_GROUP_BUT if near else NO_GROUP, echo(cell.name), "".join(near))
            if cell.name in seen:
                return (GROUP_TWICE, cell.name, "")
            if cell.until is not None and cell.until <= now:
                return (GROUP_END_PASSED, cell.name, "")
            seen.add(cell.name)
        return (TOO_MANY_GROUPS, "", "") if len(seen) > MAX_GROUPS_OF_USER else None

    def changes(self, user: User, cells: Sequence[GroupCell]) -> dict[str, Any]:
        """{"groups": (to add or limit, names to leave)} if the row says other groups, else {}."""
        held = self.held.get(user.pk, {})
        added = [cell for cell in cells if _differs(cell, held.get(cell.name, []))]
        wanted = {cell.name for cell in cells}
        left = [name for name, rows in held.items() if name not in wanted and _manual(rows)]
        return {"groups": (added, sorted(left))} if added or left else {}


def change_groups(
    actor: Actor, user: User, book: GroupBook, added: Sequence[GroupCell], left: Sequence[str]
) -> None:
    """Make the changes of one account. Raises Forbidden, NotFound, RecordInvalid."""
    for name in left:
        remove_member(actor=actor, user=user, group=book.groups[name])
    for cell in added:
        add_member(actor=actor, user=user, group=book.groups[cell.name], until=cell.until)


def insert_memberships(
    actor: Actor, book: GroupBook, people: Iterable[tuple[User, Sequence[GroupCell]]]
) -> list[Any]:
    """Put new accounts into their groups, under the lock of roles; returns drafts of audit rows.

    Raises RecordInvalid, with the name, for a group that was deleted meanwhile.
    """
    pairs = [(user, cell) for user, cells in people for cell in cells]
    named = {book.groups[cell.name].pk for _user, cell in pairs}
    there = Group.objects.in_bulk(named) if named else {}
    for _user, cell in pairs:
        if book.groups[cell.name].pk not in there:
            raise RecordInvalid({"groups": [cell.name]})
    Membership.objects.bulk_create(
        Membership(user=user, group=book.groups[cell.name], until=cell.until, added_by_id=actor.pk)
        for user, cell in pairs
    )
    return [_audit_draft(actor, user, book.groups[cell.name], cell) for user, cell in pairs]


def _audit_draft(actor: Actor, user: User, group: Group, cell: GroupCell) -> Any:
    end = {} if cell.until is None else {"until": audit_time(cell.until)}
    return audit_log.draft(
        "account:membership:limit" if end else "account:membership:add",
        actor=actor,
        target=user,
        group=group.name,
        group_id=str(group.pk),
        **end,
    )


def _differs(cell: GroupCell, rows: Sequence[Membership]) -> bool:
    """Does the cell say something else than the rows of one group? Only rows by hand change."""
    manual = _manual(rows)
    return manual.until != cell.until if manual is not None else not rows


def _manual(rows: Sequence[Membership]) -> Membership | None:
    return next((row for row in rows if row.source == MANUAL), None)
