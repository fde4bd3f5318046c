"""What was sent, as serializers read it; what they object to becomes RecordInvalid."""

from typing import Any

from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.serializers import Serializer


def flat(detail: Any, name: str = "") -> dict[str, list[str]]:
    """DRF's nested messages as field name -> messages; the name of an inner field has dots.

    What concerns the whole record stands under "record".
    """
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for key, inner in detail.items():
            part = "record" if key == "non_field_errors" else str(key)
            found |= flat(inner, f"{name}.{part}" if name else part)
        return found
    if isinstance(detail, list) and any(isinstance(item, (dict, list)) for item in detail):
        found = {}
        for place, inner in enumerate(detail):
            if inner:
                found |= flat(inner, f"{name}.{place}")
        return found
    texts = detail if isinstance(detail, list) else [detail]
    return {name or "record": [str(text) for text in texts]}


def checked(kind: type[Serializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """`data` as the serializer `kind` reads it. Raises RecordInvalid naming the fields."""
    # A field that is missing from a form counts as false or empty; here it is just not given.
    serializer = kind(data=data.dict() if isinstance(data, QueryDict) else data, partial=partial)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def queried(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """What stands in the address after "?", as checked() reads it."""
    return checked(kind, request.query_params)
