"""What an app shows on the overview: cards, charts, warnings and tasks. See add_part()."""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from django.http import HttpRequest

from accounts.admin.dashboard.charts import Chart
from accounts.admin.lists import COUNT_CAP


class Card(NamedTuple):
    """One big number. tone: plain, warn or bad."""

    label: str
    number: str
    hint: str
    url: str
    tone: str = "plain"


class DashboardWarning(NamedTuple):
    """Something that an administrator should fix. tone: bad if it is unsafe, warn otherwise.

    info: of a notice.
    """

    tone: str
    title: str
    text: str
    url: str = ""
    link: str = ""


class Task(NamedTuple):
    """Rows that an administrator should look at, in a sentence, and the list that shows them."""

    sentence: str
    url: str


class Part(NamedTuple):
    """What another app shows on the dashboard. charts: called with the days to show.

    notices: above all else, for the administrator who makes the request.
    """

    cards: Callable[[], list[Card]] = list
    charts: Callable[[tuple[date, ...]], list[Chart]] = lambda _days: []
    warnings: Callable[[], list[DashboardWarning]] = list
    tasks: Callable[[], list[Task]] = list
    notices: Callable[[HttpRequest], list[DashboardWarning]] = lambda _request: []


PARTS: dict[str, Part] = {}


def add_part(name: str, part: Part) -> None:
    """Show `part` after what accounts shows; a second part of the same name replaces it."""
    PARTS[name] = part


def tasks_of(count: int, sentence: str, url: str) -> list[Task]:
    """The task of `count` rows; none if there are none. sentence: with %(count)s."""
    return [Task(sentence % {"count": shown(count)}, url)] if count else []


def shown(count: int) -> str:
    """Format a count of capped_count() for a card."""
    return f"{count:,}" if count <= COUNT_CAP else f"{COUNT_CAP:,}+"
