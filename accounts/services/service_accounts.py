"""Service accounts: accounts of programs, with API keys and nothing else.

A constraint of the database refuses a password, an address and the role of an owner. The access
policy refuses every credential but API keys. Ends, states, names and deletion are changed by the
same functions as those of people; see accounts.services.users.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import username_problems
from accounts.actors import SYSTEM, Actor
from accounts.models import Group, Membership, User, UserQuerySet
from accounts.models.users import Kind
from accounts.roles import Role, can_give
from accounts.services.end_dates import (
    Subject,
    account_ends,
    check_end,
    check_role_end,
    skip_passed_reminders,
)
from accounts.services.groups.uses import GroupUse
from accounts.services.ranks import OWNER_IS_PERSON, require_rank
from audit import audit_log
from core.errors import Forbidden, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name


class Handover(NamedTuple):
    """How many service accounts were handed over, and the names of those that were not."""

    done: int
    skipped: tuple[str, ...]


def create_service_account(
    *,
    actor: Actor,
    username: str,
    responsible: User | None,
    role: str = Role.VIEWER,
    name: str = "",
    expires_at: datetime | None = None,
    role_until: datetime | None = None,
    role_after: str = "",
    source: str = "operator",
    team: Group | None = None,
) -> User:
    """Create a service account. Raises RecordInvalid with all errors, or Forbidden.

    username: how it is called, in lists and in Remote-User; it never changes. name: what it is for.
    responsible: the person who answers for it; everyone in `team` does, too. role_until,
    role_after: see users.change_role().
    """
    if role != Role.OWNER and not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))
    user = User(
        kind=Kind.SERVICE,
        username=username,
        name=clean_name(name),
        role=role,
        expires_at=expires_at,
        role_until=role_until,
        role_after=role_after,
        responsible=responsible,
        responsible_group_id=team.pk if team else None,
    )
    user.set_password(None)
    check_new_service_account(user, actor)
    try:
        with transaction.atomic():
            lock_users(user.responsible_id)
            acquire_lock(ROLES)
            _require_answerable(responsible)
            _require_team(team)
            user.save(force_insert=True)
            skip_passed_reminders(user, Subject.ACCOUNT, user.expires_at, timezone.now())
            skip_passed_reminders(user, Subject.ROLE, user.role_until, timezone.now())
            audit_log.record(
                "account:service:create",
                actor=actor,
                target=user,
                role=user.role,
                responsible=str(user.responsible_id),
                source=source,
                **({"team": team.name} if team else {}),
                **account_ends(user),
            )
    except IntegrityError:
        raise RecordInvalid(_username_errors(user) or {"username": [_taken_text()]}) from None
    return user


def check_new_service_account(user: User, actor: Actor = SYSTEM) -> None:
    """Set the names of a new account to their stored form. Raises RecordInvalid with all errors."""
    errors, now = _username_errors(user), timezone.now()
    if user.role == Role.OWNER:
        errors["role"] = [str(OWNER_IS_PERSON)]
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_end("expires_at", user.expires_at, now),
        lambda: check_role_end(actor, user.role, user.role_until, user.role_after, now),
        lambda: _require_answerable(user.responsible),
    )
    for check in checks:
        try:
            check()
        except RecordInvalid as error:
            errors |= error.errors
    if errors:
        raise RecordInvalid(errors)


def hand_over(*, actor: Actor, user: User, responsible: User | None) -> User:
    """Make another person answer for a service account. Raises Forbidden, RecordInvalid."""
    with transaction.atomic():
        lock_users(user.pk, responsible.pk if responsible else None)
        acquire_lock(ROLES)
        current: User | None = User.objects.filter(pk=user.pk).first()
        if current is None:
            raise RecordInvalid({"user": [_("This account does not exist any more.")]})
        if not current.is_service:
            raise RecordInvalid({"responsible": [_("Only service accounts have one.")]})
        require_rank(actor, current)
        if responsible is not None and current.responsible_id == responsible.pk:
            return current
        person = _require_answerable(responsible)
        before, current.responsible_id = current.responsible_id, person.pk
        current.save(update_fields=["responsible"])
        audit_log.record(
            "account:service:hand-over",
            actor=actor,
            target=current,
            before=str(before),
            after=str(person.pk),
        )
    return current


def give_to_team(*, actor: Actor, user: User, team: Group | None) -> User:
    """Let everyone in a group answer for a service account beside its person; None: nobody else.

    Without a change, nothing is written. Raises Forbidden, RecordInvalid.
    """
    with transaction.atomic():
        lock_users(user.pk)
        acquire_lock(ROLES)
        current: User | None = User.objects.filter(pk=user.pk).first()
        if current is None:
            raise RecordInvalid({"user": [_("This account does not exist any more.")]})
        if not current.is_service:
            raise RecordInvalid({"team": [_("Only service accounts have one.")]})
        require_rank(actor, current)
        _require_team(team)
        before, after = current.responsible_group_id, team.pk if team else None
        if before == after:
            return current
        current.responsible_group_id = after
        current.save(update_fields=["responsible_group_id"])
        audit_log.record(
            "account:service:team",
            actor=actor,
            target=current,
            before=_group_name(before),
            after=_group_name(after),
            before_id=str(before or ""),
            after_id=str(after or ""),
        )
    return current


def _require_team(team: Group | None) -> None:
    """Raise RecordInvalid for a group that was deleted meanwhile. Call under the lock of roles."""
    if team is not None and not Group.objects.filter(pk=team.pk).exists():
        raise RecordInvalid({"team": [_("This group does not exist any more.")]})


def _group_name(key: UUID | None) -> str:
    """A name, or the id of a deleted group; "" for none."""
    found = Group.objects.filter(pk=key).first() if key else None
    return found.name if found else str(key or "")


def uses_of_group(group: Group) -> list[GroupUse]:
    """The service accounts for which the group answers."""
    rows = User.objects.service_accounts().filter(responsible_group_id=group.pk)
    return [
        GroupUse(
            _("Service account “%(name)s”") % {"name": row.email},
            reverse("admin:accounts_serviceaccount_change", args=[row.pk]),
        )
        for row in rows.order_by("email")
    ]


def hand_over_all(*, actor: Actor, giver: User, taker: User) -> Handover:
    """Hand over every service account of `giver` that `actor` may manage.

    Raises RecordInvalid if `taker` cannot answer for one; nothing has changed then.
    """
    _require_answerable(taker)
    found = list(User.objects.service_accounts().filter(responsible=giver).order_by("pk"))
    return _hand_over_each(actor, found, taker)


def responsible_of(user: User) -> User | None:
    """The person who answers for a service account; None if the person was deleted."""
    found: User | None = User.objects.filter(pk=user.responsible_id).first()
    return found


def has_responsible(user: User) -> bool:
    """Whether somebody answers for it now: by the same rule as without_responsible()."""
    alone = User.objects.without_responsible(timezone.now())
    return not alone.filter(pk=user.pk).exists()


def answers_for(actor: Actor, user: User) -> bool:
    """Whether `actor` is the responsible person of a service account, or in its responsible group.

    Service accounts in the group do not count: a program answers for nothing.
    """
    if actor.pk is None:
        return False
    return User.objects.people().filter(pk=actor.pk).exists() and (
        actor.pk == user.responsible_id or user.responsible_group_id in _teams_of(actor.pk)
    )


def _teams_of(key: UUID) -> set[UUID]:
    rows = Membership.objects.filter(user=key).current(timezone.now())
    return set(rows.values_list("group_id", flat=True))


def answered_for_by(person: User) -> UserQuerySet:
    """The service accounts that the person answers for, alone or by a group, by their names."""
    own = Q(responsible=person) | Q(responsible_group_id__in=_teams_of(person.pk))
    found: UserQuerySet = User.objects.service_accounts().filter(own)
    return found.order_by("email")


def may_manage_keys(actor: Actor, user: User) -> bool:
    """Whether `actor` may create and revoke keys of a service account.

    Those who may manage it, and those who answer for it. The latter only up to their own role:
    otherwise a key would give them the rights of a higher one.
    """
    try:
        require_rank(actor, user)
    except Forbidden:
        return Role(actor.role).rank >= user.rank and answers_for(actor, user)
    return True


def _hand_over_each(actor: Actor, found: Iterable[User], taker: User) -> Handover:
    done, skipped = 0, []
    for user in found:
        try:
            hand_over(actor=actor, user=user, responsible=taker)
        except Forbidden:
            skipped.append(user.email)
        else:
            done += 1
    return Handover(done, tuple(skipped))


def _require_answerable(person: User | None) -> User:
    """The person as stored now. Raises RecordInvalid unless their account may act."""
    current: User | None = None if person is None else User.objects.filter(pk=person.pk).first()
    if current is None or current.is_service or not access_policy.may_act(current):
        text = _("Choose a person whose account is active.")
        raise RecordInvalid({"responsible": [text]})
    return current


def _username_errors(user: User) -> dict[str, list[str]]:
    """Errors of the name; sets it to its stored form, in both columns."""
    try:
        user.username = user.email = email_addresses.parse_username(user.username or "")
    except email_addresses.AddressError as error:
        return {"username": [_(str(error))]}
    if User.all_objects.filter(username=user.username).exists():
        return {"username": [_taken_text()]}
    problems = username_problems(user)
    return {"username": problems} if problems else {}


def _taken_text() -> str:
    return _("Another account has this user name.")
