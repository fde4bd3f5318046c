"""Managing people: every change of an account goes through here, whoever asks for it.

Panel, commands, bulk acts and later the API and imports call these functions. Each checks rank
with roles.can_manage(), keeps the last owner, writes its audit row in the same transaction and
kills old credentials where the change makes the account weaker.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import addresses, audit, gates
from accounts.actors import Actor
from accounts.errors import AccountGone, Forbidden, LastOwner, RecordInvalid
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import User
from accounts.outbox import enqueue_mail
from accounts.passwords import password_problems
from accounts.plain_text import clean_name
from accounts.roles import Role, can_give, can_manage
from accounts.services.directory_names import directory_problems
from accounts.services.sessions import end_access, end_sign_ins


@dataclass(frozen=True, slots=True)
class Profile:
    """What an operator may type about a person; None leaves a field as it is."""

    email: str | None = None
    username: str | None = None
    name: str | None = None


def require_rank(actor: Actor, user: User) -> None:
    """Raise Forbidden unless `actor` may act on `user`; nobody may on the anonymous user."""
    if user.is_built_in:
        raise Forbidden(_("The anonymous user belongs to the settings and cannot be changed."))
    if not can_manage(Role(actor.role), Role(user.role)):
        raise Forbidden(_("You may only manage people whose role is below your own."))


def require_rank_now(actor: Actor, user: User) -> None:
    """Hold the account, and ask require_rank() of the role that it has by now.

    For acts that end nothing by themselves when the role changes, such as handing out a way in:
    somebody may have been made an owner since the request came. In a transaction.
    """
    lock_people(user.pk)
    role = User.everyone.filter(pk=user.pk).values_list("role", flat=True).first()
    if role is None:
        raise RecordInvalid({"user": [_("This account does not exist any more.")]})
    user.role = role
    require_rank(actor, user)


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
) -> User:
    """Make an account. Raises RecordInvalid naming the fields, Forbidden for a role too high.

    verified: the address counts as proved (an operator vouches for it). Sends no mail.
    """
    if not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))
    user = User(email=email, username=username, name=name, role=role)
    check_new(user, password)
    if verified:
        user.email_verified_at = timezone.now()
    user.set_password(password)
    return save_new(user, actor=actor, source=source)


def check_new(user: User, password: str | None) -> None:
    """Bring the names of a new account into their stored form.

    Raises RecordInvalid with everything that is wrong: names that are taken, and a password that
    breaks a rule, too.
    """
    errors = _name_errors(user)
    problems = [] if password is None else password_problems(password, user)
    if problems:
        errors["password"] = problems
    if errors:
        raise RecordInvalid(errors)


def check_profile(user: User, profile: Profile) -> list[str]:
    """Put `profile` into `user`, unsaved; returns the names of what was given.

    Raises RecordInvalid with everything that is wrong.
    """
    given = {key: value for key in ("email", "username", "name")
             if (value := getattr(profile, key)) is not None}  # fmt: skip
    kept = (user.email, user.username)
    for field, value in given.items():
        setattr(user, field, value)
    errors = _name_errors(user, kept)
    if errors:
        raise RecordInvalid(errors)
    return sorted(given)


def save_new(user: User, *, actor: Actor | None, source: str) -> User:
    """Insert a clean new account with its audit row; RecordInvalid when a name is taken."""
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            audit.record(
                "account:user:create", actor=actor, target=user, role=user.role, source=source
            )
    except IntegrityError:
        raise RecordInvalid(_taken(user)) from None
    return user


def edit_profile(*, actor: Actor, user: User, profile: Profile) -> User:
    """Change address, user name or name of somebody of lower rank, or own user name and name.

    A new address typed by an operator counts as unproved, and both addresses are told.
    """
    if actor.pk != user.pk or user.is_built_in:
        require_rank(actor, user)
    elif profile.email is not None and profile.email != user.email:
        raise Forbidden(_("Change your own address on your account page."))
    old_email = user.email
    given = check_profile(user, profile)
    if user.email != old_email:
        user.email_verified_at = None
    try:
        with transaction.atomic():
            if actor.pk == user.pk:
                lock_people(user.pk)
            else:
                require_rank_now(actor, user)
            user.save(update_fields=["email", "username", "name", "email_verified_at"])
            if user.email != old_email:
                end_access(user, "address changed")
                tell_email_changed(user, old_email)
            audit.record("account:user:edit", actor=actor, target=user, fields=given)
    except IntegrityError:
        raise RecordInvalid(_taken(user)) from None
    return user


def change_role(*, actor: Actor, user: User, role: str) -> User:
    """Give `user` another role. Raises Forbidden, LastOwner. Ends his sessions and tokens."""
    with transaction.atomic():
        current = _locked(user)
        require_rank(actor, current)
        if not can_give(Role(actor.role), Role(role)):
            raise Forbidden(_("You may only give roles below your own."))
        if current.role == role:
            return current
        if role != Role.OWNER:
            _keep_last_owner(current)
        before, current.role = current.role, role
        current.save(update_fields=["role"])
        end_sign_ins(current, "role changed")
        audit.record("account:role:change", actor=actor, target=current, before=before, after=role)
    return current


def keep_role(*, actor: Actor, user: User, kept: bool) -> User:
    """Say whether sign-ins through providers leave the role of `user` alone. Raises Forbidden."""
    with transaction.atomic():
        current = _locked(user)
        require_rank(actor, current)
        if current.role_is_kept != kept:
            current.role_is_kept = kept
            current.save(update_fields=["role_is_kept"])
            audit.record("account:role:keep", actor=actor, target=current, kept=kept)
    return current


def disable_user(*, actor: Actor, user: User, reason: str = "") -> User:
    """Shut an account; undone by enable_user(). Raises Forbidden, LastOwner."""
    with transaction.atomic():
        current = _locked(user)
        require_rank(actor, current)
        if not current.is_active:
            return current
        _keep_last_owner(current)
        current.is_active = False
        current.save(update_fields=["is_active"])
        end_access(current, "disabled")
        audit.record("account:user:disable", actor=actor, target=current, reason=reason[:200])
    return current


def enable_user(*, actor: Actor, user: User) -> User:
    """Open a disabled account again. Its old sessions and tokens stay dead."""
    with transaction.atomic():
        current = _locked(user)
        require_rank(actor, current)
        if current.is_active:
            return current
        current.is_active = True
        current.save(update_fields=["is_active"])
        audit.record("account:user:enable", actor=actor, target=current)
    return current


def delete_user(*, actor: Actor, user: User) -> None:
    """Remove an account with all that belongs to it; the audit log keeps its bare id.

    Everybody may remove himself. Raises Forbidden, LastOwner.
    """
    with transaction.atomic():
        current = _locked(user)
        if actor.pk != current.pk or current.is_built_in:
            require_rank(actor, current)
        _keep_last_owner(current)
        key = current.pk
        end_access(current, "deleted")
        current.delete()
        current.pk = key
        audit.record("account:user:delete", actor=actor, target=current, role=current.role)


def tell_email_changed(user: User, old_email: str) -> None:
    """Mail both addresses that the account's address has changed (ASVS 6.3.7)."""
    for recipient in (old_email, user.email):
        enqueue_mail(
            kind="email-changed",
            recipient=recipient,
            user=user,
            context={"new_email": addresses.mask_email(user.email)},
        )


