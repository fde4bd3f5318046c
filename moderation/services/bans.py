"""Bans by administrators: add, lift, look up. services.violations adds automatic bans."""

from datetime import datetime, timedelta
from functools import cache
from math import ceil
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.actors import Actor
from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.approvals.acts import Act, Arguments, Line, end_text
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.end_dates import audit_time
from accounts.services.ranks import require_rank
from accounts.services.sessions import revoke_sessions
from accounts.services.users import is_last_owner, lock_account
from audit import audit_log
from core import sql
from core.errors import Forbidden, LastOwner, NotFound, RecordInvalid
from core.locks import lock_users
from core.web.request_context import get_request_context
from moderation.models import Ban, BanQuerySet
from moderation.networks import is_exempt, network_name

MAX_DURATION = timedelta(days=3653)
MAX_REASON_LENGTH = 200
_HAS_NO_BAN = "_has_no_ban"


def _ban_lines(_target: User | None, given: Arguments) -> list[Line]:
    duration, end = given.get("duration"), given.get("expires_at")
    until = _("until it is lifted") if duration is None and end is None else ""
    if end is not None:
        until = end_text(end)
    elif duration is not None:
        hours = ceil(duration.total_seconds() / 3600)
        until = ngettext("%(number)d hour", "%(number)d hours", hours) % {"number": hours}
    found = [Line(_("Banned"), "", until), Line(_("Reason"), "", given["reason"])]
    network = given.get("network", "")
    return [*found, Line(_("Network"), "", network)] if network else found


BAN = Act(
    "ban",
    gettext_lazy("Ban %(name)s"),
    gettext_lazy(
        "%(name)s is signed out everywhere and cannot sign in until the ban ends or is lifted."
    ),
    lines=_ban_lines,
)
LIFT = Act(
    "lift-ban",
    gettext_lazy("Lift a ban of %(name)s"),
    gettext_lazy("%(name)s may sign in again, unless another ban is in force."),
)
LIFT_ALL = Act(
    "lift-bans",
    gettext_lazy("Lift the bans of %(name)s"),
    gettext_lazy("%(name)s may sign in again."),
)


@needs_second_owner(BAN)
def ban(
    *,
    actor: Actor,
    user: User | None = None,
    network: str = "",
    duration: timedelta | None,
    reason: str,
    expires_at: datetime | None = None,
) -> Ban:
    """Ban a user, a network, or both as one ban. duration None: until it is lifted;
    `expires_at` replaces it with an exact end.

    network: an address; an IPv6 address stands for its /64. The user's sessions end. Raises
    Forbidden; LastOwner; RecordInvalid for no target, the actor, the actor's own network, an exempt
    network, or a duration out of range. Nothing is changed then.
    """
    require_admin(actor)
    if expires_at is not None:
        duration = expires_at - timezone.now()
    name = check_ban(actor, user=user, network=network, duration=duration)
    with transaction.atomic():
        if user is not None:
            user = _bannable(actor, user)
            require_second_owner(actor, user)
        now = timezone.now()
        row = Ban.objects.create(
            user=user,
            network=name,
            kind=Ban.Kind.MANUAL,
            reason=" ".join(reason.split())[:MAX_REASON_LENGTH],
            created_at=now,
            until=None if duration is None else expires_at or now + duration,
            created_by=actor.pk,
        )
        if user is not None:
            revoke_sessions(user, "banned")
        audit_log.record(
            "moderation:ban:start",
            actor=actor,
            target=user,
            ban=str(row.pk),
            kind=row.kind,
            **ban_details(row),
        )
    return row


@needs_second_owner(LIFT)
def lift(*, actor: Actor, ban: Ban) -> Ban:
    """End a ban now, for its user and its network; their other bans stay in force.

    Raises Forbidden if the actor's role is too low, NotFound if it is not in force.
    """
    require_admin(actor)
    with transaction.atomic():
        lock_users(ban.user_id)
        row = Ban.objects.select_for_update(of=("self",)).filter(pk=ban.pk).first()
        if row is None or row.state(timezone.now()) != "active":
            raise NotFound
        if row.user is not None:
            require_rank(actor, row.user)
            require_second_owner(actor, row.user, raises_power=True)
        row.lifted_at, row.lifted_by = timezone.now(), actor.pk
        row.save(update_fields=["lifted_at", "lifted_by"])
        audit_log.record(
            "moderation:ban:lift",
            actor=actor,
            target=row.user,
            ban=str(row.pk),
            kind=row.kind,
            **ban_details(row),
        )
    return row


