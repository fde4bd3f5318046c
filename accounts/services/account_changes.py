"""Several changes of one account together: all happen, or none."""

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Any, NoReturn

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import Group, User
from accounts.services import service_accounts, users
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner
from accounts.services.ranks import require_rank
from accounts.services.users import Profile, lock_account
from accounts.services.verification import mark_verified
from core.errors import RecordInvalid
from core.locks import lock_users


@needs_second_owner(acts.CHANGE)
def change_account(*, actor: Actor, user: User, changes: Mapping[str, Any]) -> None:
    """Apply all changes or none. Values that are as they were change nothing.

    changes: of email, username, name ("" or None removes the last two), is_verified, role,
    role_until, role_after, expires_at, responsible_id and responsible_group_id (of a service
    account), is_active, role_locked. Raises RecordInvalid, and what the services of the changes
    raise.
    """
    with transaction.atomic():
        # First, so that every change takes its locks in the same order.
        lock_users(user.pk, changes.get("responsible_id"))
        current = lock_account(user)
        profile = changed_profile(current, changes)
        if changes.get("is_verified") is False and current.is_verified:
            _refuse_unverifying(actor, current, profile)
        if profile:
            users.edit_profile(actor=actor, user=current, profile=Profile(**profile))
        if changes.get("is_verified") and not current.is_verified:
            mark_verified(actor=actor, user=current)
        _change_access(actor, current, changes)


def changed_profile(user: User, changes: Mapping[str, Any]) -> dict[str, str]:
    """The changed values among address, user name and name; "" removes."""
    before = {"email": user.address, "username": user.username, "name": user.name}
    given = {name: changes[name] or "" for name in before if name in changes}
    return {name: value for name, value in given.items() if value != (before[name] or "")}


def _change_access(actor: Actor, user: User, changes: Mapping[str, Any]) -> None:
    role, until, then = _changed_role(user, changes)
    if (role, until, then) != (user.role, user.role_until, user.role_after):
        users.change_role(actor=actor, user=user, role=role, until=until, then=then)
    if changes.get("expires_at", user.expires_at) != user.expires_at:
        users.set_expiry(actor=actor, user=user, expires_at=changes["expires_at"])
    _hand_over(actor, user, changes)
    _give_to_team(actor, user, changes)
    if changes.get("is_active", user.is_active) != user.is_active:
        change = users.enable_user if changes["is_active"] else users.disable_user
        change(actor=actor, user=user)
    if changes.get("role_locked", user.role_locked) != user.role_locked:
        users.set_role_locked(actor=actor, user=user, locked=changes["role_locked"])


def _give_to_team(actor: Actor, user: User, changes: Mapping[str, Any]) -> None:
    key = changes.get("responsible_group_id", user.responsible_group_id)
    if key == user.responsible_group_id:
        return
    team = Group.objects.filter(pk=key).first() if key else None
    if key and team is None:
        raise RecordInvalid({"responsible_group_id": [_("There is no such group.")]})
    try:
        service_accounts.give_to_team(actor=actor, user=user, team=team)
    except RecordInvalid as error:
        texts = next(iter(error.errors.values()))
        raise RecordInvalid({"responsible_group_id": texts}) from None


def _hand_over(actor: Actor, user: User, changes: Mapping[str, Any]) -> None:
    key = changes.get("responsible_id", user.responsible_id)
    if key == user.responsible_id:
        return
    person: User | None = User.objects.filter(pk=key).first()
    try:
        service_accounts.hand_over(actor=actor, user=user, responsible=person)
    except RecordInvalid as error:
        raise RecordInvalid({"responsible_id": next(iter(error.errors.values()))}) from None


def _changed_role(user: User, changes: Mapping[str, Any]) -> tuple[str, datetime | None, str]:
    """Role, end, and role afterwards. A new role has the end that stands beside it, or none."""
    is_new = changes.get("role", user.role) != user.role
    before = (None, "") if is_new else (user.role_until, user.role_after)
    until = changes.get("role_until", before[0])
    then = changes.get("role_after", before[1] if until is not None else "")
    return changes.get("role", user.role), until, then


def _refuse_unverifying(actor: Actor, user: User, profile: dict[str, str]) -> NoReturn:
    """Raise RecordInvalid, including the errors of `profile`; Forbidden for a higher rank."""
    if actor.pk != user.pk:
        require_rank(actor, user)
    errors = {"is_verified": [_("A verified address cannot become unverified.")]}
    try:
        users.check_profile(copy(user), Profile(**profile))
    except RecordInvalid as error:
        errors = error.errors | errors
    raise RecordInvalid(errors)
