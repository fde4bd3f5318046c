"""What if: replay the stored violations under another policy. It only reads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.roles import Role
from accounts.services.users import is_last_owner
from moderation import scoring
from moderation.models import Violation
from moderation.networks import is_exempt
from moderation.services.violations import NETWORK, USER, subject_of

MAX_EVENTS = 200_000
MAX_DAYS = 90
BATCH = 2_000
USERS_BATCH = 500


@dataclass(frozen=True, slots=True)
class Policy:
    """The values to simulate. scores: by type; types that are missing keep their stored scores."""

    interval: float
    half_life: timedelta
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """The bans of one subject, real and simulated.

    would, was: the times of its simulated and real bans, oldest first. highest: its highest
    simulated total. good_sign_in: the user's last sign-in, if it is in the replayed period.
    """

    subject: str
    user: User | None
    events: int
    highest: float
    would: tuple[datetime, ...]
    was: tuple[datetime, ...]
    good_sign_in: datetime | None

    @property
    def network(self) -> str:
        """The network that is the subject; "" for a person."""
        return "" if self.subject.startswith(USER) else self.subject.removeprefix(NETWORK)

    @property
    def change(self) -> str:
        """new (banned only in the simulation), spared (only in reality) or same (both)."""
        if not self.was:
            return "new"
        return "same" if self.would else "spared"


@dataclass(frozen=True, slots=True)
class Replay:
    """The results of all subjects that were or would have been banned.

    since: where the replay begins; is_cut: later than asked, because there were too many events.
    results: sorted by users with a good sign-in first, then changes first, then by time.
    """

    results: tuple[SubjectResult, ...]
    events: int
    subjects: int
    since: datetime
    is_cut: bool

    @property
    def would(self) -> int:
        """How many subjects would have been banned."""
        return sum(bool(one.would) for one in self.results)

    @property
    def was(self) -> int:
        """How many subjects were banned."""
        return sum(bool(one.was) for one in self.results)

    @property
    def good(self) -> int:
        """How many people with a good sign-in would have been banned."""
        return sum(bool(one.would and one.good_sign_in) for one in self.results)


@dataclass(slots=True)
class _Track:
    """The running total of one subject."""

    total: float = 0.0
    at: datetime | None = None
    events: int = 0
    highest: float = 0.0
    would: list[datetime] = field(default_factory=list)
    was: list[datetime] = field(default_factory=list)

    def count(self, at: datetime, score: float, policy: Policy) -> None:
        age = timedelta(0) if self.at is None else at - self.at
        step = scoring.add(
            self.total, age, score, half_life=policy.half_life, interval=policy.interval
        )
        self.total, self.at = step.after, at
        self.events += 1
        self.highest = max(self.highest, step.after)
        if step.is_ban:
            self.would.append(at)


def replay(policy: Policy, *, days: int, now: datetime, maximum: int = MAX_EVENTS) -> Replay:
    """Replay the last `days` from totals of 0; at most `maximum` events, the newest."""
    since, is_cut = _beginning(now - timedelta(days=days), now, maximum)
    tracks: dict[str, _Track] = {}
    # After a cut, the replay begins after the first event that is too many.
    fence = Q(at__gt=since) if is_cut else Q(at__gte=since)
    for subject, kind, at, score, ban in _events(Violation.objects.filter(fence, at__lte=now)):
        track = tracks.setdefault(subject, _Track())
        track.count(at, policy.scores.get(kind, score), policy)
        if ban is not None:
            track.was.append(at)
    banned = {subject: track for subject, track in tracks.items() if track.would or track.was}
    found = (one for one in _results(banned, since) if one.would or one.was)
    results = sorted(found, key=_importance)
    events = sum(track.events for track in tracks.values())
    return Replay(tuple(results), events, len(tracks), since, is_cut)


def _beginning(since: datetime, now: datetime, maximum: int) -> tuple[datetime, bool]:
    """`since`, or the time of the first event that is too many."""
    newest = Violation.objects.filter(at__gte=since, at__lte=now).order_by("-at")
    above = newest.values_list("at", flat=True)[maximum:].first()
    return (since, False) if above is None else (above, True)


def _events(
    rows: "QuerySet[Violation]",
) -> Iterator[tuple[str, str, datetime, float, UUID | None]]:
    """(subject, type, at, score, ban) in order of time."""
    columns = rows.order_by("at", "pk").values_list("subject", "type", "at", "score", "ban_id")
    return columns.iterator(chunk_size=BATCH)


def _results(tracks: Mapping[str, _Track], since: datetime) -> Iterator[SubjectResult]:
    users = _users_by_id(tracks)
    for subject, track in tracks.items():
        user = users.get(subject)
        would = () if _is_safe(subject, user) else tuple(track.would)
        yield SubjectResult(
            subject,
            user,
            track.events,
            track.highest,
            would,
            tuple(track.was),
            _good_sign_in(user, since),
        )


def _is_safe(subject: str, user: User | None) -> bool:
    """Never banned by any policy: the last active owner, and exempt networks."""
    if user is not None:
        return user.role == Role.OWNER and is_last_owner(user)
    return not subject.startswith(USER) and is_exempt(subject.removeprefix(NETWORK))


def _good_sign_in(user: User | None, since: datetime) -> datetime | None:
    last = user.last_login if user else None
    return last if last and last >= since else None


def _users_by_id(subjects: Iterable[str]) -> dict[str, User]:
    """Subject -> user, for the subjects that are users."""
    keys = [subject.removeprefix(USER) for subject in subjects if subject.startswith(USER)]
    found: dict[str, User] = {}
    for start in range(0, len(keys), USERS_BATCH):
        for user in User.objects.filter(pk__in=keys[start : start + USERS_BATCH]):
            found[subject_of(user, "")] = user
    return found


def _importance(result: SubjectResult) -> tuple[bool, bool, datetime, str]:
    first = min((*result.would, *result.was))
    is_harmless = not (result.would and result.good_sign_in)
    return is_harmless, result.change == "same", first, result.subject
