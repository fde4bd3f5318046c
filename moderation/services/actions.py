"""Limits on actions of other apps: may this user at this address do it once more?"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import Role, can_manage
from core.counters import (
    Count,
    Slot,
    count_of,
    free_slot,
    hit,
    hit_if_room,
    hit_network,
    take_slot,
)
from core.errors import Forbidden, NotFound, RateLimited
from core.text.durations import format_duration
from moderation.models import Ban
from moderation.services.violations import record_violation

USER, IP, CONCURRENT = "user", "ip", "concurrent"
NON_BROWSER = "non_browser"
# Each name is followed by a version. Programs that pretend to be a browser pass: this is a scored
# hint, not access control.
_BROWSER = re.compile(
    r"(?:Firefox|FxiOS|Chrome|Chromium|CriOS|Safari|AppleWebKit|Edge?|EdgA|EdgiOS|OPR|Opera|OPiOS"
    r"|SamsungBrowser|Vivaldi|Trident|Konqueror|SeaMonkey|Lynx|w3m)[/ ]\d|MSIE \d"
)
MAX_USER_AGENT_LENGTH = 512


class LimitExceeded(RateLimited):
    """The action exceeds its limit. until: the end of the ban that followed, else None."""

    timed_message = _("You are doing this too often. Try again %(span)s.")

    def __init__(self, retry_after_seconds: int, ban: Ban | None) -> None:
        super().__init__(retry_after_seconds)
        self.until = ban.until if ban else None


class NotABrowser(Forbidden):
    """The action is for browsers only, and the User-Agent does not name one."""

    default_message = _("Only browsers may do this.")


class Rate(NamedTuple):
    """At most `maximum` in each `window`."""

    maximum: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.maximum} in {format_duration(self.window)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSubject:
    """Who performs an action. user: None if unknown; network: of network_key(), "" for none.

    user_agent: the client's User-Agent header; None if it is not checked. reported_by: the owner of
    the service key that the app uses.
    """

    user: User | None = None
    network: str = ""
    user_agent: str | None = None
    reported_by: Actor


class LimitState(NamedTuple):
    """The tightest limit: how many it allows, how many are left, when it resets.

    All None if nothing is limited.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


class Started(NamedTuple):
    """An action that has started. slot: to be released at its end; None if none is needed."""

    standing: LimitState
    slot: Slot | None


class _LimitCount(NamedTuple):
    """One limit and its current count."""

    by: str
    rate: Rate
    counted: Count

    @property
    def is_exceeded(self) -> bool:
        return self.counted.number > self.rate.maximum

    @property
    def remaining(self) -> int:
        return self.rate.maximum - self.counted.number


def count_action(action: str, subject: ActionSubject) -> LimitState:
    """Count one `action` of `subject`, and refuse it if a limit is exceeded.

    Raises NotFound for an action that is not configured, NotABrowser, LimitExceeded; the last two
    after recording a violation, which may cause a ban.
    """
    limits = _limits_of(action)
    _require_browser(action, subject)
    return _count(action, limits, subject)


def start_action(action: str, subject: ActionSubject) -> Started:
    """Like count_action() for a long action: also takes one of the user's slots.

    Raises what count_action() does; a refused action holds no slot.
    """
    limits = _limits_of(action)
    _require_browser(action, subject)
    slot = _take_slot(action, limits, subject)
    try:
        return Started(_count(action, limits, subject), slot)
    except LimitExceeded:
        if slot:
            free_slot(slot.name)
        raise


def release_action(slot: str) -> bool:
    """Release the slot that start_action() took; False if it was free already."""
    return free_slot(slot)


def _limits_of(action: str) -> dict[str, Rate]:
    try:
        return {by: Rate(*limit) for by, limit in settings.ACTIONS[action].items()}
    except KeyError:
        raise NotFound(str(_("No action of this name is configured."))) from None


