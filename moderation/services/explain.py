"""What caused a ban: the violations before it, and what was left of each score at that time.

This does not depend on current settings: the stored totals show how much of one total was left at
the next violation, whatever the half-life was.
"""

from dataclasses import dataclass
from typing import NamedTuple

from moderation.models import Ban, Violation

MAX_ROWS = 200
# An event worth less would show as 0.00; it is summed up with all earlier ones.
MIN_SCORE = 0.005


class Contribution(NamedTuple):
    """A violation, and how much of its score was left at the time of the ban."""

    violation: Violation
    worth: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What led to a ban; total = the sum of all `worth` and of `earlier`.

    rows: oldest first, without those of score 0; the last one caused the ban.
    steps: every violation from the first row on, including those of score 0, oldest first.
    earlier: what was left of violations that are not listed, because they are old or deleted.
    """

    crossing: Violation
    rows: tuple[Contribution, ...]
    steps: tuple[Violation, ...]
    earlier: float

    @property
    def total(self) -> float:
        return self.crossing.total_after

    @property
    def has_earlier(self) -> bool:
        return self.earlier >= MIN_SCORE


def explain(ban: Ban) -> Explanation | None:
    """The violations that led to `ban`; None for a manual ban and if they are deleted."""
    crossing = ban.violations.order_by("pk").first()
    if crossing is None:
        return None
    newest = Violation.objects.filter(subject=crossing.subject, pk__lte=crossing.pk)
    found = list(newest.order_by("-pk")[:MAX_ROWS])
    rows, earlier = _worths(sorted(found, key=lambda row: (row.at, row.pk), reverse=True))
    listed = tuple(row for row in reversed(rows) if row.violation.score)
    return Explanation(crossing, listed, tuple(row.violation for row in reversed(rows)), earlier)


def _worths(newest_first: list[Violation]) -> tuple[list[Contribution], float]:
    """Each violation with its worth, newest first; and the rest of what came before."""
    rows: list[Contribution] = []
    left, later = 1.0, None
    for violation in newest_first:
        if later is not None:
            left *= _kept(violation, later)
        if left * violation.total_after < MIN_SCORE:
            return rows, left * violation.total_after
        rows.append(Contribution(violation, violation.score * left))
        later = violation
    return rows, left * later.total_before if later is not None else 0.0


def _kept(earlier: Violation, later: Violation) -> float:
    """The share of the earlier one's total that was left at the later one: 0 to 1."""
    if earlier.total_after <= 0:
        return 0.0
    return min(1.0, later.total_before / earlier.total_after)
