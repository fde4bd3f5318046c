"""What the file last applied said: the objects that apply manages, without secrets."""

from typing import Any, NamedTuple

from django.utils import timezone

from core.crypto.tokens import digest
from operations.as_code.fields import Entry, Table, Type, without_defaults
from operations.as_code.run import INVITATION, Kind, Stored
from operations.models import AppliedConfiguration

PURPOSE = "configuration-value"


class Managed(NamedTuple):
    """An object of the file. id: of its row. values: as JSON; none for what the file has left.

    is_made: apply has made it, instead of finding it.
    """

    table: str
    key: str
    id: str
    is_made: bool
    values: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.table}: {self.key}"

    def is_row(self, stored: Stored | None) -> bool:
        """Whether this is still the same object; an invitation becomes an account."""
        return stored is not None and (self.id == stored.id or self.id.startswith(INVITATION))


class Record(NamedTuple):
    """digest: SHA-256 of the file. left: managed objects that the file does not name any more."""

    digest: str = ""
    objects: tuple[Managed, ...] = ()
    left: tuple[Managed, ...] = ()


def load_record() -> Record:
    """An empty one if no file was ever applied. One query."""
    row = AppliedConfiguration.objects.filter(pk=AppliedConfiguration.ONLY).first()
    return record_of(row) if row else Record()


def record_of(row: AppliedConfiguration) -> Record:
    """The record in its row."""
    return Record(
        row.digest,
        tuple(Managed(*each) for each in row.objects_applied),
        tuple(Managed(*each) for each in row.objects_left),
    )


def store_record(record: Record) -> None:
    """Replace the record. For the transaction that applies the file."""
    AppliedConfiguration.objects.update_or_create(
        pk=AppliedConfiguration.ONLY,
        defaults={
            "digest": record.digest,
            "objects_applied": [list(each) for each in record.objects],
            "objects_left": [list(each) for each in record.left],
            "applied_at": timezone.now(),
        },
    )


def kept_values(kind: Kind, entry: Entry, stored: Stored) -> dict[str, Any]:
    """What the record keeps of an object: what the file decides about it."""
    values = comparable_values(kind, stored)
    left_out = {
        field.name
        for field in kind.table.fields
        if field.is_kept and field.name not in entry.values
    }
    return {
        name: value
        for name, value in without_defaults(kind.table, values).items()
        if name not in left_out
    } | {
        # A list that the file empties is compared, too.
        name: values[name]
        for name in values
        if name in entry.values and kind.table.field(name).is_kept
    }


def comparable_values(kind: Kind, stored: Stored) -> dict[str, Any]:
    """The values of an object as JSON; of hidden ones a digest."""
    return {
        name: _plain(kind.table, name, value)
        for name, value in stored.values.items()
        if name in kind.table.names and name not in kind.initial
    }


def _plain(table: Table, name: str, value: Any) -> Any:
    field = table.field(name)
    if field.is_hidden:
        return digest(PURPOSE, value)
    return value.isoformat() if field.type is Type.TIME and value is not None else value
