"""Actions that an app has counted: may this person at this address do it once more?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import Role, can_manage
from core.errors import Forbidden, NotFound, RateLimited
from moderation.counters import (
    Slot,
    Tally,
    count_of,
    free_slot,
    hit,
    hit_if_room,
    hit_network,
    take_slot,
)
from moderation.models import Ban
from moderation.services.violations import record_violation
from moderation.user_agents import is_browser

USER, IP, CONCURRENT = "user", "ip", "concurrent"
NON_BROWSER = "non_browser"


class LimitExceeded(RateLimited):
    """The action exceeds its limit. until: the end of the ban that followed, else None."""

    timed_message = _("You are doing this too often. Try again %(span)s.")

    def __init__(self, retry_after_seconds: int, ban: Ban | None) -> None:
        super().__init__(retry_after_seconds)
        self.until = ban.until if ban else None


class NotABrowser(Forbidden):
    """The app serves browsers alone here, and the program does not say that it is one."""

    default_message = _("This is open to browsers alone.")


class Rate(NamedTuple):
    """At most `maximum` in each `window`."""

    maximum: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.maximum} in {_brief(self.window)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSubject:
    """Who does it. user: None for nobody known; network: as network_key() names it, "" for none.

    user_agent: what the person's program calls itself; None where it does not matter.
    reported_by: the person whose service key the app uses.
    """

    user: User | None = None
    network: str = ""
    user_agent: str | None = None
    reported_by: Actor


class Standing(NamedTuple):
    """The tightest limit: how many it admits, how many are left, when it begins anew.

    All None where nothing is limited.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


class Started(NamedTuple):
    """An admitted beginning. slot: to be given back at the end; None where none is needed."""

    standing: Standing
    slot: Slot | None


class _Count(NamedTuple):
    """One limit and where its counter stands now."""

    by: str
    rate: Rate
    tally: Tally

    @property
    def is_exceeded(self) -> bool:
        return self.tally.number > self.rate.maximum

    @property
    def remaining(self) -> int:
        return self.rate.maximum - self.tally.number


def count_action(action: str, doer: ActionSubject) -> Standing:
    """Count one `action` of `doer`, and refuse it when it is one too many.

    Raises NotFound for an action without a limit of its own, NotABrowser, LimitExceeded; the last
    two after a violation has been noted, which may ban.
    """
    limits = _limits_of(action)
    _require_browser(action, doer)
    return _count(action, limits, doer)


def start_action(action: str, doer: ActionSubject) -> Started:
    """count_action() for what takes a while: takes one of the person's places as well.

    Raises what count_action() does; a refused beginning holds no place.
    """
    limits = _limits_of(action)
    _require_browser(action, doer)
    slot = _take_slot(action, limits, doer)
    try:
        return Started(_count(action, limits, doer), slot)
    except LimitExceeded:
        if slot:
            free_slot(slot.name)
        raise


def release_action(slot: str) -> bool:
    """Give back the place that start_action() took; False when it was free already."""
    return free_slot(slot)


def _limits_of(action: str) -> dict[str, Rate]:
    try:
        return {by: Rate(*limit) for by, limit in settings.ACTIONS[action].items()}
    except KeyError:
        raise NotFound(str(_("No action of this name is configured."))) from None


def _require_browser(action: str, doer: ActionSubject) -> None:
    """With a score of 0 the check is off, as LibreChat's users know it."""
    if doer.user_agent is None or not settings.VIOLATION_SCORES[NON_BROWSER]:
        return
    if not is_browser(doer.user_agent):
        _note(NON_BROWSER, doer, detail={"action": action})
        raise NotABrowser


def _take_slot(action: str, limits: dict[str, Rate], doer: ActionSubject) -> Slot | None:
    rate = limits.get(CONCURRENT)
    if rate is None or doer.user is None:
        return None
    slot = take_slot(f"{action}:{doer.user.pk.hex}", rate.maximum, rate.window)
    if slot is None:
        ban = _note("concurrent", doer, limit=f"{rate.maximum} at once", detail={"action": action})
        raise LimitExceeded(1, ban)
    return slot


def _count(action: str, limits: dict[str, Rate], doer: ActionSubject) -> Standing:
    """Move every counter, then judge: a try that one limit refuses counts for the other too."""
    counts: list[_Count] = []
    if USER in limits and doer.user:
        tally = hit(f"{action}:user:{doer.user.pk.hex}", limits[USER].window)
        counts.append(_Count(USER, limits[USER], tally))
    if IP in limits and doer.network:
        if doer.user:
            # First, so that whoever is refused finds all his earlier tries in his share.
            hit_if_room(_share_name(action, doer), limits[IP].window)
        tally = hit_network(f"{action}:ip", doer.network, limits[IP].window)
        counts.append(_Count(IP, limits[IP], tally))
    exceeded = [count for count in counts if count.is_exceeded]
    if exceeded:
        raise _refused(action, exceeded, doer)
    if not counts:
        return Standing()
    tightest = min(counts, key=lambda count: count.remaining)
    return Standing(tightest.rate.maximum, tightest.remaining, tightest.tally.ends_at)


def _refused(action: str, exceeded: list[_Count], doer: ActionSubject) -> LimitExceeded:
    """Note the violation; the error to raise for it."""
    first = exceeded[0]
    ban = _note(
        action,
        doer,
        limit=str(first.rate),
        score=None if _should_score(action, first, doer) else 0.0,
        detail={"by": first.by, "count": first.tally.number},
    )
    end = max(count.tally.ends_at for count in exceeded)
    return LimitExceeded(int((end - timezone.now()).total_seconds()) + 1, ban)


def _should_score(action: str, exceeded: _Count, doer: ActionSubject) -> bool:
    """Does the excess score? An address can be an office, whose last comer must not be banned.

    So beyond the limit of an address a person scores only with a share of more than half of it.
    """
    if exceeded.tally.is_shared:
        return False
    if exceeded.by == USER or doer.user is None:
        return True
    return count_of(_share_name(action, doer)) * 2 > exceeded.rate.maximum


def _share_name(action: str, doer: ActionSubject) -> str:
    return f"{action}:share:{doer.network}:{doer.user.pk.hex if doer.user else ''}"


def _note(
    kind: str,
    doer: ActionSubject,
    *,
    detail: dict[str, Any],
    limit: str = "",
    score: float | None = None,
) -> Ban | None:
    """Write the violation down; the ban that it brought about.

    What an app counts bans nobody whom the owner of its key could not ban himself.
    """
    if doer.user and not can_manage(Role(doer.reported_by.role), Role(doer.user.role)):
        score = 0.0
    return record_violation(
        type=kind,
        user=doer.user,
        network=doer.network,
        score=score,
        limit=limit,
        detail=detail,
        reported_by=doer.reported_by,
    ).ban


def _brief(window: timedelta) -> str:
    """`1h30m`, as settings are written."""
    rest, parts = int(window.total_seconds()), []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
