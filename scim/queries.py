"""Filters and sorting as queries. What the database cannot answer exactly is refused.

Every expression has a value: "" stands for none. So `not` means what it says, which it would not
with NULL. Texts that compare without case are folded by the database on both sides.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Collate, Concat, Lower, Right, StrIndex
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
)
from django.utils import timezone

from accounts.models import Membership, User
from scim.errors import InvalidFilter
from scim.filters import PARTS, Both, Comparison, Element, Filter, Not, parse_filter
from scim.models import ScimUser
from scim.resources import SOURCE, visible_users
from scim.schemas import GROUP, USER, Schema

ALWAYS, NEVER = Q(pk__isnull=False), Q(pk__in=[])
ORDERINGS = {
    "gt": GreaterThan,
    "ge": GreaterThanOrEqual,
    "lt": LessThan,
    "le": LessThanOrEqual,
}
Build = Callable[[Comparison], Q]


def filtered(rows: Any, text: str, schema: Schema) -> Any:
    """The rows that the filter selects. Raises InvalidFilter."""
    return rows.filter(_condition(parse_filter(text, schema), schema)) if text else rows


def ordered(rows: Any, sort_by: str, schema: Schema, *, descending: bool) -> "QuerySet[Any]":
    """By an attribute, then in the order of creation. Raises InvalidFilter."""
    if not sort_by:
        found: QuerySet[Any] = rows.order_by("pk")
        return found
    path = _sort_path(sort_by, schema)
    if path not in SORTED[schema.name]:
        raise InvalidFilter(f"Sort by one of: {', '.join(SORTED[schema.name])}.")
    expression = SORTED[schema.name][path]
    ordering = expression.desc() if descending else expression.asc()
    # No value comes last, and first if the order is descending (RFC 7644, section 3.4.2.3).
    has_none: Any = Case(When(Exact(expression, Value("")), then=1), default=0)
    first = () if path == "meta.created" else (has_none.desc() if descending else has_none.asc(),)
    sorted_rows: QuerySet[Any] = rows.order_by(*first, ordering, "pk")
    return sorted_rows


def _sort_path(text: str, schema: Schema) -> str:
    """The path of an attribute, as a filter would name it."""
    found = parse_filter(f"{text} pr", schema)
    path = found.path if isinstance(found, Comparison) else ""
    return "emails.value" if path == "emails" else path


def _condition(found: Filter, schema: Schema) -> Q:
    match found:
        case Not(inner):
            return ~_condition(inner, schema)
        case Both(left, right, is_any):
            first, second = _condition(left, schema), _condition(right, schema)
            return first | second if is_any else first & second
        case Element(path, inner):
            return _element(path, inner, schema)
        case Comparison(path):
            build = COLUMNS[schema.name].get(path)
            if build is None:
                raise InvalidFilter(f"{found.path} cannot be filtered by.")
            return build(found)


def _element(path: str, inner: Filter, schema: Schema) -> Q:
    """`emails` has one element, so a filter inside is one of the user. Elsewhere: only the id."""
    if path == "emails":
        return _condition(inner, schema)
    is_by_id = isinstance(inner, Comparison) and inner.path.endswith(".value")
    if not is_by_id or (isinstance(inner, Comparison) and inner.op not in ("eq", "pr")):
        raise InvalidFilter(f"In the brackets of {path} only `value eq` can be asked.")
    return _condition(inner, schema)


def _text(expression: Any) -> Build:
    """A text of the row that the database folds."""

    def build(comparison: Comparison) -> Q:
        wanted = Lower(Value(comparison.value or ""))
        return _text_condition(comparison, expression, Lower(expression), wanted)

    return build


def _stored_text(expression: Any, *, folds: bool, index: str = "") -> Build:
    """A text that compares as it is stored, which is in lower case if it folds.

    index: the lookup that finds the row of one value by an index.
    """

    def build(comparison: Comparison) -> Q:
        text = (comparison.value or "").lower() if folds else comparison.value or ""
        if comparison.op == "eq" and text and index:
            return _found_by(index, text)
        return _text_condition(comparison, expression, expression, Value(text))

    return build


def _found_by(index: str, text: str) -> Q:
    """The rows of a few keys, so that no other row is read."""
    match index:
        case "user_name":
            keys = [*ScimUser.objects.filter(key=text).values_list("pk", flat=True)]
            keys += User.objects.filter(email=text, scim=None).values_list("pk", flat=True)
        case "external_user":
            keys = [*ScimUser.objects.filter(external_id=text).values_list("pk", flat=True)]
        case _:
            return Q(email=text)
    return Q(pk__in=keys)


def _text_condition(comparison: Comparison, raw: Any, actual: Any, wanted: Any) -> Q:
    is_present = ~Q(Exact(raw, Value("")))
    if comparison.op == "pr" or comparison.value is None:
        return ~is_present if comparison.op == "eq" else is_present
    if comparison.value == "" and comparison.op in PARTS:
        return is_present
    found = _compare(comparison, actual, wanted)
    # Without a value an attribute compares with nothing, but differs from everything.
    return found | ~is_present if comparison.op == "ne" else found & is_present


def _compare(comparison: Comparison, actual: Any, wanted: Any) -> Q:
    op, length = comparison.op, len(comparison.value)
    match op:
        case "eq":
            return Q(Exact(actual, wanted))
        case "ne":
            return ~Q(Exact(actual, wanted))
        case "co":
            return Q(GreaterThan(StrIndex(actual, wanted), 0))
        case "sw":
            return Q(Exact(StrIndex(actual, wanted), 1))
        case "ew":
            return Q(Exact(Right(actual, length), wanted))
    return Q(ORDERINGS[op](Collate(actual, _binary()), wanted))


def _binary() -> str:
    """The collation that compares code points, as every client can repeat it."""
    return "C" if connection.vendor == "postgresql" else "BINARY"


def _id(comparison: Comparison) -> Q:
    found = _uuid(comparison)
    match comparison.op:
        case "eq":
            return NEVER if found is None else Q(pk=found)
        case "ne":
            return ALWAYS if found is None else ~Q(pk=found)
        case "pr":
            return ALWAYS
    raise InvalidFilter("An id can only be compared by eq, ne and pr.")


def _uuid(comparison: Comparison) -> UUID | None:
    """The id in the one form in which it is shown."""
    try:
        found = UUID(str(comparison.value))
    except ValueError:
        return None
    return found if str(found) == comparison.value else None


def _boolean(is_true: Q) -> Build:
    """What is true or false for every resource."""

    def build(comparison: Comparison) -> Q:
        if comparison.op == "pr" or comparison.value is None:
            return NEVER if comparison.op == "eq" else ALWAYS
        return is_true if comparison.value == (comparison.op == "eq") else ~is_true

    return build


def _created(comparison: Comparison) -> Q:
    if comparison.op == "pr" or comparison.value is None:
        return NEVER if comparison.op == "eq" else ALWAYS
    if comparison.op in ("eq", "ne"):
        same = Q(created_at=comparison.value)
        return same if comparison.op == "eq" else ~same
    return Q(ORDERINGS[comparison.op](F("created_at"), comparison.value))


def _constant(value: str) -> Build:
    """A text that is the same for every resource."""

    def build(comparison: Comparison) -> Q:
        is_exact = comparison.attribute.case_exact
        return _stored_text(Value(value), folds=not is_exact)(comparison)

    return build


def _groups(comparison: Comparison) -> Q:
    """Whether SCIM has put the user into the group."""
    return _has_membership(comparison, _current().filter(user=OuterRef("pk")), "group")


def _members(comparison: Comparison) -> Q:
    """Whether SCIM has put a user, of those that it shows, into the group."""
    rows = _current().filter(group=OuterRef("pk"), user__in=visible_users())
    return _has_membership(comparison, rows, "user")


def _has_membership(comparison: Comparison, rows: Any, column: str) -> Q:
    if comparison.op == "pr" or comparison.value is None:
        return ~Q(Exists(rows)) if comparison.op == "eq" else Q(Exists(rows))
    if comparison.op not in ("eq", "ne"):
        raise InvalidFilter("An id can only be compared by eq, ne and pr.")
    key = _uuid(comparison)
    found = NEVER if key is None else Q(Exists(rows.filter(**{column: key})))
    return found if comparison.op == "eq" else ~found


def _current() -> Any:
    return Membership.objects.filter(source=SOURCE).current(timezone.now())


def _of_record(name: str) -> Any:
    return Coalesce(f"scim__{name}", Value(""))


USER_NAME: Any = Coalesce("scim__key", "email", output_field=CharField())
FORMATTED: Any = Case(When(scim__has_name=False, then=Value("")), default=F("name"))
GROUP_NAME: Any = Case(When(label="", then=F("name")), default=F("label"))
_folded: Callable[[Any], Any] = Lower
SORTED: Mapping[str, Mapping[str, Any]] = {
    USER.name: {
        "username": USER_NAME,
        "displayname": _folded("name"),
        "name.formatted": _folded(FORMATTED),
        "name.familyname": _folded(_of_record("family_name")),
        "name.givenname": _folded(_of_record("given_name")),
        "emails.value": F("email"),
        "externalid": _of_record("external_id"),
        "meta.created": F("created_at"),
    },
    GROUP.name: {
        "displayname": _folded(GROUP_NAME),
        "externalid": _of_record("external_id"),
        "meta.created": F("created_at"),
    },
}
COLUMNS: Mapping[str, Mapping[str, Build]] = {
    USER.name: {
        "id": _id,
        "externalid": _stored_text(_of_record("external_id"), folds=False, index="external_user"),
        "username": _stored_text(USER_NAME, folds=True, index="user_name"),
        "displayname": _text(F("name")),
        "name": _text(Concat(FORMATTED, _of_record("given_name"), _of_record("family_name"))),
        "name.formatted": _text(FORMATTED),
        "name.familyname": _text(_of_record("family_name")),
        "name.givenname": _text(_of_record("given_name")),
        "active": _boolean(Q(is_active=True)),
        "emails": _stored_text(F("email"), folds=True, index="email"),
        "emails.value": _stored_text(F("email"), folds=True, index="email"),
        "emails.type": _constant("work"),
        "emails.primary": _boolean(Q(scim=None) | Q(scim__is_primary=True)),
        "groups": _groups,
        "groups.value": _groups,
        "meta.created": _created,
        "meta.resourcetype": _constant(USER.name),
    },
    GROUP.name: {
        "id": _id,
        "externalid": _stored_text(_of_record("external_id"), folds=False),
        "displayname": _text(GROUP_NAME),
        "members": _members,
        "members.value": _members,
        "meta.created": _created,
        "meta.resourcetype": _constant(GROUP.name),
    },
}
