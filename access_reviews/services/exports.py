"""A review with its items, as CSV and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from access_reviews.access import Access
from access_reviews.models import AccessReview, ReviewItem
from access_reviews.scopes import access_of
from accounts.actors import Actor
from accounts.models import User
from accounts.roles import ADMIN_ROLES
from accounts.user_files.spreadsheets import csv_lines
from audit import audit_log
from core.errors import Forbidden

CHUNK = 500
COLUMNS = (
    "user_id", "email", "name", "role", "role_until", "role_after", "expires_at", "api_keys",
    "decision", "decided_by", "decided_at", "note", "role_afterwards", "disabled", "keys_revoked",
)  # fmt: skip


class ItemLine(NamedTuple):
    """An item with the people it names. user, decider: None for deleted accounts, or no one.

    present: the access now; None for a deleted account, and for an item that is decided.
    responsible: who answers for a service account.
    """

    item: ReviewItem
    user: User | None
    decider: User | None
    present: Access | None
    responsible: User | None = None

    @property
    def access(self) -> Access:
        """What is decided about, or was."""
        return self.item.decided_access if self.present is None else self.present

    @property
    def is_changed(self) -> bool:
        """Whether the access that is decided about is another one than at the start."""
        return self.access != self.item.first_access


def item_lines(items: Iterable[ReviewItem]) -> list[ItemLine]:
    """Items with their people and present access, by three queries for all of them."""
    items = list(items)
    users = User.objects.in_bulk([key for item in items for key in _people_of(item)])
    people = User.objects.in_bulk(
        [user.responsible_id for user in users.values() if user.responsible_id]
    )
    undecided = [item.user_id for item in items if item.is_undecided and item.user_id in users]
    present = access_of([users[key] for key in undecided])
    return [
        ItemLine(
            item,
            users.get(item.user_id),
            users.get(item.decided_by) if item.decided_by else None,
            present.get(item.user_id) if item.is_undecided else None,
            people.get(users[item.user_id].responsible_id) if item.user_id in users else None,
        )
        for item in items
    ]


def _people_of(item: ReviewItem) -> Sequence[UUID]:
    return (item.user_id,) if item.decided_by is None else (item.user_id, item.decided_by)


def item_record(line: ItemLine) -> dict[str, Any]:
    """The item as the API and JSON show it. Names and addresses are the present ones."""
    item = line.item
    return {
        "id": str(item.pk),
        "user_id": str(item.user_id),
        "email": line.user.address if line.user else None,
        "name": line.user.name if line.user else "",
        "responsible_id": _responsible(line),
        "access": line.access.as_json(),
        "access_at_start": item.first_access.as_json(),
        "seen": "" if line.present is None else line.present.fingerprint,
        "decision": item.decision,
        "decided_by": str(item.decided_by) if item.decided_by else None,
        "decided_at": item.decided_at,
        "note": item.note,
        "effect": item.effect,
    }


def _responsible(line: ItemLine) -> str | None:
    key = line.user.responsible_id if line.user else None
    return str(key) if key else None


def review_lines(review: AccessReview) -> Iterator[ItemLine]:
    """All items of a review, in the order of their accounts, in short queries."""
    last = UUID(int=0)
    while True:
        rows = review.items.filter(pk__gt=last).order_by("pk")
        chunk = list(rows[:CHUNK])
        yield from item_lines(chunk)
        if len(chunk) < CHUNK:
            return
        last = chunk[-1].pk


def export_csv(*, actor: Actor, review: AccessReview) -> Iterator[str]:
    """The lines of a CSV file. Writes its audit row at once. Raises Forbidden below admin."""
    _record_export(actor, review)
    return csv_lines(COLUMNS, map(_cells, review_lines(review)))


def export_records(*, actor: Actor, review: AccessReview) -> Iterator[dict[str, Any]]:
    """The items as item_record() shows them; see export_csv()."""
    _record_export(actor, review)
    return map(item_record, review_lines(review))


def _record_export(actor: Actor, review: AccessReview) -> None:
    if actor.role not in ADMIN_ROLES:
        raise Forbidden
    audit_log.record("review:access:export", actor=actor, target=review, name=review.name)


def _cells(line: ItemLine) -> dict[str, str]:
    item, access = line.item, line.access
    return {
        "user_id": str(item.user_id),
        "email": line.user.email if line.user else "",
        "name": line.user.name if line.user else "",
        "role": access.role,
        "role_until": access.role_until,
        "role_after": access.role_after,
        "expires_at": access.expires_at,
        "api_keys": "; ".join(f"gth_{key.id} ({', '.join(key.scopes)})" for key in access.keys),
        "decision": item.decision,
        "decided_by": _decider(line),
        "decided_at": item.decided_at.isoformat(timespec="seconds") if item.decided_at else "",
        "note": item.note,
        "role_afterwards": item.effect.get("role_after", ""),
        "disabled": "yes" if item.effect.get("disabled") else "",
        "keys_revoked": "; ".join(f"gth_{key}" for key in item.effect.get("keys", [])),
    }


def _decider(line: ItemLine) -> str:
    """The address, or the id of a deleted account."""
    if line.decider is not None:
        return line.decider.email
    return str(line.item.decided_by or "")
