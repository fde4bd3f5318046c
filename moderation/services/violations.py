"""Scoring: a violation is written, its subject's total moves, and a ban may fall.

All in one transaction under the lock of the person and of the subject's row in Score. Call
violate() in no transaction that has written anything already: its locks come first.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.context import current_caller
from accounts.locks import ROLES, delete_free, house_lock, lock_people
from accounts.models import User
from accounts.services.sessions import end_sign_ins
from accounts.services.users import is_last_owner
from moderation import scoring
from moderation.models import Ban, Score, Violation
from moderation.networks import UNKNOWN, is_exempt, network_name
from moderation.reasons import reason_for

logger = logging.getLogger("gatehouse.moderation")
DEFAULT_SCORE = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a violation: its row, and the ban that it brought about."""

    violation: Violation
    ban: Ban | None


def violate(
    *,
    type: str,  # noqa: A002 - the name that callers know
    user: User | None = None,
    network: str = "",
    score: float | None = None,
    limit: str = "",
    detail: dict[str, Any] | None = None,
    reported_by: Actor | None = None,
) -> Outcome:
    """Write a violation of `user`, or else of `network`, add its score, ban if a ban falls.

    network: an address, or a name of accounts.client.network_key(). score: None takes the
    configured one of `type`; 0 is noted and never bans. A ban ends the person's sessions.
    """
    name = network_name(network)
    points = settings.VIOLATION_SCORES.get(type, DEFAULT_SCORE) if score is None else score
    with transaction.atomic():
        lock_people(None if user is None else user.pk)
        row = _locked_score(subject_of(user, name))
        now = timezone.now()
        step = _step(row, points, now)
        ban = _ban_for(type, user, name, now) if step.is_ban and points > 0 else None
        violation = Violation.objects.create(
            type=type[:40],
            score=points,
            subject=row.subject,
            user=user,
            network=name,
            at=now,
            limit=limit[:40],
            detail=detail or {},
            total_before=step.before,
            total_after=step.after,
            ban=ban,
            reported_by=getattr(reported_by, "pk", None),
            request_id=current_caller().request_id,
        )
        Score.objects.filter(pk=row.pk).update(total=step.after, at=max(now, row.at))
        if ban is not None:
            audit.record(
                "moderation:ban:start", target=user, ban=str(ban.pk), kind=ban.kind, type=type
            )
        _record(violation, reported_by)
    return Outcome(violation, ban)


def subject_of(user: User | None, network: str) -> str:
    """Whom a violation counts against; `network` is a name of network_name()."""
    return f"user:{user.pk}" if user is not None else f"network:{network or UNKNOWN}"


def purge_moderation(now: datetime, *, batches: int = 20) -> int:
    """Delete violations, ended bans and faded scores past their retention; at most `batches` each.

    Returns how many rows. A ban that may still be in force is never deleted.
    """
    before = now - settings.MODERATION_RETENTION
    count = delete_free(Violation.objects.filter(at__lt=before), batches=batches)
    count += delete_free(Ban.objects.filter(until__lt=before), batches=batches)
    count += delete_free(Ban.objects.filter(lifted_at__lt=before), batches=batches)
    half_life = settings.MODERATION_SCORE_HALF_LIFE
    if half_life:
        # After forty half-lives the billionth part of the billionth is left.
        faded = now - max(settings.MODERATION_RETENTION, 40 * half_life)
        count += delete_free(Score.objects.filter(at__lt=faded), batches=batches)
    return count


def _locked_score(subject: str) -> Score:
    """The subject's row, made when there is none, locked until the transaction ends."""
    scores = Score.objects.select_for_update()
    found = scores.filter(pk=subject).first()
    if found is None:
        Score.objects.bulk_create([Score(subject=subject)], ignore_conflicts=True)
        found = scores.get(pk=subject)
    return found


def _step(row: Score, points: float, now: datetime) -> scoring.Step:
    return scoring.add(
        row.total,
        now - row.at if row.total else timedelta(0),
        points,
        half_life=settings.MODERATION_SCORE_HALF_LIFE,
        interval=settings.BAN_INTERVAL,
    )


def _ban_for(kind: str, user: User | None, network: str, now: datetime) -> Ban | None:
    """The ban of a crossing, written and in force; None when nobody may or need be banned."""
    if not settings.BAN_VIOLATIONS:
        logger.info("a ban would have fallen, but BAN_VIOLATIONS is off")
        return None
    until = now + settings.BAN_DURATION
    place = "" if is_exempt(network) else network
    if user is not None and not _may_ban(user, until):
        return None
    if user is None and (not place or _is_banned_longer(until, network=place)):
        return None
    ban = Ban.objects.create(
        user=user,
        network=place,
        kind=Ban.Kind.AUTOMATIC,
        reason=reason_for(kind),
        created_at=now,
        until=until,
    )
    if user is not None:
        end_sign_ins(user, "banned")
    return ban


def _may_ban(user: User, until: datetime) -> bool:
    house_lock(ROLES)
    if is_last_owner(user):
        audit.record("moderation:ban:start", target=user, result="refused", reason="last owner")
        return False
    return not _is_banned_longer(until, user=user)


def _is_banned_longer(until: datetime, **whom: Any) -> bool:
    bans = Ban.objects.filter(**whom, lifted_at=None)
    return bans.filter(until=None).exists() or bans.filter(until__gt=until).exists()


def _record(violation: Violation, reported_by: Actor | None) -> None:
    audit.record(
        "moderation:violation:score",
        actor=reported_by,
        target=violation.user,
        violation=str(violation.pk),
        type=violation.type,
        score=violation.score,
        total=round(violation.total_after, 3),
    )
