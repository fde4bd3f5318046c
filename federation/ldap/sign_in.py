"""The accounts of directory users: at their sign-in, and before a link is mailed to them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.actors import ANONYMOUS_ID, SYSTEM
from accounts.models import User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.accept_invitation import live_invitation
from accounts.services.anonymous import hand_over
from accounts.services.passwords import is_directory_managed_account
from accounts.services.signup import needs_first_admin
from accounts.services.users import change_role
from audit import audit_log
from core.locks import ROLES, acquire_lock, lock_users
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.connection import opened_as_service
from federation.ldap.dn import naming_context
from federation.ldap.failures import DirectoryError
from federation.ldap.users import DirectoryUser, describe, find_subject
from federation.models import ExternalIdentity
from federation.services.identities import (
    ExternalUserInfo,
    find_identity,
    profile_update_of,
    resolve_user,
)
from federation.services.profile_updates import held_user_ids, release_address, update_profile


def user_info_of(config: LDAPConfig, directory_user: DirectoryUser) -> ExternalUserInfo:
    """The directory user as an ExternalUserInfo."""
    claims: dict[str, Any] = {
        "groups": list(directory_user.groups.dns),
        "group_names": list(directory_user.groups.names),
        "authorization_filter": "met" if directory_user.is_admitted else "not met",
    }
    if directory_user.groups.is_incomplete:
        claims["_claim_names"] = {"groups": "", "group_names": ""}
    return ExternalUserInfo(
        subject=directory_user.subject,
        issuer=issuer_of(config, directory_user.subject),
        email=directory_user.email,
        # Without an address there is none to verify.
        email_verified=config.email_is_verified or not directory_user.email,
        name=directory_user.name,
        username=directory_user.username,
        claims={PROVIDER: claims},
        disabled=directory_user.disabled_reason.reason if directory_user.disabled_reason else "",
    )


def issuer_of(config: LDAPConfig, subject: str) -> str:
    """The directory that assigned `subject`; "" for ids that are globally unique (entryUUID).

    Values of LDAP_ID, such as staff numbers, may repeat in another directory.
    """
    return naming_context(config.base_dn) if subject.startswith("id:") else ""


def sign_in(config: LDAPConfig, directory_user: DirectoryUser) -> User:
    """The account of an authenticated directory user. Raises as resolve_user().

    An address never connects to the account of an administrator, or of another directory user:
    otherwise anyone who can edit addresses in the directory could take those accounts over.
    """
    info = user_info_of(config, directory_user)
    existing = User.objects.filter(email=info.email).first() if info.email else None
    is_new = existing is not None and find_identity(config.source, info) is None
    if (
        existing is not None
        and is_new
        and _release_from_former_holder(config, directory_user, existing)
    ):
        existing = None
    if existing is not None and _is_protected(existing):
        info = replace(info, email_verified=False)
    return _become_first_owner(config, directory_user, resolve_user(config.source, info))


def managed_user_ids(users: Iterable[User]) -> set[Any]:
    """Keys of those of `users` that the directory manages; empty without a directory."""
    if settings.LDAP is None:
        return set()
    rows = ExternalIdentity.objects.filter(provider=PROVIDER, user__in=list(users))
    return set(rows.values_list("user_id", flat=True))


def why_no_links(emails: Iterable[str]) -> dict[Any, str]:
    """Key of each directory account with one of these addresses -> why it gets no link, or "".

    Queries the directory, because it may have disabled the account or reassigned the address.
    Applies profile changes that it reports.
    """
    config: LDAPConfig | None = settings.LDAP
    if config is None:
        return {}
    rows = ExternalIdentity.objects.filter(provider=PROVIDER, user__email__in=list(emails))
    return {
        identity.user_id: _why_no_link(config, identity) for identity in rows.select_related("user")
    }


def _why_no_link(config: LDAPConfig, identity: ExternalIdentity) -> str:
    try:
        directory_user = look_up(config, identity)
    except DirectoryError as error:
        return error.code
    if directory_user is None:
        return "not in the directory any more"
    if directory_user.disabled_reason is not None:
        return directory_user.disabled_reason.reason
    if not directory_user.is_admitted:
        return "not admitted by the directory"
    before = identity.user.email
    with transaction.atomic():
        if not _lock_user(identity):
            return "no account"
        update_profile(
            identity, profile_update_of(config.source, user_info_of(config, directory_user))
        )
    is_same = identity.user.email == before and not held_user_ids([identity.user])
    return "" if is_same else "the address has changed in the directory"


def look_up(config: LDAPConfig, identity: ExternalIdentity) -> DirectoryUser | None:
    """The current entry of a known identity, or None. Raises DirectoryError."""
    if identity.issuer != issuer_of(config, identity.subject):
        return None
    with opened_as_service(config) as connection:
        entry = find_subject(connection, config, identity.subject)
        return next(describe(connection, config, [entry])) if entry else None


def _release_from_former_holder(
    config: LDAPConfig, directory_user: DirectoryUser, holder: User
) -> bool:
    """Did the directory reassign the address of `directory_user` from `holder`?

    If so, the account of the holder changes to their current address, or to a placeholder.
    """
    identity = holder.identities.select_related("user").filter(provider=PROVIDER).first()
    if identity is None or identity.subject == directory_user.subject:
        return False
    if identity.issuer != issuer_of(config, identity.subject):
        return False  # of another directory, which cannot be queried any more
    known = look_up(config, identity)
    if known is not None and known.email == directory_user.email:
        return False
    with transaction.atomic():
        if not _lock_user(identity):
            return True
        if known is not None:
            update_profile(identity, profile_update_of(config.source, user_info_of(config, known)))
        if identity.user.email != directory_user.email:
            return True
        # Entries in the directory must not take the address of an administrator.
        if holder.role in ADMIN_ROLES:
            return False
        release_address(identity)
    return True


def _lock_user(identity: ExternalIdentity) -> bool:
    """Lock the user and read their current state; False if they were deleted."""
    lock_users(identity.user_id)
    user = User.objects.filter(pk=identity.user_id).first()
    if user is None:
        return False
    identity.user = user
    return True


def _is_protected(user: User) -> bool:
    """Must no address of the directory connect to this account?

    True for administrators, those invited to become one, and users of the directory.
    """
    if user.role in ADMIN_ROLES or is_directory_managed_account(user):
        return True
    invitation = None if user.is_verified else live_invitation(user.email, lock=False)
    return invitation is not None and invitation.role in ADMIN_ROLES


def _become_first_owner(config: LDAPConfig, directory_user: DirectoryUser, user: User) -> User:
    """Make LDAP_ADMIN_USERNAME owner while there is none; this removes the default owner."""
    if not user.is_active or not is_first_owner(config, directory_user):
        return user
    with transaction.atomic():
        owners = User.objects.filter(role=Role.OWNER, setup_completed=False)
        unclaimed = list(owners.values_list("pk", flat=True))
        lock_users(user.pk, ANONYMOUS_ID, *unclaimed)
        acquire_lock(ROLES)
        if not is_first_owner(config, directory_user):
            return user
        is_first = needs_first_admin()
        _replace_default_owner(user, directory_user.username, unclaimed)
        user = change_role(actor=SYSTEM, user=user, role=Role.OWNER)
        if is_first:
            hand_over(user)
        audit_log.record("account:set-up:complete", actor=user, target=user, source=PROVIDER)
    return user


def is_first_owner(config: LDAPConfig, directory_user: DirectoryUser) -> bool:
    """Is this LDAP_ADMIN_USERNAME, while no user is owner?"""
    wanted = config.admin_username.casefold()
    if not wanted or directory_user.username.casefold() != wanted:
        return False
    return not User.objects.people().filter(role=Role.OWNER).exists()


def _replace_default_owner(user: User, username: str, unclaimed: list[Any]) -> None:
    """Delete the unclaimed default owner, whose set-up link would create a second owner.

    `user` gets the user name that it reserved.
    """
    for default in User.objects.filter(pk__in=unclaimed, role=Role.OWNER, setup_completed=False):
        key, name = default.pk, default.username
        default.delete()
        default.pk = key
        audit_log.record("account:user:delete", actor=SYSTEM, target=default, role=default.role)
        if user.username is None and name == username.casefold():
            user.username = name
            user.save(update_fields=["username"])
