"""Carries what a provider or the directory says about groups into memberships."""

from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import Group, User
from accounts.models.groups import DIRECTORY as DIRECTORY_SOURCE
from accounts.services.groups.sources import forget_groups_of_source, set_groups_of_source
from accounts.services.groups.uses import GroupUse
from accounts.services.users import lock_account
from audit import audit_log
from federation.group_mapping import MappedGroups
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.providers import SignInSource


def membership_source(source_id: str) -> str:
    """What Membership.source is called of a SignInSource."""
    return DIRECTORY_SOURCE if source_id == DIRECTORY else f"provider:{source_id}"


def update_groups(source_id: str, user: User, mapped: MappedGroups) -> bool:
    """Make the memberships of the source what it says; returns whether any has changed.

    Where it sent only some of its groups, the others stay as they are, and an audit row says why:
    no group is known to be lost, and a sign-in does not depend on it.
    """
    with transaction.atomic():
        if mapped.unknown:
            lock_account(user)  # in the order of locks: the audit row comes last
        is_changed = set_groups_of_source(
            user=user,
            source=membership_source(source_id),
            names=mapped.names,
            unknown=mapped.unknown,
        )
        if mapped.unknown:
            audit_log.record(
                "account:membership:keep", target=user, result="refused", provider=source_id,
                reason=mapped.reason[:300],
            )  # fmt: skip
    return is_changed


def forget_groups(source_id: str, user: User) -> bool:
    """The person has nothing to do with the source any more, so its groups go."""
    return forget_groups_of_source(user=user, source=membership_source(source_id))


def settings_with(group: Group) -> list[GroupUse]:
    """The providers, and the directory, whose settings map groups to this one."""
    return [
        GroupUse(f"{source.groups_setting} ({source.label})")
        for source in _sources()
        if group.name in source.groups.names
    ]


def _sources() -> list[SignInSource]:
    directory: Any = settings.LDAP
    found = [provider.source for provider in settings.SIGN_IN_PROVIDERS]
    return [*found, directory.source] if directory is not None else found
