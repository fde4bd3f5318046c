"""Moderation on the dashboard: how many bans are in force, and violations by day and type."""

from collections import Counter
from datetime import date

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.admin.dashboard.charts import Chart, Series, by_day
from accounts.admin.dashboard.daily import count_by_day
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
    """Type -> day -> count."""
    found = count_by_day(Violation.objects.all(), "at", days, "type")
    return {kind: Counter(counts) for (kind,), counts in found.items()}


add_part("moderation", Part(cards, charts, warnings))
