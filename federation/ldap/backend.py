"""Sign-in with the directory's password: django-auth-ldap, on connections and accounts of ours.

The name of a local account with a password is never sent to the directory, and users of the
directory have no local password. So an owner with a local password can sign in while the directory
is down.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.dispatch import receiver
from django.http import HttpRequest
from django_auth_ldap import backend as django_auth_ldap
from django_auth_ldap.config import LDAPSearch

from accounts.backends import AccountBackend
from accounts.models import User, login_column
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.services.passwords import MAX_LOGIN_LENGTH, is_directory_managed_account
from accounts.sign_in.methods import SignInMethod
from core import sql
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.connection import (
    SUBTREE,
    Connection,
    Entry,
    directory_error,
    opened,
    opened_as_service,
)
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import sign_in
from federation.ldap.users import DirectoryUser, attributes, describe, find_entry
from federation.paused import DirectoryOff, is_paused

logger = logging.getLogger("gatehouse.directory")


class UserSearch(LDAPSearch):
    """The search for the one entry of a login name."""

    # Why the last search found no single entry.
    failure: Failures | None = None

    def __init__(self, config: LDAPConfig) -> None:
        super().__init__(config.base_dn, SUBTREE, str(config.user_filter))
        self.config = config

    def execute(
        self, connection: Connection, filterargs: Mapping[str, str], escape: bool = True
    ) -> Sequence[Entry]:
        """At most one entry, with octets as values; always escapes. Raises DirectoryError."""
        found = find_entry(connection, self.config, filterargs["user"])
        if isinstance(found, Entry):
            return [found]
        self.failure = found
        if found is Failures.SEVERAL_HITS:
            logger.warning("sign-in refused: %s", found.value.text)
        return []


class LDAPBackend(AccountBackend, django_auth_ldap.LDAPBackend):
    """Searches for the user, binds with their password, and maps entry and groups to an account.

    Raises DirectoryError if the directory is unavailable; after a right password RoleRequired,
    AccountExists, RegistrationClosed.
    """

    method = SignInMethod.LDAP
    # django-auth-ldap must open no connection of its own: it would have no time limit.
    ldap = None

    @property
    def config(self) -> LDAPConfig:
        """The directory. No attribute, because django-auth-ldap lets backends be pickled."""
        if settings.LDAP is None:
            raise ImproperlyConfigured("LDAPBackend is listed, but LDAP_URL is not set.")
        return settings.LDAP

    @property
    def default_settings(self) -> dict[str, Any]:
        """django-auth-ldap's settings AUTH_LDAP_*, from ours."""
        return {
            "BIND_DN": self.config.bind_dn,
            "BIND_PASSWORD": self.config.bind_password,
            "USER_SEARCH": UserSearch(self.config),
            # sign_in() has saved the user, under a lock.
            "ALWAYS_UPDATE_USER": False,
        }

    def find_user(self, request: HttpRequest | None, login: str, password: str) -> User | None:
        """None for a wrong password, an unknown name and a local one, after the same work.

        None for everyone, and nothing is asked, while the directory is switched off.
        """
        if not password or len(password) > MAX_PASSWORD_LENGTH or is_paused(PROVIDER):
            return None
        if is_local_account(login):
            with _logged(), opened_as_service(self.config) as connection:
                find_entry(connection, self.config, login)
                _bind_as_unknown_user(connection, self.config)
            return None
        user: User | None = django_auth_ldap.LDAPBackend.authenticate(
            self, request, username=login, password=password
        )
        return user

    def authenticate_ldap_user(self, ldap_user: Any, password: str) -> User | None:
        """Search and bind on one connection, which is closed before this returns."""
        with _logged(), opened(self.config) as connection:
            ldap_user._connection = connection
            if ldap_user.dn is None:
                _bind_as_unknown_user(connection, self.config)
                return None
            return self.verify_password(ldap_user, password)

    def verify_password(self, ldap_user: Any, password: str) -> User | None:
        """Bind as the entry that was found; then get_or_build_user() is called."""
        user: User | None = ldap_user.authenticate(password)
        return user

    def get_or_build_user(self, _username: str, ldap_user: Any) -> tuple[User, bool]:
        """The account of a user whose password was right."""
        return self.account_of(_read(ldap_user, self.config)), False

    def account_of(self, directory_user: DirectoryUser) -> User:
        """See federation.ldap.sign_in.sign_in(). Raises DirectoryOff."""
        if is_paused(PROVIDER):
            raise DirectoryOff
        return sign_in(self.config, directory_user)


@receiver(django_auth_ldap.ldap_error)
def raise_directory_error(sender: type, exception: Exception, **_details: Any) -> None:
    """Tell an error of the directory from a wrong password; django-auth-ldap only logs it."""
    if issubclass(sender, LDAPBackend):
        raise directory_error(exception) from None


def is_local_account(login: str) -> bool:
    """Does a local account with a password have this name?"""
    user = sql.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    return (
        user is not None and user.has_usable_password() and not is_directory_managed_account(user)
    )


def _read(ldap_user: Any, config: LDAPConfig) -> DirectoryUser:
    """The user with their groups, as the service account sees them. Raises DirectoryError."""
    connection: Connection = ldap_user.connection
    entry = Entry(ldap_user.dn, ldap_user.attrs)
    directory_user = next(describe(connection, config, [entry]))
    if directory_user.disabled_reason and directory_user.disabled_reason.is_lock:
        # The successful bind may have lifted a lock that was read before.
        again = connection.read(entry.dn, attributes(config))
        return next(describe(connection, config, [again])) if again else directory_user
    return directory_user


def _bind_as_unknown_user(connection: Connection, config: LDAPConfig) -> None:
    """A bind that cannot succeed, to take the time of one."""
    connection.bind(f"cn={secrets.token_hex(16)},{config.base_dn}", secrets.token_hex(16))


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except DirectoryError as error:
        logger.error("the directory failed: %s %s", error.failure.value.text, error.detail)  # noqa: TRY400
        raise
