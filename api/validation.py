"""Validate input with serializers; their errors become RecordInvalid."""

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
    """Convert DRF's nested errors to {field: messages}; names of nested fields have dots.

    Errors of the whole record are under "record".
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
    """Validate `data` with the serializer `kind`; returns the validated data.

    extra_check: a check of the service, which raises RecordInvalid. It gets the valid fields when
    others are not valid, so that the error names all wrong fields at once. Raises RecordInvalid.
    """
    # DRF treats fields missing from a QueryDict as false or empty; here they are missing.
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
    """Return the fields that are valid, defaults included."""
    found: dict[str, Any] = {}
    for name, field in serializer.fields.items():
        with suppress(ValidationError, SkipField):
            found[name] = field.run_validation(field.get_value(serializer.initial_data))
    return found


def validate_query(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Validate the query string; see validate()."""
    return validate(kind, request.query_params)
