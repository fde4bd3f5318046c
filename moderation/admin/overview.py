"""Moderation on the dashboard: how many bans are in force, and violations by day and type."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, QuerySet, Value
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.admin.dashboard.charts import Chart, Series, by_day
from accounts.admin.dashboard.parts import Card, Part, add_part, shown
from accounts.admin.lists import capped_count
from moderation.admin.labels import type_label
from moderation.admin.proxies import warnings
from moderation.models import Violation
from moderation.services.bans import active_bans

# Colours of the most frequent types; all others share one.
TONES = ("bad", "warn", "good")
REST_TONE = "plain"


def cards() -> list[Card]:
    """The number of bans in force."""
    url = reverse("admin:moderation_ban_changelist")
    count = capped_count(active_bans())
    return [Card(_("Bans in force"), shown(count), _("people and networks"), f"{url}?state=active")]


def charts(days: tuple[date, ...]) -> list[Chart]:
    """Violations of the most frequent types by day (UTC), and of all others together."""
    counts = _counts(days)
    totals = Counter({kind: sum(by.values()) for kind, by in counts.items()})
    first = [kind for kind, _total in sorted(totals.items(), key=lambda one: (-one[1], one[0]))]
    series = [
        Series(type_label(kind), tone, by_day(days, counts[kind]))
        for kind, tone in zip(first, TONES, strict=False)
    ]
    rest: Counter[date] = Counter()
    for kind in first[len(TONES) :]:
        rest.update(counts[kind])
    if rest or not series:
        label = _("other types") if series else _("violations")
        series.append(Series(label, REST_TONE, by_day(days, rest)))
    return [Chart("violations", _("Violations"), days, tuple(series))]


def _counts(days: tuple[date, ...]) -> dict[str, Counter[date]]:
    """Type -> day -> count, in one query with a part for each day.

    Each part uses the index of `at`. Grouping all rows by day took ten times as long.
    """
    first, *others = (_of_day(number, day) for number, day in enumerate(days))
    counts: dict[str, Counter[date]] = {}
    for kind, number, count in first.union(*others, all=True):
        counts.setdefault(kind, Counter())[days[number]] = count
    return counts


def _of_day(number: int, day: date) -> "QuerySet[Violation, tuple[str, int, int]]":
    """(type, index of the day, count) for each type of one day (UTC)."""
    start = datetime.combine(day, time.min, tzinfo=UTC)
    rows = Violation.objects.filter(at__gte=start, at__lt=start + timedelta(days=1))
    grouped = rows.order_by().values("type").annotate(day=Value(number), count=Count("pk"))
    return grouped.values_list("type", "day", "count")


add_part("moderation", Part(cards, charts, warnings))
