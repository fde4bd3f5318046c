"""Cursor pagination over the primary key, newest first, without counting rows.

A cursor contains the key of the last row seen, so pages stay consistent while rows are added and
deleted, and all pages cost the same.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.validation import validate_query
from core.errors import RecordInvalid

LIMIT, LIMIT_MAX = 50, 200
CURSOR_MAX_LENGTH = 200
Record = Callable[[Any], dict[str, Any]]


class PageQuery(serializers.Serializer[Any]):
    """Query parameters of every list."""

    cursor = serializers.CharField(
        required=False,
        max_length=CURSOR_MAX_LENGTH,
        help_text="Start of the page; use the value from `next` or `previous`.",
    )
    limit = serializers.IntegerField(
        default=LIMIT,
        min_value=1,
        max_value=LIMIT_MAX,
        help_text="Maximum number of rows per page.",
    )


class Cursor(NamedTuple):
    """The row next to the page; is_back: the page continues towards newer rows."""

    key: Any
    is_back: bool

    @property
    def text(self) -> str:
        """The encoded form for URLs."""
        plain = f"{'>' if self.is_back else '<'}{self.key}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def read_cursor(text: str, model: type[Model]) -> Cursor:
    """Decode a cursor for rows of `model`. Raises RecordInvalid."""
    field = model._meta.pk
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        key = field.to_python(plain[1:])
        field.run_validators(key)
    except (UnicodeError, binascii.Error, ValidationError):
        raise RecordInvalid({"cursor": [_("This is not a cursor of this list.")]}) from None
    if plain[:1] not in ("<", ">") or key is None:
        raise RecordInvalid({"cursor": [_("This is not a cursor of this list.")]})
    return Cursor(key, plain[0] == ">")


def paginate(request: Request, rows: QuerySet[Any], record: Record) -> Response:
    """Respond with one page of `rows`, newest first, each converted by `record`. One query.

    Raises RecordInvalid for a wrong `cursor` or `limit`.
    """
    asked = validate_query(PageQuery, request)
    limit = asked["limit"]
    cursor = read_cursor(asked["cursor"], rows.model) if "cursor" in asked else None
    is_back = cursor is not None and cursor.is_back
    if cursor is not None:
        rows = rows.filter(**{"pk__gt" if is_back else "pk__lt": cursor.key})
    found = list(rows.order_by("pk" if is_back else "-pk")[: limit + 1])
    has_more, found = len(found) > limit, found[:limit]
    if is_back:
        found.reverse()
    # The page that this one was reached from always exists.
    has_next, has_previous = (True, has_more) if is_back else (has_more, cursor is not None)
    return Response(
        {
            "next": _link(request, Cursor(found[-1].pk, False)) if found and has_next else None,
            "previous": _link(request, Cursor(found[0].pk, True))
            if found and has_previous
            else None,
            "results": [record(row) for row in found],
        }
    )


def single_page(records: Iterable[dict[str, Any]]) -> Response:
    """Respond with a complete list, in the format of a page."""
    return Response({"next": None, "previous": None, "results": list(records)})


def _link(request: Request, cursor: Cursor) -> str:
    """Return the URL of another page, with the filters of this one."""
    query = request.query_params.copy()
    query["cursor"] = cursor.text
    path = request.path.rstrip("/")
    return f"{settings.PUBLIC_ORIGIN}{path}?{query.urlencode()}"
