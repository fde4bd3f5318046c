"""Accounts that a client of SCIM creates, changes and deletes.

Everything goes through the services of accounts, so ranks, locks and audit rows are theirs. Beyond
them, SCIM never touches an owner, whoever its key belongs to.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from accounts.services import users
from accounts.services.account_changes import change_account
from accounts.services.groups.sources import change_members_of_source
from accounts.services.ranks import require_rank
from accounts.services.users import lock_account
from audit import audit_log
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock
from scim.errors import InvalidValue, Uniqueness
from scim.models import ScimUser
from scim.resources import SOURCE, Resource, record_of, user_resource, visible_users
from scim.services.roles import default_role, sync_role
from scim.services.versions import require_version
from scim.values import UserValues, user_values

Change = Callable[[Resource], Resource]
# Fields of an account, and the attributes in which a client sends them.
ATTRIBUTES = {"email": "emails", "username": "userName", "name": "displayName"}
TAKEN = "Another user has this userName or address."


def find_user(user_id: UUID) -> User:
    """A user of SCIM. Raises NotFound."""
    found: User | None = visible_users().filter(pk=user_id).first()
    if found is None:
        raise NotFound
    return found


def create_user(*, actor: User, resource: Resource) -> User:
    """Create an account without a password; or take up the one that the client has deleted.

    The account comes back for the same userName and externalId alone: an address may have a new
    owner. The address counts as verified, as if an administrator had confirmed it. Raises
    InvalidValue, Uniqueness, Forbidden.
    """
    values = user_values(resource, {})
    released = ScimUser.objects.filter(
        key=values.key, external_id=values.external_id, released_at__isnull=False
    ).exclude(external_id="")
    deleted = released.select_related("user").first()
    if deleted is not None:
        return _restore(actor, deleted.user, values)
    with transaction.atomic():
        acquire_lock(ROLES)
        _require_free(values, None)
        try:
            user = users.create_user(
                actor=actor,
                email=values.email,
                role=default_role(actor),
                name=values.name,
                username=values.username,
                verified=True,
                source=SOURCE,
            )
        except RecordInvalid as error:
            _require_free(values, None)
            raise _invalid(error) from None
        _save_record(actor, user, values)
        if values.active is False:
            users.disable_user(actor=actor, user=user, reason=SOURCE)
    return find_user(user.pk)


def _restore(actor: User, user: User, values: UserValues) -> User:
    """Bring back a user whom the client has deleted, with what it says now."""
    with transaction.atomic():
        current = lock_account(user)
        require_manageable(actor, current)
        record = record_of(current)
        if record is None or record.released_at is None:
            raise Uniqueness(TAKEN)
        _store(actor, current, values._replace(active=values.active is not False))
    return find_user(user.pk)


def change_user(*, actor: User, user_id: UUID, change: Change, if_match: str = "") -> User:
    """Make the account what `change` makes of its resource; all of it, or nothing.

    Raises NotFound, Forbidden, LastOwner, PreconditionFailed, InvalidValue, Uniqueness, and what
    `change` raises.
    """
    with transaction.atomic():
        lock_account(find_user(user_id))
        current = find_user(user_id)
        require_manageable(actor, current)
        before = user_resource(current)
        require_version(before, if_match)
        _store(actor, current, user_values(change(before), before))
    return find_user(user_id)


def delete_user(*, actor: User, user_id: UUID, if_match: str = "") -> None:
    """Disable the account, take it out of the groups of SCIM, and show it to SCIM no more.

    The account and its history stay, for an administrator to delete. Raises NotFound, Forbidden,
    PreconditionFailed.
    """
    with transaction.atomic():
        lock_account(find_user(user_id))
        current = find_user(user_id)
        require_manageable(actor, current)
        before = user_resource(current)
        require_version(before, if_match)
        values = user_values(before, before)
        record = record_of(current) or _record_for(current, values)
        record.released_at = timezone.now()
        record.save()
        groups = [row.group for row in current.memberships.filter(source=SOURCE)
                  .select_related("group").order_by("group__name")]  # fmt: skip
        users.disable_user(actor=actor, user=current, reason=SOURCE)
        for group in groups:
            change_members_of_source(actor=actor, group=group, source=SOURCE, removed=[current])
        audit_log.record("scim:user:release", actor=actor, target=current)


def require_manageable(actor: User, user: User) -> None:
    """Raise Forbidden for an owner, and unless `actor` may manage `user`."""
    if user.role == Role.OWNER:
        raise Forbidden("SCIM does not change owners.")
    require_rank(actor, user)


def _store(actor: User, user: User, values: UserValues) -> None:
    """Write everything that differs. The account is locked."""
    _require_free(values, user)
    _save_record(actor, user, values)
    changes: dict[str, object] = {"name": values.name}
    if values.email != user.email:
        changes |= {"email": values.email, "is_verified": True}
    if values.username is not None:
        changes["username"] = values.username
    if values.active is not None:
        changes["is_active"] = values.active
    try:
        change_account(actor=actor, user=user, changes=changes)
    except RecordInvalid as error:
        _require_free(values, user)
        raise _invalid(error) from None
    sync_role(actor, user)


def _save_record(actor: User, user: User, values: UserValues) -> None:
    """What SCIM alone knows. An audit row says which of it has changed, without the values."""
    before = record_of(user)
    record = _record_for(user, values)
    fields = [
        name
        for name in (
            "user_name",
            "external_id",
            "given_name",
            "family_name",
            "has_name",
            "is_primary",
        )
        if before is None or getattr(before, name) != getattr(record, name)
    ]
    is_new = before is None or before.released_at is not None
    if not fields and not is_new:
        return
    try:
        with transaction.atomic():
            record.save()
    except IntegrityError:
        raise Uniqueness(TAKEN) from None
    if is_new:
        audit_log.record("scim:user:link", actor=actor, target=user)
    else:
        audit_log.record("scim:user:change", actor=actor, target=user, fields=fields)
    user.refresh_from_db()


def _record_for(user: User, values: UserValues) -> ScimUser:
    before = record_of(user)
    created_at = timezone.now() if before is None else before.created_at
    return ScimUser(
        user=user,
        user_name=values.user_name,
        key=values.key,
        external_id=values.external_id,
        given_name=values.given_name,
        family_name=values.family_name,
        has_name=values.has_name,
        is_primary=values.is_primary,
        created_at=created_at,
    )


def _require_free(values: UserValues, user: User | None) -> None:
    """Raise Uniqueness if another account has one of the names. Call under the lock of roles."""
    key: Any = None if user is None else user.pk
    others = User.all_objects.exclude(pk=key)
    taken = (
        ScimUser.objects.exclude(pk=key).filter(key=values.key),
        others.filter(email=values.email),
        others.filter(email=values.key, scim=None),
        others.filter(username=values.username or "", username__isnull=False),
    )
    if any(rows.exists() for rows in taken):
        raise Uniqueness(TAKEN)


def _invalid(error: RecordInvalid) -> InvalidValue:
    texts = (
        f"{ATTRIBUTES.get(field, field)}: {' '.join(messages)}"
        for field, messages in error.errors.items()
    )
    return InvalidValue("; ".join(texts))
