"""What was sent, as serializers read it; what they object to becomes RecordInvalid."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.fields import SkipField
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from core.errors import RecordInvalid


def flatten_errors(detail: Any, name: str = "") -> dict[str, list[str]]:
    """DRF's nested messages as field name -> messages; the name of an inner field has dots.

    What concerns the whole record stands under "record".
    """
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for key, inner in detail.items():
            part = "record" if key == "non_field_errors" else str(key)
            found |= flatten_errors(inner, f"{name}.{part}" if name else part)
        return found
    if isinstance(detail, list) and any(isinstance(item, (dict, list)) for item in detail):
        found = {}
        for place, inner in enumerate(detail):
            if inner:
                found |= flatten_errors(inner, f"{name}.{place}")
        return found
    texts = detail if isinstance(detail, list) else [detail]
    return {name or "record": [str(text) for text in texts]}


def validate(
    kind: type[Serializer[Any]],
    data: Any,
    *,
    partial: bool = False,
    extra_check: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """`data` as the serializer `kind` reads it. Raises RecordInvalid naming all wrong fields.

    also: what the service will object to, asked about the fields that can be read when others
    cannot, so that a caller learns everything at once; it raises RecordInvalid.
    """
    # A field that is missing from a form counts as false or empty; here it is just not given.
    serializer = kind(data=data.dict() if isinstance(data, QueryDict) else data, partial=partial)
    if serializer.is_valid():
        return dict(serializer.validated_data)
    errors = flatten_errors(serializer.errors)
    if extra_check is not None and isinstance(serializer.initial_data, dict):
        readable = _readable(serializer)
        try:
            extra_check(readable)
        except RecordInvalid as error:
            errors = {key: texts for key, texts in error.errors.items() if key in readable} | errors
    raise RecordInvalid(errors)


def _readable(serializer: Serializer[Any]) -> dict[str, Any]:
    """The fields that say something valid, defaults included."""
    found: dict[str, Any] = {}
    for name, field in serializer.fields.items():
        with suppress(ValidationError, SkipField):
            found[name] = field.run_validation(field.get_value(serializer.initial_data))
    return found


def validate_query(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """What stands in the address after "?", as checked() reads it."""
    return validate(kind, request.query_params)