def _locked(user: User) -> User:
    """The row as it is now, while nobody else may change roles (last-owner rule)."""
    lock_people(user.pk)
    house_lock(ROLES)
    current: User | None = User.objects.filter(pk=user.pk).first()
    if current is None:
        raise RecordInvalid({"user": [_("This account does not exist any more.")]})
    return current


def is_last_owner(user: User) -> bool:
    """Is `user` the only owner who may act? To rely on the answer, ask under the roles lock."""
    owners = User.objects.active_owners()
    if not owners.filter(pk=user.pk).exists():
        return False
    return not any(gates.may_act(other) for other in owners.exclude(pk=user.pk))


def _keep_last_owner(user: User) -> None:
    """Raise LastOwner if `user`, just read under the roles lock, is the only active owner."""
    if user.role == Role.OWNER and is_last_owner(user):
        raise LastOwner


def _name_errors(user: User, kept: tuple[str, str | None] = ("", None)) -> dict[str, list[str]]:
    """What is wrong with address, user name and name, which get their stored form by this.

    kept: address and user name as they were, which may stay: the address may be a placeholder of
    ours, and the directory may have got a person of that name since.
    """
    errors: dict[str, list[str]] = {}
    try:
        if user.email != kept[0]:
            user.email = addresses.parse_email(user.email)
    except addresses.AddressError as error:
        errors["email"] = [_(str(error))]
    try:
        user.username = addresses.parse_username(user.username) if user.username else None
    except addresses.AddressError as error:
        errors["username"] = [_(str(error))]
    user.name = clean_name(user.name)
    errors = _names_of_others(user) | errors
    if "username" not in errors and user.username != kept[1]:
        problems = directory_problems(user)
        errors |= {"username": problems} if problems else {}
    return errors


def _taken(user: User) -> dict[str, list[str]]:
    return _names_of_others(user) or {"role": [_("This is no role.")]}


def _names_of_others(user: User) -> dict[str, list[str]]:
    """Which of the names of `user` other accounts have."""
    others: Any = User.objects.exclude(pk=user.pk)
    errors = {}
    if others.filter(email=user.email).exists():
        errors["email"] = [_("Another account has this address.")]
    if user.username and others.filter(username=user.username).exists():
        errors["username"] = [_("Another account has this user name.")]
    return errors


def gone_meanwhile(error: Exception, user: Any) -> AccountGone | None:
    """The refusal for `user` whose act failed because the account has been deleted since the gate.

    What he wrote would name a person that is not there any more, and the database takes none of it.
    None where the failure has another reason.
    """
    if not isinstance(error, DatabaseError | User.DoesNotExist) or not isinstance(user, User):
        return None
    with suppress(DatabaseError):
        return None if User.everyone.filter(pk=user.pk).exists() else AccountGone()
    return None
