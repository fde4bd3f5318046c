"""Every table with its columns, ordered so that no row refers to a later table."""

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.db import models

from core import sql
from core.models import CacheEntry
from operations.errors import OperationError

# The common format of each field type between two databases; see adapters.py.
KINDS = {
    "AutoField": "integer",
    "BigAutoField": "integer",
    "BigIntegerField": "integer",
    "BinaryField": "bytes",
    "BooleanField": "boolean",
    "CharField": "text",
    "DateField": "date",
    "DateTimeField": "datetime",
    "DurationField": "duration",
    "FloatField": "number",
    "IntegerField": "integer",
    "JSONField": "json",
    "PositiveBigIntegerField": "integer",
    "PositiveIntegerField": "integer",
    "PositiveSmallIntegerField": "integer",
    "SlugField": "text",
    "SmallAutoField": "integer",
    "SmallIntegerField": "integer",
    "TextField": "text",
    "UUIDField": "uuid",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the kind of its values, one of KINDS."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """key: the index of the primary key. has_sequence: the database generates the keys."""

    name: str
    columns: tuple[Column, ...]
    key: int
    has_sequence: bool

    @property
    def key_column(self) -> Column:
        return self.columns[self.key]


def all_tables() -> list[Table]:
    """All tables except that of counters and cache, whose rows live for minutes.

    Raises OperationError for an unsupported column type.
    """
    found = {
        model._meta.db_table: model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model is not CacheEntry
    }
    needs = {name: _needed_by(model) & set(found) for name, model in sorted(found.items())}
    return [_table(found[name]) for name in TopologicalSorter(needs).static_order()]


def _needed_by(model: type[models.Model]) -> set[str]:
    """The other tables that rows of `model` refer to."""
    related = {
        field.related_model._meta.db_table
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and not isinstance(field.related_model, str)
    }
    return related - {model._meta.db_table}


def _table(model: type[models.Model]) -> Table:
    fields = sql.columns_of(model)
    key = model._meta.pk
    return Table(
        name=model._meta.db_table,
        columns=tuple(Column(str(field.column), _kind(field)) for field in fields),
        key=list(fields).index(key),
        has_sequence=isinstance(key, models.AutoField | models.BigAutoField),
    )


def _kind(field: Any) -> str:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    kind = KINDS.get(field.get_internal_type())
    if kind is None:
        where = f"{field.model._meta.db_table}.{field.column}"
        raise OperationError(f"Unsupported column type: {field.get_internal_type()} of {where}.")
    return kind
