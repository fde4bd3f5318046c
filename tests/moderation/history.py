"""Violations and bans written by the services at chosen times."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from accounts.models import User
from moderation import scoring
from moderation.models import Ban, Violation

HALF_LIFE = timedelta(hours=24)


class Event(NamedTuple):
    """A scored violation."""

    at: datetime
    score: float


def violated(
    at: datetime,
    *,
    user: User | None = None,
    network: str = "203.0.113.7",
    score: float = 1.0,
    kind: str = "login",
    half_life: timedelta = HALF_LIFE,
    **fields: Any,
) -> Violation:
    """A violation whose totals continue those of the subject's newest one."""
    subject = f"user:{user.pk}" if user else f"network:{network}"
    last = Violation.objects.filter(subject=subject).order_by("-at").first()
    total, age = (last.total_after, at - last.at) if last else (0.0, timedelta(0))
    step = scoring.add(total, age, score, half_life=half_life, interval=20)
    return Violation.objects.create(
        type=kind,
        score=score,
        subject=subject,
        user=user,
        network=network,
        at=at,
        limit="7 in 5m",
        total_before=step.before,
        total_after=step.after,
        **fields,
    )


def banned(
    *,
    user: User | None = None,
    network: str = "",
    since: datetime,
    lasts: timedelta | None = timedelta(hours=2),
    kind: str = Ban.Kind.AUTOMATIC,
    **fields: Any,
) -> Ban:
    """A ban that began at `since`; lasts None: until it is lifted."""
    until = None if lasts is None else since + lasts
    values: dict[str, Any] = {"reason": "Too many failed sign-ins."} | fields
    return Ban.objects.create(
        user=user, network=network, kind=kind, created_at=since, until=until, **values
    )


def replay(events: Iterable[Event], *, half_life: timedelta, interval: float) -> list[scoring.Step]:
    """The steps of events in order of time, from a total of 0."""
    steps: list[scoring.Step] = []
    total, last = 0.0, None
    for event in sorted(events):
        age = timedelta(0) if last is None else event.at - last
        step = scoring.add(total, age, event.score, half_life=half_life, interval=interval)
        steps.append(step)
        total, last = step.after, event.at
    return steps
