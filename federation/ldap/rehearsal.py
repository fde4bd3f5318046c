"""A sign-in through the directory that is rolled back, step by step. Needs python-ldap."""

from typing import Any

from accounts import access_policy
from accounts.models import User
from accounts.roles import Role
from accounts.services.signup import RegistrationClosed
from core.errors import GatehouseError
from federation.ldap.backend import LDAPBackend, is_local_account
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.diagnosis import Step
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import user_info_of
from federation.ldap.users import DirectoryUser
from federation.services.identities import (
    AccountExists,
    GroupsIncomplete,
    decide,
)
from federation.services.rehearsals import rehearse

SHOWN_GROUPS = 20
# In place of a password that is not verified; never sent.
UNVERIFIED = "unverified"
# Why no account is found after the right password. Any other denial is of the access policy.
REFUSALS: dict[type[GatehouseError], Failures] = {
    GroupsIncomplete: Failures.GROUPS_INCOMPLETE,
    AccountExists: Failures.ACCOUNT_EXISTS,
    RegistrationClosed: Failures.EMAIL_NOT_ALLOWED,
}


def user_steps(config: LDAPConfig, login: str, password: str | None) -> list[Step]:
    """The steps of one user's sign-in; its first failure is the cause. password: see diagnose()."""
    backend = RehearsalBackend(verifies_password=password is not None)
    if is_local_account(login):
        backend.note("Search", login.strip(), Failures.LOCAL_ACCOUNT)
    elif password == "":
        backend.note("Password", "", Failures.EMPTY_PASSWORD)
    else:
        backend.sign_in(login, password or UNVERIFIED)
    return backend.steps


class RehearsalBackend(LDAPBackend):
    """The backend of real sign-ins, which notes its steps and undoes what it writes."""

    def __init__(self, *, verifies_password: bool) -> None:
        self.verifies_password = verifies_password
        self.steps: list[Step] = []

    def note(self, name: str, text: str, failure: Failures | None = None) -> None:
        """Add a step; see Step."""
        self.steps.append(Step(name, text, failure))

    def sign_in(self, login: str, password: str) -> None:
        """Sign in, and note how it ends."""
        try:
            user = self.find_user(None, login, password)
            denial = access_policy.get_denial(user) if user else None
            if denial is not None:
                raise denial.as_error()
        except DirectoryError as error:
            self.note("Directory", error.detail, error.failure)
        except GatehouseError as error:
            self.note("Sign-in", error.message, REFUSALS.get(type(error), Failures.DENIED))
        else:
            if user is not None:
                self.note("Sign-in", _outcome(user))
            elif self.steps:
                self.note("Password", "", Failures.WRONG_PASSWORD)
            else:
                searched = self.config.user_filter.fill(username=login.strip())
                failure = self.settings.USER_SEARCH.failure or Failures.WRONG_PASSWORD
                self.note("Search", searched, failure)

    def verify_password(self, ldap_user: Any, password: str) -> User | None:
        self.note("Search", f"one entry: {ldap_user.dn}")
        if self.verifies_password:
            return super().verify_password(ldap_user, password)
        return self.get_or_build_user(UNVERIFIED, ldap_user)[0]

    def account_of(self, directory_user: DirectoryUser) -> User:
        """The account as it would be after the sign-in."""
        if self.verifies_password:
            self.note("Password", "the directory accepts it")
        self._note_user(directory_user)
        return rehearse(
            lambda: super(RehearsalBackend, self).account_of(directory_user),
            provider=PROVIDER,
            subject=directory_user.subject,
            email=directory_user.email,
        )

    def _note_user(self, directory_user: DirectoryUser) -> None:
        config = self.config
        self.note("Person", _description(config, directory_user))
        if directory_user.disabled_reason is not None:
            self.note("Account", directory_user.disabled_reason.reason, Failures.DISABLED)
        if not directory_user.is_admitted:
            self.note("Authorization", "", Failures.NOT_ADMITTED)
        elif config.access_filter is not None:
            self.note("Authorization", "the filter finds this person")
        self.note("Groups", _groups(directory_user))
        info = user_info_of(config, directory_user)
        names = sorted(config.source.groups.decide(info.claims).names)
        if config.source.groups.rules:
            self.note("Groups here", ", ".join(names) or "none")
        decision = decide(config.source, info)
        self.note("Role", f"{decision.role or config.source.default_role} ({decision.reason})")


def _outcome(user: User) -> str:
    """user: as after the sign-in; the database is as before it."""
    before = User.objects.filter(pk=user.pk).first()
    owner = "; becomes owner, because there is none" if user.role == Role.OWNER else ""
    if before is None:
        return f"a new account is made{owner}"
    if not before.identities.filter(provider=PROVIDER).exists():
        return f"the account {before.email} has this address; it is connected"
    if user.role == before.role:
        return f"the account {before.email} is this person's; role {user.role} stays"
    change = f"role {before.role} -> {user.role}{owner}"
    return f"the account {before.email} is this person's; {change}"


def _description(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    email = directory_user.email or f"none in {config.email_field}"
    return (
        f"user name {directory_user.username or 'none'}, address {email}, "
        f"name {directory_user.name or 'none'}, lasting id {directory_user.subject}"
    )


def _groups(directory_user: DirectoryUser) -> str:
    shown = "; ".join((directory_user.groups.dns or directory_user.groups.names)[:SHOWN_GROUPS])
    more = len(directory_user.groups.names) - SHOWN_GROUPS
    incomplete = "; there are more" if directory_user.groups.is_incomplete else ""
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}{incomplete}"
