"""How many rows of a table there are for each day of a chart."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Value


def count_by_day(
    rows: "QuerySet[Any]", field: str, days: Sequence[date], *names: str
) -> dict[tuple[Any, ...], dict[date, int]]:
    """Values of the columns `names` -> day (UTC) of the time `field` -> number of rows.

    One query with a part for each day, which uses the index of `field`. Grouping all rows by day
    took ten times as long.
    """
    first, *others = (_of_day(rows, field, place, day, names) for place, day in enumerate(days))
    counts: dict[tuple[Any, ...], dict[date, int]] = defaultdict(dict)
    for place, number, *values in first.union(*others, all=True):
        counts[tuple(values)][days[place]] = number
    return counts


def _of_day(
    rows: "QuerySet[Any]", field: str, place: int, day: date, names: Sequence[str]
) -> "QuerySet[Any, Any]":
    start = datetime.combine(day, time.min, tzinfo=UTC)
    within = rows.filter(**{f"{field}__gte": start, f"{field}__lt": start + timedelta(days=1)})
    grouped = within.order_by().values(*names) if names else within.order_by()
    numbered = grouped.annotate(place=Value(place))
    if not names:
        numbered = numbered.values("place")
    counted: QuerySet[Any, Any] = numbered.annotate(number=Count("*"))
    return counted.values_list("place", "number", *names)
