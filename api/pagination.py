"""Cursor pagination over the primary key, newest first, without counting rows.

A cursor contains the key of the last row seen, so pages stay consistent while rows are added and
deleted, and all pages cost the same.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from api.serializers import Shape, record
from api.validation import validate_query
from core.errors import RecordInvalid

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.views import APIView

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


class KeysetPagination(BasePagination):
    """DRF's pagination class of every list: one query for each page, newest first."""

    def paginate_queryset(
        self, queryset: Any, request: Request, view: "APIView | None" = None
    ) -> list[Any]:
        """Return the rows of the page that `cursor` and `limit` of the query string ask for.

        Its order is that of the primary key. Raises RecordInvalid if one of them is wrong.
        """
        asked = validate_query(PageQuery, request)
        limit = asked["limit"]
        cursor = read_cursor(asked["cursor"], queryset.model) if "cursor" in asked else None
        is_back = cursor is not None and cursor.is_back
        if cursor is not None:
            queryset = queryset.filter(**{"pk__gt" if is_back else "pk__lt": cursor.key})
        found = list(queryset.order_by("pk" if is_back else "-pk")[: limit + 1])
        has_more, found = len(found) > limit, found[:limit]
        if is_back:
            found.reverse()
        # The page that this one was reached from always exists.
        has_next, has_previous = (True, has_more) if is_back else (has_more, cursor is not None)
        self.next = self.previous = None
        if found and has_next:
            self.next = _link(request, Cursor(found[-1].pk, False))
        if found and has_previous:
            self.previous = _link(request, Cursor(found[0].pk, True))
        return found

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        members = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "required": list(members), "properties": members}

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        bounds = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT}
        schemas = {"cursor": {"type": "string", "maxLength": CURSOR_MAX_LENGTH}, "limit": bounds}
        return [
            {
                "name": name,
                "in": "query",
                "description": str(PageQuery().fields[name].help_text),
                "schema": schema,
            }
            for name, schema in schemas.items()
        ]


def filters_of(kind: type[PageQuery], request: Request) -> dict[str, Any]:
    """Return the filters of the query string for QuerySet.filter(): its fields by `source`.

    Raises RecordInvalid.
    """
    found = validate_query(kind, request)
    return {name: value for name, value in found.items() if name not in ("cursor", "limit")}


def paginate(request: Request, rows: QuerySet[Any], kind: type[Shape] | Record) -> Response:
    """Respond with one page of `rows`. Raises RecordInvalid.

    kind: the serializer whose fields are shown, or a function that converts a row.
    """
    page = KeysetPagination()
    found = page.paginate_queryset(rows, request)
    convert = partial(record, kind) if isinstance(kind, type) else kind
    return page.get_paginated_response([convert(row) for row in found])


def single_page(records: Iterable[dict[str, Any]]) -> Response:
    """Respond with a complete list, in the format of a page."""
    return Response({"next": None, "previous": None, "results": list(records)})


def _link(request: Request, cursor: Cursor) -> str:
    """Return the URL of another page, with the filters of this one."""
    query = request.query_params.copy()
    query["cursor"] = cursor.text
    path = request.path.rstrip("/")
    return f"{settings.PUBLIC_ORIGIN}{path}?{query.urlencode()}"
