"""Moderation on the dashboard: how many bans are in force, and violations by day and type."""

from collections import Counter
from datetime import UTC, date, datetime, time

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.admin.base import capped_count
from accounts.admin.charts import Chart, Series, by_day
from accounts.admin.dashboard import Card, Part, add_part, shown
from moderation.admin.labels import type_label
from moderation.models import Violation
from moderation.services.bans import active_bans

# One colour for each of the most frequent types; the rest shares another.
TONES = ("bad", "warn", "good")
REST_TONE = "plain"


def cards() -> list[Card]:
    """Bans in force, of people and of networks."""
    url = reverse("admin:moderation_ban_changelist")
    count = capped_count(active_bans())
    return [Card(_("Bans in force"), shown(count), _("people and networks"), f"{url}?state=active")]


def charts(days: tuple[date, ...]) -> list[Chart]:
    """Violations of the most frequent types by day (UTC), and of all others together."""
    counts = _counts(datetime.combine(days[0], time.min, tzinfo=UTC))
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


def _counts(since: datetime) -> dict[str, Counter[date]]:
    """Counts by type and day."""
    rows = Violation.objects.filter(at__gte=since).annotate(day=TruncDate("at", tzinfo=UTC))
    counts: dict[str, Counter[date]] = {}
    for row in rows.values("type", "day").annotate(number=Count("pk")).order_by():
        counts.setdefault(row["type"], Counter())[row["day"]] = row["number"]
    return counts


add_part("moderation", Part(cards, charts))
