"""Validate input with serializers; their errors become RecordInvalid."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.fields import SkipField
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from api.errors import UnknownParameter
from api.serializers import NoFields, StrictSerializer, nearest
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
    kind: type[StrictSerializer],
    data: Any,
    *,
    partial: bool = False,
    current: dict[str, Any] | None = None,
    extra_check: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Validate a body with the serializer `kind`; returns the validated data.

    current: the record as it is shown now. Its read-only fields may be sent back unchanged, so that
    a client can send the whole record with its changes.

    extra_check: a check of the service, which raises RecordInvalid. It gets the valid fields when
    others are not valid, so that the error names all wrong fields at once. Raises RecordInvalid.
    """
    serializer = kind(data=_plain(data), partial=partial)
    if current is not None and isinstance(serializer.initial_data, dict):
        serializer.initial_data = _without_unchanged(serializer, current)
    return _validated(serializer, extra_check)


def _without_unchanged(serializer: Serializer[Any], current: dict[str, Any]) -> dict[str, Any]:
    shown = json.loads(JSONRenderer().render(current))
    return {
        name: value
        for name, value in serializer.initial_data.items()
        if name in serializer.fields or name not in shown or shown[name] != value
    }


def validate_query(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Validate the query string; see validate(). See refuse_unknown_parameters() for the others."""
    return _validated(kind(data=_plain(request.query_params)), None)


def refuse_unknown_parameters(request: Request, *kinds: type[Serializer[Any]]) -> None:
    """Raise UnknownParameter if the query string has a name that is no field of `kinds`.

    A misspelt filter would show rows that the client believes to be filtered.
    """
    known = {str(name) for kind in kinds for name in kind().fields}
    for name in request.query_params:
        if name not in known:
            raise UnknownParameter(name, nearest(name, known))


def _plain(data: Any) -> Any:
    """DRF treats fields missing from a QueryDict as false or empty; here they are missing."""
    return data.dict() if isinstance(data, QueryDict) else data


def _validated(
    serializer: Serializer[Any], extra_check: Callable[[dict[str, Any]], object] | None
) -> dict[str, Any]:
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


def time_until(end: datetime, *, shortest: timedelta, longest: timedelta) -> timedelta:
    """How long something lasts that ends at `end`. Raises RecordInvalid (`expires_at`)."""
    now = timezone.now()
    if shortest <= end - now <= longest:
        return end - now
    problem = _("Choose a time between %(first)s and %(last)s.")
    ends = {"first": now + shortest, "last": now + longest}
    shown = {name: f"{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for name, end in ends.items()}
    raise RecordInvalid({"expires_at": [problem % shown]})


def refuse_fields(request: Request) -> None:
    """Raise RecordInvalid if the body of a request that takes no fields has some."""
    validate(NoFields, request.data)


def _readable(serializer: Serializer[Any]) -> dict[str, Any]:
    """Return the fields that are valid, defaults included."""
    found: dict[str, Any] = {}
    for name, field in serializer.fields.items():
        with suppress(ValidationError, SkipField):
            found[name] = field.run_validation(field.get_value(serializer.initial_data))
    return found