def ban_details(row: Ban) -> dict[str, Any]:
    """What was banned and until when, for the audit log; the network itself is in the ban."""
    covers = [name for name, value in (("user", row.user_id), ("network", row.network)) if value]
    return {"covers": covers, "until": None if row.until is None else audit_time(row.until)}


@needs_second_owner(LIFT_ALL)
def lift_all(*, actor: Actor, user: User) -> int:
    """Lift every ban of `user` that is in force; returns how many. Raises Forbidden."""
    require_admin(actor)
    require_rank(actor, user)
    with transaction.atomic():
        lock_users(user.pk)
        found = list(active_bans().filter(user=user))
        for row in found:
            lift(actor=actor, ban=row)
    return len(found)


def active_bans() -> BanQuerySet:
    """Every ban in force."""
    return Ban.objects.active(timezone.now())


def ban_of(user: User) -> Ban | None:
    """The longest ban of `user` that is in force, or None."""
    if user.__dict__.pop(_HAS_NO_BAN, False):
        return None
    return _longest("user", user.pk)


def unlifted_ban_sql(user_id: str) -> str:
    """SQL: whether the user of this column has a ban that was not lifted; it may be over."""
    table = Ban._meta.db_table
    return f"""EXISTS (SELECT 1 FROM "{table}" WHERE "{table}"."user_id" = {user_id}
        AND "{table}"."lifted_at" IS NULL)"""  # noqa: S608 - our own names


def note_no_ban(user: User) -> None:
    """Spare the next ban_of(user) its query: the statement that read `user` found no ban.

    Holds for that one question only, so for the access policy that is asked right after.
    """
    user.__dict__[_HAS_NO_BAN] = True


def ban_at(network: str) -> Ban | None:
    """The longest ban of a network (an address or a name) that is in force, or None.

    An exempt network has none, even if it was banned before it became exempt.
    """
    name = network_name(network)
    if not name or is_exempt(name):
        return None
    return _longest("network", name)


def _longest(column: str, value: object) -> Ban | None:
    """Asked in every request, and there is nearly never one: so its end is read first."""
    found = _end_of_longest(column).fetch_one(value)
    if found is None or (found[0] is not None and found[0] <= timezone.now()):
        return None
    lasting = active_bans().filter(**{column: value}).order_by(F("until").desc(nulls_first=True))
    longest: Ban | None = lasting.first()
    return longest


@cache
def _end_of_longest(column: str) -> sql.PreparedRowQuery:
    """Reads the end of the longest ban that was not lifted; it may be over. Null: it has no end."""
    table, by = Ban._meta.db_table, Ban._meta.get_field(column)
    name = str(by.column)  # type: ignore[union-attr]  # a column
    # Contains names of our own table and columns only, never input.
    source = f"""FROM "{table}" WHERE "{name}" = %s AND "lifted_at" IS NULL
        ORDER BY "until" IS NULL DESC, "until" DESC LIMIT 1"""
    return sql.PreparedRowQuery((Ban._meta.get_field("until"),), source, by)


def require_admin(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an administrator."""
    if Role(actor.role) not in ADMIN_ROLES:
        raise Forbidden


def check_ban(actor: Actor, *, user: User | None, network: str, duration: timedelta | None) -> str:
    """The network in its stored form. Raises RecordInvalid with all reasons against the ban."""
    errors: dict[str, list[str]] = {}
    name = network_name(network)
    if network and not name:
        errors["network"] = [_("Enter one address, such as 203.0.113.7 or 2001:db8::1.")]
    elif name and is_exempt(name):
        errors["network"] = [_("This network cannot be banned.")]
    elif name and name == network_name(get_request_context().ip):
        errors["network"] = [_("This is the network that you are using yourself.")]
    if user is None and not network:
        errors["user"] = [_("Choose what to ban: a person, a network, or both.")]
    if user is not None and actor.pk == user.pk:
        errors["user"] = [_("You cannot ban yourself.")]
    if duration is not None and not timedelta(0) < duration <= MAX_DURATION:
        errors["duration"] = [_("Choose a time of up to ten years.")]
    if errors:
        raise RecordInvalid(errors)
    return name


def _bannable(actor: Actor, user: User) -> User:
    """The current row, under the roles lock. Raises Forbidden, LastOwner, RecordInvalid."""
    current = lock_account(user)
    require_rank(actor, current)
    if is_last_owner(current):
        raise LastOwner
    return current


def ended_at(row: Ban, now: datetime) -> datetime | None:
    """When a ban expired or was lifted; None while it is in force."""
    if row.lifted_at is not None:
        return row.lifted_at
    return row.until if row.until is not None and row.until <= now else None
