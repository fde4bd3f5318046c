"""A sign-in through the directory that is rolled back, and what came of each of its steps."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts import access_policy
from accounts.anonymous import ANONYMOUS_ID
from accounts.models import User
from accounts.roles import Role
from accounts.services.signup import RegistrationClosed
from core.errors import GatehouseError
from core.locks import ROLES, acquire_lock, lock_users
from federation.ldap.backend import LDAPBackend, is_local_account
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.diagnosis import Step
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import user_info_of
from federation.ldap.users import DirectoryUser
from federation.services.identities import (
    AccountExists,
    DisabledAtSource,
    GroupsIncomplete,
    RoleRequired,
    decide,
)

SHOWN_GROUPS = 20
# In place of a password that is not verified; never sent.
UNVERIFIED = "unverified"
# The step at which the account is refused, and why; the first that fits.
REFUSALS: tuple[tuple[type[GatehouseError], str, Failures], ...] = (
    (DisabledAtSource, "Account", Failures.DISABLED),
    (RoleRequired, "Authorization", Failures.NOT_ADMITTED),
    (GroupsIncomplete, "Groups", Failures.GROUPS_INCOMPLETE),
    (AccountExists, "Sign-in", Failures.ACCOUNT_EXISTS),
    (RegistrationClosed, "Sign-in", Failures.EMAIL_NOT_ALLOWED),
    (GatehouseError, "Sign-in", Failures.DENIED),
)


class RehearsalBackend(LDAPBackend):
    """The backend of real sign-ins; keeps what it finds, and undoes what it writes.

    dn: of the entry that was found, or "". directory_user: None before the password was right.
    """

    def __init__(self, *, verifies_password: bool) -> None:
        super().__init__()
        self.verifies_password = verifies_password
        self.dn = ""
        self.directory_user: DirectoryUser | None = None

    def verify_password(self, ldap_user: Any, password: str) -> User | None:
        self.dn = ldap_user.dn
        if self.verifies_password:
            return super().verify_password(ldap_user, password)
        return self.get_or_build_user(UNVERIFIED, ldap_user)[0]

    def account_of(self, directory_user: DirectoryUser) -> User:
        """The account as it would be after the sign-in."""
        self.directory_user = directory_user
        with transaction.atomic():
            _lock_in_order(directory_user)
            try:
                return super().account_of(directory_user)
            finally:
                transaction.set_rollback(True)


def user_steps(config: LDAPConfig, login: str, password: str | None) -> Iterator[Step]:
    """The steps of one user, up to the first failure. password: see diagnose()."""
    if is_local_account(login):
        yield Step("Search", login.strip(), Failures.LOCAL_ACCOUNT)
        return
    if password == "":
        yield Step("Password", "", Failures.EMPTY_PASSWORD)
        return
    backend = RehearsalBackend(verifies_password=password is not None)
    user, error = None, None
    try:
        user = backend.find_user(None, login, password or UNVERIFIED)
    except GatehouseError as raised:
        error = raised
    yield from _directory_steps(config, login, backend, error)
    if backend.directory_user is not None:
        yield from _account_steps(config, backend.directory_user, user, error)


def _directory_steps(
    config: LDAPConfig, login: str, backend: RehearsalBackend, error: GatehouseError | None
) -> Iterator[Step]:
    """What the directory said of the user, up to their groups."""
    if backend.dn:
        yield Step("Search", f"one entry: {backend.dn}")
    if backend.directory_user is not None:
        if backend.verifies_password:
            yield Step("Password", "the directory accepts it")
        yield Step("Person", _description(config, backend.directory_user))
    elif isinstance(error, DirectoryError):
        yield Step("Directory", error.detail, error.failure)
    elif backend.dn:
        yield Step("Password", "", Failures.WRONG_PASSWORD)
    else:
        searched = config.user_filter.fill(username=login.strip())
        yield Step("Search", searched, backend.settings.USER_SEARCH.failure or Failures.BAD_LOGIN)


def _account_steps(
    config: LDAPConfig,
    directory_user: DirectoryUser,
    user: User | None,
    error: GatehouseError | None,
) -> Iterator[Step]:
    """What would become of the account."""
    failed = None if error is None else _refusal(directory_user, error)
    if failed is not None and failed.name in ("Account", "Directory"):
        yield failed
        return
    if config.access_filter is not None and directory_user.is_admitted:
        yield Step("Authorization", "the filter finds this person")
    if failed is not None and failed.name in ("Authorization", "Groups"):
        yield failed
        return
    yield Step("Groups", _groups(directory_user))
    decision = decide(config.source, user_info_of(config, directory_user))
    yield Step("Role", f"{decision.role or config.source.default_role} ({decision.reason})")
    if failed is not None:
        yield failed
    elif user is not None:
        yield _outcome(user)


def _refusal(directory_user: DirectoryUser, error: GatehouseError) -> Step:
    if isinstance(error, DirectoryError):
        return Step("Directory", error.detail, error.failure)
    name, failure = next(
        (name, failure) for kind, name, failure in REFUSALS if isinstance(error, kind)
    )
    texts = {
        Failures.DISABLED: getattr(directory_user.disabled_reason, "reason", ""),
        Failures.GROUPS_INCOMPLETE: _groups(directory_user),
        Failures.ACCOUNT_EXISTS: directory_user.email,
        Failures.EMAIL_NOT_ALLOWED: directory_user.email,
        Failures.DENIED: error.message,
    }
    return Step(name, texts.get(failure, ""), failure)


def _outcome(user: User) -> Step:
    """user: as after the sign-in; the database is as before it."""
    denial = access_policy.get_denial(user)
    if denial is not None:
        return Step("Sign-in", denial.message, Failures.DENIED)
    before = User.objects.filter(pk=user.pk).first()
    owner = "; becomes owner, because there is none" if user.role == Role.OWNER else ""
    if before is None:
        return Step("Sign-in", f"a new account is made{owner}")
    if not before.identities.filter(provider=PROVIDER).exists():
        return Step("Sign-in", f"the account {before.email} has this address; it is connected")
    change = f"role {user.role} stays"
    if user.role != before.role:
        change = f"role {before.role} -> {user.role}{owner}"
    return Step("Sign-in", f"the account {before.email} is this person's; {change}")


def _lock_in_order(directory_user: DirectoryUser) -> None:
    """Take the locks of a whole sign-in, which is one transaction here (docs/architecture.md)."""
    concerned = User.all_objects.filter(
        Q(pk=ANONYMOUS_ID)
        | Q(email=directory_user.email)
        | Q(identities__provider=PROVIDER, identities__subject=directory_user.subject)
        | Q(role=Role.OWNER, setup_completed=False)
    )
    lock_users(*set(concerned.values_list("pk", flat=True)))
    acquire_lock(ROLES)


def _description(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    email = directory_user.email or f"none in {config.email_field}"
    return (
        f"user name {directory_user.username or 'none'}, address {email}, "
        f"name {directory_user.name or 'none'}, "
        f"lasting id {directory_user.subject}"
    )


def _groups(directory_user: DirectoryUser) -> str:
    shown = "; ".join((directory_user.groups.dns or directory_user.groups.names)[:SHOWN_GROUPS])
    more = len(directory_user.groups.names) - SHOWN_GROUPS
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"
