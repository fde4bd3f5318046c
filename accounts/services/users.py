"""Managing users. Pages, the admin, commands and the API change accounts through these functions.

Each checks the actor's role with roles.can_manage(), protects the last owner, writes its audit row
in the same transaction, and revokes credentials where the change takes rights away.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import username_problems
from accounts.actors import SYSTEM, Actor
from accounts.models import ProfileChange, User
from accounts.passwords import password_problems
from accounts.roles import Role, can_give
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.end_dates import (
    Subject,
    account_ends,
    audit_time,
    check_end,
    check_role_end,
    end_details,
    exact_audit_time,
    gives_more,
    is_later_end,
    skip_passed_reminders,
)
from accounts.services.ranks import (
    require_rank,
    require_rank_now,
    require_rank_or_self,
    require_role_of_kind,
)
from accounts.services.sessions import revoke_credentials, revoke_sessions
from audit import audit_log
from core.errors import Forbidden, LastOwner, RecordInvalid, UserDeleted
from core.locks import ROLES, acquire_lock, lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name
from core.text.time_zones import zone_names
from mail.outbox import enqueue_mail


@dataclass(frozen=True, slots=True)
class Profile:
    """The editable fields of a user; None leaves a field as it is.

    time_zone: a name of core.text.time_zones; "" for that of the server. language: a code of
    settings.LANGUAGES.
    """

    email: str | None = None
    username: str | None = None
    name: str | None = None
    time_zone: str | None = None
    language: str | None = None


@needs_second_owner(acts.CREATE)
def create_user(
    *,
    actor: Actor,
    email: str,
    role: str = Role.VIEWER,
    name: str = "",
    username: str | None = None,
    password: str | None = None,
    verified: bool = False,
    source: str = "operator",
    expires_at: datetime | None = None,
    role_until: datetime | None = None,
    role_after: str = "",
) -> User:
    """Create an account. Raises RecordInvalid, or Forbidden for a role that is too high.

    verified: the address counts as verified, because an administrator confirms it. expires_at: the
    end of the account; role_until, role_after: see change_role(). Sends no mail.
    """
    if not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))
    user = User(
        email=email,
        username=username,
        name=name,
        role=role,
        expires_at=expires_at,
        role_until=role_until,
        role_after=role_after,
    )
    check_new(user, password, actor=actor)
    if verified:
        user.email_verified_at = timezone.now()
    require_second_owner(actor, user, gives=role, raises_power=True)
    user.set_password(password)
    return save_new(user, actor=actor, source=source)


def check_new(user: User, password: str | None, *, actor: Actor = SYSTEM) -> None:
    """Validate a new account, and set its names to their stored form.

    Raises RecordInvalid with all errors, including those of taken names, of the password and of
    the ends. actor: who gives the role that follows.
    """
    errors = _name_errors(user)
    problems = [] if password is None else password_problems(password, user)
    if problems:
        errors["password"] = problems
    errors |= _end_errors(user, actor)
    if errors:
        raise RecordInvalid(errors)


def _end_errors(user: User, actor: Actor) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    now = timezone.now()
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_end("expires_at", user.expires_at, now),
        lambda: check_role_end(actor, user.role, user.role_until, user.role_after, now),
    )
    for check in checks:
        try:
            check()
        except RecordInvalid as error:
            errors |= error.errors
    return errors


def check_profile(user: User, profile: Profile) -> list[str]:
    """Set the fields of `profile` on `user` without saving; returns the names of these fields.

    Raises RecordInvalid with all errors.
    """
    changes = {key: value for key in ("email", "username", "name", "time_zone", "language")
               if (value := getattr(profile, key)) is not None}  # fmt: skip
    previous = (user.email, user.username)
    errors = _fixed_names(user, changes)
    for field, value in changes.items():
        setattr(user, field, value)
    errors = errors or _name_errors(user, previous)
    if profile.time_zone and profile.time_zone not in zone_names():
        errors["time_zone"] = [_("Choose a time zone of the list.")]
    if profile.language and profile.language not in dict(settings.LANGUAGES):
        errors["language"] = [_("Choose a language of the list.")]
    if errors:
        raise RecordInvalid(errors)
    return sorted(changes)


def _fixed_names(user: User, changes: dict[str, Any]) -> dict[str, list[str]]:
    """Errors for a service account, whose name never changes, and which has no address."""
    if not user.is_service:
        return {}
    errors = {}
    if changes.get("email", user.email) != user.email:
        errors["email"] = [_("A service account has no address.")]
    if changes.get("username", user.username) != user.username:
        errors["username"] = [_("The name of a service account cannot be changed.")]
    return errors


def save_new(user: User, *, actor: Actor | None, source: str) -> User:
    """Insert a validated account with its audit row. Raises RecordInvalid for a taken name."""
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            now = timezone.now()
            skip_passed_reminders(user, Subject.ACCOUNT, user.expires_at, now)
            skip_passed_reminders(user, Subject.ROLE, user.role_until, now)
            audit_log.record(
                "account:user:create",
                actor=actor,
                target=user,
                role=user.role,
                source=source,
                **account_ends(user),
            )
    except IntegrityError:
        raise RecordInvalid(_constraint_errors(user)) from None
    return user


@needs_second_owner(acts.EDIT, types=(Profile,))
def edit_profile(*, actor: Actor, user: User, profile: Profile) -> User:
    """Change the names of a user with a lower role, or one's own user name and name.

    A new address counts as unverified, and both addresses are notified.
    """
    require_rank_or_self(actor, user)
    if actor.pk == user.pk and profile.email is not None and profile.email != user.email:
        raise Forbidden(_("Change your own address on your account page."))
    old_email, old_names = user.email, names_of(user)
    fields = check_profile(user, profile)
    if user.email != old_email:
        user.email_verified_at = None
    try:
        with transaction.atomic():
            if actor.pk == user.pk:
                lock_users(user.pk)
            else:
                require_rank_now(actor, user)
            if user.email != old_email:
                require_second_owner(actor, user)
            user.save(
                update_fields=[
                    "email", "username", "name", "time_zone", "language", "email_verified_at"
                ]
            )  # fmt: skip
            if user.email != old_email:
                revoke_credentials(user, "address changed")
                notify_email_changed(user, old_email)
            event = audit_log.record("account:user:edit", actor=actor, target=user, fields=fields)
            new_names = names_of(user)
            audit_log.when_numbered(lambda: _store_names(event.seq, user, old_names, new_names))
    except IntegrityError:
        raise RecordInvalid(_constraint_errors(user)) from None
    return user


def _store_names(seq: int, user: User, before: dict[str, str], after: dict[str, str]) -> None:
    ProfileChange.objects.create(event=seq, user=user, before=before, after=after)


def names_of(user: User) -> dict[str, str]:
    """What edit_profile() changes and undo restores; not the address."""
    return {"username": user.username or "", "name": user.name, "time_zone": user.time_zone}


@needs_second_owner(acts.ROLE)
def change_role(
    *,
    actor: Actor,
    user: User,
    role: str,
    until: datetime | None = None,
    then: str = "",
    reason: str = "",
) -> User:
    """Give `user` a role, for good or until a time, and revoke their sessions if it is another.

    until: afterwards the role is `then`, a lower one. Without it the role has no end. reason: for
    the audit log. Raises Forbidden, LastOwner, RecordInvalid.
    """
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        if not can_give(Role(actor.role), Role(role)):
            raise Forbidden(_("You may only give roles below your own."))
        require_role_of_kind(current, role)
        now = timezone.now()
        check_role_end(actor, role, until, then, now)
        if (current.role, current.role_until, current.role_after) == (role, until, then):
            return current
        if role != Role.OWNER or until is not None:
            _keep_last_owner(current)
        raises_power = gives_more(current, role, until, then)
        require_second_owner(actor, current, gives=role, raises_power=raises_power)
        before, before_end = current.ended_role or current.role, _end_before(current)
        current.role, current.role_until, current.role_after = role, until, then
        current.ended_role = ""
        current.save(update_fields=["role", "role_until", "role_after"])
        skip_passed_reminders(current, Subject.ROLE, until, now)
        if before != role:
            revoke_sessions(current, "role changed")
        audit_log.record(
            "account:role:change" if until is None else "account:role:limit",
            actor=actor,
            target=current,
            before=before,
            after=role,
            **end_details(until, then),
            **before_end,
            **({"reason": reason} if reason else {}),
        )
    return current


def _end_before(user: User) -> dict[str, Any]:
    """The end of the role that is replaced, for the audit log; exact, so that undo restores it."""
    if user.role_until is None:
        return {}
    return {"before_until": exact_audit_time(user.role_until), "before_then": user.role_after}


@needs_second_owner(acts.EXPIRY)
def set_expiry(*, actor: Actor, user: User, expires_at: datetime | None) -> User:
    """Set when the access of `user` ends by itself; None for never.

    A disabled account stays disabled. Raises Forbidden, LastOwner, RecordInvalid.
    """
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        if current.expires_at == expires_at:
            return current
        now = timezone.now()
        check_end("expires_at", expires_at, now)
        if expires_at is not None:
            _keep_last_owner(current)
        is_later = is_later_end(expires_at, current.expires_at)
        require_second_owner(actor, current, raises_power=is_later)
        details: dict[str, Any] = {}
        if current.expires_at is not None:
            details["before"] = exact_audit_time(current.expires_at)
        current.expires_at = expires_at
        current.save(update_fields=["expires_at"])
        skip_passed_reminders(current, Subject.ACCOUNT, expires_at, now)
        if expires_at is not None:
            details["until"] = audit_time(expires_at)
        action = "account:expiry:clear" if expires_at is None else "account:expiry:set"
        audit_log.record(action, actor=actor, target=current, **details)
    return current


@needs_second_owner(acts.ROLE_LOCK)
def set_role_locked(*, actor: Actor, user: User, locked: bool) -> User:
    """Set whether sign-ins through providers leave the role of `user` alone. Raises Forbidden."""
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        if current.role_locked != locked:
            require_second_owner(actor, current)
            current.role_locked = locked
            current.save(update_fields=["role_locked"])
            audit_log.record("account:role:keep", actor=actor, target=current, kept=locked)
    return current


@needs_second_owner(acts.DISABLE)
def disable_user(*, actor: Actor, user: User, reason: str = "") -> User:
    """Disable an account and revoke its credentials. Raises Forbidden, LastOwner."""
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        if not current.is_active:
            return current
        _keep_last_owner(current)
        require_second_owner(actor, current)
        current.is_active = False
        current.save(update_fields=["is_active"])
        revoke_credentials(current, "disabled")
        audit_log.record("account:user:disable", actor=actor, target=current, reason=reason[:200])
    return current


@needs_second_owner(acts.ENABLE)
def enable_user(*, actor: Actor, user: User) -> User:
    """Enable a disabled account. Its old sessions and tokens stay invalid.

    An end that has passed is removed, because it would refuse the account at once.
    """
    with transaction.atomic():
        current = lock_account(user)
        require_rank(actor, current)
        if current.is_active:
            return current
        require_second_owner(actor, current, raises_power=True)
        current.is_active = True
        if current.is_expired(timezone.now()):
            current.expires_at = None
        current.save(update_fields=["is_active", "expires_at"])
        audit_log.record("account:user:enable", actor=actor, target=current)
    return current


@needs_second_owner(acts.DELETE)
def delete_user(*, actor: Actor, user: User) -> None:
    """Delete an account and everything that belongs to it; the audit log keeps its id.

    `user` may be the actor. Raises Forbidden, LastOwner.
    """
    with transaction.atomic():
        current = lock_account(user)
        require_rank_or_self(actor, current)
        _keep_last_owner(current)
        require_second_owner(actor, current)
        key = current.pk
        revoke_credentials(current, "deleted")
        current.delete()
        current.pk = key
        audit_log.record("account:user:delete", actor=actor, target=current, role=current.role)


def notify_email_changed(user: User, old_email: str) -> None:
    """Notify both addresses of a changed address (ASVS 6.3.7)."""
    for recipient in (old_email, user.email):
        enqueue_mail(
            kind="email-changed",
            recipient=recipient,
            user=user,
            context={"new_email": email_addresses.mask_email(user.email)},
        )


def lock_account(user: User) -> User:
    """The current row, with the account and the roles locked (for the last-owner rule).

    Raises RecordInvalid for a deleted account.
    """
    lock_users(user.pk)
    acquire_lock(ROLES)
    current: User | None = User.objects.filter(pk=user.pk).first()
    if current is None:
        raise RecordInvalid({"user": [_("This account does not exist any more.")]})
    return current


def is_last_owner(user: User) -> bool:
    """Whether `user` is the only owner who may act, now and without an end.

    An owner whose role or access ends by itself does not count: no owner would be left then.
    Reliable only under the lock of roles.
    """
    owners = User.objects.active_owners()
    if not owners.filter(pk=user.pk).exists():
        return False
    return not any(access_policy.may_act(other) for other in owners.exclude(pk=user.pk))


def _keep_last_owner(user: User) -> None:
    """Raise LastOwner if `user`, read under the lock of roles, is the only owner who may act."""
    if user.role == Role.OWNER and is_last_owner(user):
        raise LastOwner


def _name_errors(user: User, previous: tuple[str, str | None] = ("", None)) -> dict[str, list[str]]:
    """Errors of address, user name and name; sets each to its stored form.

    previous: address and user name before the change. They may stay even if they would be refused
    now: the address may be a placeholder, and the directory may have a user of that name since.
    """
    errors: dict[str, list[str]] = {}
    try:
        if user.email != previous[0]:
            user.email = email_addresses.parse_email(user.email)
    except email_addresses.AddressError as error:
        errors["email"] = [_(str(error))]
    try:
        user.username = email_addresses.parse_username(user.username) if user.username else None
    except email_addresses.AddressError as error:
        errors["username"] = [_(str(error))]
    user.name = clean_name(user.name)
    errors = _taken_names(user) | errors
    if "username" not in errors and user.username != previous[1]:
        problems = username_problems(user)
        errors |= {"username": problems} if problems else {}
    return errors


def _constraint_errors(user: User) -> dict[str, list[str]]:
    """Which field of `user` violated a constraint of the database."""
    return _taken_names(user) or {"role": [_("This is not a role.")]}


def _taken_names(user: User) -> dict[str, list[str]]:
    """Errors for those names of `user` that other accounts have."""
    others: Any = User.objects.exclude(pk=user.pk)
    errors = {}
    if others.filter(email=user.email).exists():
        errors["email"] = [_("Another account has this address.")]
    if user.username and others.filter(username=user.username).exists():
        errors["username"] = [_("Another account has this user name.")]
    return errors


def gone_meanwhile(error: Exception, user: Any) -> UserDeleted | None:
    """UserDeleted if `error` was raised because `user` has been deleted during the request.

    Rows that refer to the user then violate a foreign key. None if there is another cause.
    """
    if not isinstance(error, DatabaseError | User.DoesNotExist) or not isinstance(user, User):
        return None
    with suppress(DatabaseError):
        return None if User.all_objects.filter(pk=user.pk).exists() else UserDeleted()
    return None