def _require_browser(action: str, subject: ActionSubject) -> None:
    """Raise NotABrowser. A score of 0 turns the check off, as in LibreChat."""
    if subject.user_agent is None or not settings.VIOLATION_SCORES[NON_BROWSER]:
        return
    if not is_browser(subject.user_agent):
        _record(NON_BROWSER, subject, detail={"action": action})
        raise NotABrowser


def is_browser(user_agent: str) -> bool:
    """Does the header name a browser? False for "", curl, Python and crawlers."""
    return _BROWSER.search(user_agent[:MAX_USER_AGENT_LENGTH]) is not None


def _take_slot(action: str, limits: dict[str, Rate], subject: ActionSubject) -> Slot | None:
    rate = limits.get(CONCURRENT)
    if rate is None or subject.user is None:
        return None
    slot = take_slot(f"{action}:{subject.user.pk.hex}", rate.maximum, rate.window)
    if slot is None:
        ban = _record(
            "concurrent", subject, limit=f"{rate.maximum} at once", detail={"action": action}
        )
        raise LimitExceeded(1, ban)
    return slot


def _count(action: str, limits: dict[str, Rate], subject: ActionSubject) -> LimitState:
    """Count for every limit, then compare: an attempt that one limit refuses counts for all."""
    counts: list[_LimitCount] = []
    if USER in limits and subject.user:
        counted = hit(f"{action}:user:{subject.user.pk.hex}", limits[USER].window)
        counts.append(_LimitCount(USER, limits[USER], counted))
    if IP in limits and subject.network:
        if subject.user:
            # First, so that the share of a refused user holds all their earlier attempts.
            hit_if_room(_share_name(action, subject), limits[IP].window)
        counted = hit_network(f"{action}:ip", subject.network, limits[IP].window)
        counts.append(_LimitCount(IP, limits[IP], counted))
    exceeded = [count for count in counts if count.is_exceeded]
    if exceeded:
        raise _refused(action, exceeded, subject)
    if not counts:
        return LimitState()
    tightest = min(counts, key=lambda count: count.remaining)
    return LimitState(tightest.rate.maximum, tightest.remaining, tightest.counted.ends_at)


def _refused(action: str, exceeded: list[_LimitCount], subject: ActionSubject) -> LimitExceeded:
    """Record the violation, and return the error to raise."""
    first = exceeded[0]
    ban = _record(
        action,
        subject,
        limit=str(first.rate),
        score=None if _should_score(action, first, subject) else 0.0,
        detail={"by": first.by, "count": first.counted.number},
    )
    end = max(count.counted.ends_at for count in exceeded)
    return LimitExceeded(int((end - timezone.now()).total_seconds()) + 1, ban)


def _should_score(action: str, exceeded: _LimitCount, subject: ActionSubject) -> bool:
    """Does this violation score?

    Many users may share an address, and the last of them must not be banned for all. So beyond the
    limit of an address, a user scores only if they used more than half of it.
    """
    if exceeded.counted.is_shared:
        return False
    if exceeded.by == USER or subject.user is None:
        return True
    return count_of(_share_name(action, subject)) * 2 > exceeded.rate.maximum


def _share_name(action: str, subject: ActionSubject) -> str:
    return f"{action}:share:{subject.network}:{subject.user.pk.hex if subject.user else ''}"


def _record(
    kind: str,
    subject: ActionSubject,
    *,
    detail: dict[str, Any],
    limit: str = "",
    score: float | None = None,
) -> Ban | None:
    """Record the violation, and return the ban that it caused.

    An app cannot ban a user whom the owner of its key could not ban.
    """
    if subject.user and not can_manage(Role(subject.reported_by.role), Role(subject.user.role)):
        score = 0.0
    return record_violation(
        type=kind,
        user=subject.user,
        network=subject.network,
        score=score,
        limit=limit,
        detail=detail,
        reported_by=subject.reported_by,
    ).ban
