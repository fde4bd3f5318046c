"""Cursor pagination, newest first, without counting rows: over the primary key, or over a time.

A cursor contains the key of the last row seen, so pages stay consistent while rows are added and
deleted, and all pages cost the same.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from api.serializers import Shape, record
from api.validation import refuse_unknown_parameters, validate_query
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


def read_cursor(text: str, to_key: Callable[[str], Any]) -> Cursor:
    """Decode a cursor. Raises RecordInvalid.

    to_key: converts the text of the key; raises ValueError or Django's ValidationError.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        key = to_key(plain[1:])
    except (ValueError, binascii.Error, ValidationError):
        raise RecordInvalid({"cursor": [_("This is not a cursor of this list.")]}) from None
    if plain[:1] not in ("<", ">") or key is None:
        raise RecordInvalid({"cursor": [_("This is not a cursor of this list.")]})
    return Cursor(key, plain[0] == ">")


def _primary_key(model: type[Model], text: str) -> Any:
    field = model._meta.pk
    key = field.to_python(text)
    field.run_validators(key)
    return key


class KeysetPagination(BasePagination):
    """DRF's pagination class of every list: one query for each page, newest first."""

    order: Sequence[str] = ("pk",)
    # Whether the keys of a page are found by a query of their own, which an index may cover.
    finds_keys_first = False

    def to_key(self, model: type[Model], text: str) -> Any:
        """The key in the text of a cursor."""
        return _primary_key(model, text)

    def key_of(self, row: Any) -> Any:
        """What a cursor says of a row."""
        return row.pk

    def beyond(self, cursor: Cursor) -> Q:
        """The rows after the cursor, or before it if it goes back."""
        return Q(**{"pk__gt" if cursor.is_back else "pk__lt": cursor.key})

    def paginate_queryset(
        self, queryset: Any, request: Request, view: "APIView | None" = None
    ) -> list[Any]:
        """Return the rows of the page that `cursor` and `limit` of the query string ask for.

        Its order is that of the primary key. Raises RecordInvalid if one of them is wrong.
        """
        asked = validate_query(PageQuery, request)
        limit = asked["limit"]
        to_key = partial(self.to_key, queryset.model)
        cursor = read_cursor(asked["cursor"], to_key) if "cursor" in asked else None
        is_back = cursor is not None and cursor.is_back
        if cursor is not None:
            queryset = queryset.filter(self.beyond(cursor))
        order = self.order if is_back else [f"-{name}" for name in self.order]
        ordered = queryset.order_by(*order)
        if self.finds_keys_first:
            keys = list(ordered.values_list("pk", flat=True)[: limit + 1])
            ordered = ordered.filter(pk__in=keys)
        found = list(ordered[: limit + 1])
        has_more, found = len(found) > limit, found[:limit]
        if is_back:
            found.reverse()
        # The page that this one was reached from always exists.
        has_next, has_previous = (True, has_more) if is_back else (has_more, cursor is not None)
        self.next = self.previous = None
        if found and has_next:
            self.next = _link(request, Cursor(self.key_of(found[-1]), False))
        if found and has_previous:
            self.previous = _link(request, Cursor(self.key_of(found[0]), True))
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


class SearchPagination(KeysetPagination):
    """Pages of a search that has to read every row: it reads an index that holds little else."""

    finds_keys_first = True


class ByTimePagination(KeysetPagination):
    """Pages of a table whose keys have no order: by `at`, then by key."""

    order = ("at", "pk")

    def to_key(self, model: type[Model], text: str) -> Any:
        time, _separator, key = text.partition(" ")
        at = datetime.fromisoformat(time)
        if at.utcoffset() is None:
            raise ValueError(time)
        return at, _primary_key(model, key)

    def key_of(self, row: Any) -> Any:
        return f"{row.at.isoformat()} {row.pk}"

    def beyond(self, cursor: Cursor) -> Q:
        at, key = cursor.key
        way = "gt" if cursor.is_back else "lt"
        return Q(**{f"at__{way}": at}) | Q(**{"at": at, f"pk__{way}": key})


def filters_of(kind: type[PageQuery], request: Request) -> dict[str, Any]:
    """Return the filters of the query string for QuerySet.filter(): its fields by `source`.

    Raises UnknownParameter, RecordInvalid.
    """
    refuse_unknown_parameters(request, kind)
    found = validate_query(kind, request)
    return {name: value for name, value in found.items() if name not in ("cursor", "limit")}


def paginate(
    request: Request,
    rows: QuerySet[Any],
    kind: type[Shape] | Record,
    by: type[KeysetPagination] = KeysetPagination,
    prepare: Callable[[list[Any]], object] | None = None,
) -> Response:
    """Respond with one page of `rows`. Raises RecordInvalid.

    kind: the serializer whose fields are shown, or a function that converts a row. by: the order.
    prepare: called with the rows of the page, to read what they need at once.
    """
    page = by()
    found = page.paginate_queryset(rows, request)
    if prepare is not None:
        prepare(found)
    convert = partial(record, kind) if isinstance(kind, type) else kind
    return page.get_paginated_response([convert(row) for row in found])


def single_page(
    request: Request, records: Iterable[dict[str, Any]], *kinds: type[serializers.Serializer[Any]]
) -> Response:
    """Respond with a complete list, in the format of a page. Raises UnknownParameter.

    kinds: of the filters; see refuse_unknown_parameters().
    """
    refuse_unknown_parameters(request, *kinds)
    return Response({"next": None, "previous": None, "results": list(records)})


def _link(request: Request, cursor: Cursor) -> str:
    """Return the URL of another page, with the filters of this one."""
    query = request.query_params.copy()
    query["cursor"] = cursor.text
    path = request.path.rstrip("/")
    return f"{settings.PUBLIC_ORIGIN}{path}?{query.urlencode()}"
