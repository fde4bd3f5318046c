"""Bans by operators: laid, lifted, looked up. Automatic ones come from services.violations."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, rows
from accounts.actors import Actor
from accounts.context import current_caller
from accounts.errors import Forbidden, LastOwner, NotFound, RecordInvalid
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import User
from accounts.roles import OPERATORS, Role
from accounts.services.sessions import end_sign_ins
from accounts.services.users import is_last_owner, require_rank
from moderation.models import Ban, BanQuerySet
from moderation.networks import is_exempt, network_name

LONGEST = timedelta(days=3653)
# As BanQuerySet.active(), by column. Our own names only: no foreign text.
IS_BANNED = {
    field: f"""SELECT 1 FROM "{Ban._meta.db_table}" WHERE "{column}" = %s
        AND "lifted_at" IS NULL AND ("until" IS NULL OR "until" > %s) LIMIT 1"""  # noqa: S608
    for field, column in (("user", "user_id"), ("network", "network"))
}
MAX_REASON_LENGTH = 200


def ban(
    *,
    actor: Actor,
    user: User | None = None,
    network: str = "",
    duration: timedelta | None,
    reason: str,
) -> Ban:
    """Ban a person, a network, or both as one ban. duration None: until it is lifted.

    network: an IPv4 or IPv6 address; of the latter its /64. The person's sessions end.
    Raises Forbidden; LastOwner; RecordInvalid for nobody, oneself, one's own network, one that
    may never be banned, or a duration out of bounds. Nothing has changed then.
    """
    _require_operator(actor)
    name = check_ban(actor, user=user, network=network, duration=duration)
    with transaction.atomic():
        if user is not None:
            user = _bannable(actor, user)
        now = timezone.now()
        row = Ban.objects.create(
            user=user,
            network=name,
            kind=Ban.Kind.MANUAL,
            reason=" ".join(reason.split())[:MAX_REASON_LENGTH],
            created_at=now,
            until=None if duration is None else now + duration,
            created_by=actor.pk,
        )
        if user is not None:
            end_sign_ins(user, "banned")
        audit.record(
            "moderation:ban:start", actor=actor, target=user, ban=str(row.pk), kind=row.kind
        )
    return row


def lift(*, actor: Actor, ban: Ban) -> Ban:
    """End a ban now, for its person and its network; other bans of theirs go on.

    Raises Forbidden when the actor's rank is too low, NotFound when it is not in force.
    """
    _require_operator(actor)
    with transaction.atomic():
        lock_people(ban.user_id)
        row = Ban.objects.select_for_update(of=("self",)).filter(pk=ban.pk).first()
        if row is None or row.state(timezone.now()) != "active":
            raise NotFound
        if row.user is not None:
            require_rank(actor, row.user)
        row.lifted_at, row.lifted_by = timezone.now(), actor.pk
        row.save(update_fields=["lifted_at", "lifted_by"])
        audit.record("moderation:ban:lift", actor=actor, target=row.user, ban=str(row.pk))
    return row


def lift_all(*, actor: Actor, user: User) -> int:
    """Lift every ban of `user` that is in force; returns how many. Raises Forbidden."""
    _require_operator(actor)
    require_rank(actor, user)
    with transaction.atomic():
        lock_people(user.pk)
        found = list(active_bans().filter(user=user))
        for row in found:
            lift(actor=actor, ban=row)
    return len(found)


def active_bans() -> BanQuerySet:
    """Every ban in force."""
    return Ban.objects.active(timezone.now())


def ban_of(user: User) -> Ban | None:
    """The ban of `user` that lasts longest, or None."""
    return _longest("user", user.pk)


def ban_at(network: str) -> Ban | None:
    """The ban of that network, given by name or address, that lasts longest, or None.

    An exempt network has none, whatever was written before it was exempted.
    """
    name = network_name(network)
    if not name or is_exempt(name):
        return None
    return _longest("network", name)


def _longest(column: str, value: object) -> Ban | None:
    """Asked at each request of everybody, so that nearly always there is none: a plain probe."""
    if not rows.exists(IS_BANNED[column], Ban, **{column: value, "until": timezone.now()}):
        return None
    lasting = active_bans().filter(**{column: value}).order_by(F("until").desc(nulls_first=True))
    found: Ban | None = lasting.first()
    return found


def _require_operator(actor: Actor) -> None:
    if Role(actor.role) not in OPERATORS:
        raise Forbidden


def _checked_network(text: str) -> str:
    name = network_name(text)
    if not name:
        raise RecordInvalid(
            {"network": [_("Write one address, such as 203.0.113.7 or 2001:db8::1.")]}
        )
    if is_exempt(name):
        raise RecordInvalid({"network": [_("This network is never banned.")]})
    return name


def check_ban(actor: Actor, *, user: User | None, network: str, duration: timedelta | None) -> str:
    """The network in its stored form. Raises RecordInvalid with all that speaks against a ban."""
    errors: dict[str, list[str]] = {}
    name = ""
    try:
        name = _checked_network(network) if network else ""
    except RecordInvalid as error:
        errors |= error.errors
    if user is None and not network:
        errors["user"] = [_("Say whom to ban: a person, a network, or both.")]
    if user is not None and actor.pk == user.pk:
        errors["user"] = [_("You cannot ban yourself.")]
    if name and name == network_name(current_caller().ip):
        errors["network"] = [_("This is the network that you are using yourself.")]
    if duration is not None and not timedelta(0) < duration <= LONGEST:
        errors["duration"] = [_("Choose a time of up to ten years.")]
    if errors:
        raise RecordInvalid(errors)
    return name


def _bannable(actor: Actor, user: User) -> User:
    """The row as it is now, under the roles lock. Raises Forbidden, LastOwner, RecordInvalid."""
    lock_people(user.pk)
    house_lock(ROLES)
    current: User | None = User.objects.filter(pk=user.pk).first()
    if current is None:
        raise RecordInvalid({"user": [_("This account does not exist any more.")]})
    require_rank(actor, current)
    if is_last_owner(current):
        raise LastOwner
    return current


def ended_at(row: Ban, now: datetime) -> datetime | None:
    """When a ban came to its end, by itself or lifted; None while it is in force."""
    if row.lifted_at is not None:
        return row.lifted_at
    return row.until if row.until is not None and row.until <= now else None
