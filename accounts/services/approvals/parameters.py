"""The arguments of a service as JSON, and back: what a request for a second owner stores.

Values that JSON does not have are objects with one member, whose name begins with `$`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model
from django.utils.translation import gettext as _

from core.errors import RecordInvalid

PLAIN = (str, int, float, bool, type(None))


def encode(arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The arguments for a JSON column.

    secrets: the names of arguments that are never stored, and of their fields for people. Raises
    RecordInvalid if one of them has a value: it would be readable until someone decides.
    """
    for name, field in secrets.items():
        if arguments.get(name):
            text = _(
                "A second owner must confirm this, and a request keeps no secret. Leave this "
                "empty; the person chooses it themselves, with a link."
            )
            raise RecordInvalid({field: [text]})
    return {
        name: _encode(value) for name, value in sorted(arguments.items()) if name not in secrets
    }


def decode(stored: Mapping[str, Any], types: Iterable[type]) -> dict[str, Any]:
    """The arguments that encode() stored. types: the dataclasses among them.

    Raises RecordInvalid for a row that does not exist any more.
    """
    known = {kind.__name__: kind for kind in types}
    return {name: _decode(value, known) for name, value in stored.items()}


def _encode(value: Any) -> Any:
    for kind, encoder in _ENCODERS:
        if isinstance(value, kind):
            return encoder(value)
    if is_dataclass(value):
        content = {field.name: _encode(getattr(value, field.name)) for field in fields(value)}
        return {"$dataclass": [type(value).__name__, content]}
    raise TypeError(f"cannot store {type(value).__name__} with a request")


def _encode_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _encode(each) for name, each in value.items()}


_ENCODERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (PLAIN, lambda value: value),
    (UUID, str),
    (datetime, lambda value: {"$time": value.isoformat()}),
    (timedelta, lambda value: {"$seconds": value.total_seconds()}),
    (Model, lambda value: {"$row": [value._meta.label_lower, str(value.pk)]}),
    (Mapping, _encode_mapping),
    ((list, tuple), lambda value: [_encode(each) for each in value]),
)


def _decode(value: Any, types: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return [_decode(each, types) for each in value]
    if not isinstance(value, dict):
        return value
    name = next(iter(value), "")
    if len(value) == 1 and name in _DECODERS:
        return _DECODERS[name](value[name])
    if len(value) == 1 and name == "$dataclass":
        kind, content = value[name]
        return types[kind](**{key: _decode(each, types) for key, each in content.items()})
    return {key: _decode(each, types) for key, each in value.items()}


def _row(value: list[str]) -> Model:
    label, key = value
    found: Model | None = apps.get_model(label)._base_manager.filter(pk=key).first()
    if found is None:
        raise RecordInvalid({"record": [_("What it is about does not exist any more.")]})
    return found


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$time": datetime.fromisoformat,
    "$seconds": lambda value: timedelta(seconds=value),
    "$row": _row,
}
