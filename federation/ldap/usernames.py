"""User names of the directory, which a local account must not take from its user."""

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import User
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.connection import opened_as_service
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.users import describe, find_entry


def directory_problems(user: User) -> list[str]:
    """Problems of the user name of `user`: another directory user has it, or the directory does not
    answer. Empty without a directory or a user name."""
    config: LDAPConfig | None = settings.LDAP
    if config is None or not user.username:
        return []
    try:
        is_taken = _belongs_to_another(config, user, user.username)
    except DirectoryError:
        return [_("The directory (LDAP) does not answer. Whether it has this name is not known.")]
    return [_("A directory (LDAP) user has this name.")] if is_taken else []


def _belongs_to_another(config: LDAPConfig, user: User, name: str) -> bool:
    with opened_as_service(config) as connection:
        entry = find_entry(connection, config, name)
        if isinstance(entry, Failures):
            return entry is Failures.SEVERAL_HITS
        directory_user = next(describe(connection, config, [entry]))
    return not user.identities.filter(provider=PROVIDER, subject=directory_user.subject).exists()
