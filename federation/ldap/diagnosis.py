"""`ldaptest`: every step of a sign-in by the directory, told one by one. Changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from accounts.models import User
from federation.ldap.conf import LDAPConfig
from federation.ldap.connection import Connection, Entry, opened, opened_as_service
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import identity_of, is_first_owner, is_protected, user_info_of
from federation.ldap.users import DirectoryUser, describe, find_entry, verify_password
from federation.services.identities import decide, mapped_role

SHOWN_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and what came of it. failure: None when it went well."""

    name: str
    text: str
    failure: Failures | None = None


def diagnose(config: LDAPConfig, login: str, password: str | None) -> Iterator[Step]:
    """The steps up to the first failure. login "": only what needs no person.

    password None: that step is left out, and the rest goes on without proof.
    """
    try:
        yield Step("Settings", _settings(config))
        with opened(config):
            yield Step("Connect", _transport(config))
        with opened_as_service(config) as connection:
            who = config.bind_dn or "nobody (LDAP_BIND_DN is not set)"
            yield Step("Service account", f"signed in as {who}")
            yield _count(connection, config)
            if login:
                yield from _person_steps(connection, config, login, password)
    except DirectoryError as error:
        yield Step("Directory", error.detail, error.failure)


def _settings(config: LDAPConfig) -> str:
    access = config.access_filter or "none"
    return (
        f"{config.url}, people below {config.base_dn}, filter {config.user_filter}, "
        f"authorization filter {access}"
    )


def _transport(config: LDAPConfig) -> str:
    if not config.uses_tls:
        return "reached, without TLS"
    kind = "StartTLS" if config.starts_tls else "TLS"
    checked = "the certificate is right" if config.verifies_certificate else "NOT CHECKED"
    return f"reached with {kind}, {checked}"


def _count(connection: Connection, config: LDAPConfig) -> Step:
    text = config.user_filter.for_anybody()
    pages = connection.pages(config.base_dn, text, ["1.1"])
    first = next(pages, [])
    if not first:
        return Step("People", "", Failures.NO_USERS_VISIBLE)
    return Step("People", f"at least {len(first)} seen with the filter {text}")


def _person_steps(
    connection: Connection, config: LDAPConfig, login: str, password: str | None
) -> Iterator[Step]:
    entry = find_entry(connection, config, login)
    if isinstance(entry, Failures):
        yield Step("Search", config.user_filter.fill(username=login.strip()), entry)
        return
    yield Step("Search", f"one entry: {entry.dn}")
    if password is not None:
        step = _password_step(config, entry, password)
        yield step
        if step.failure:
            return
    directory_user = next(describe(connection, config, [entry]))
    yield Step("Person", _description(config, directory_user))
    yield from _access_steps(config, directory_user)


def _password_step(config: LDAPConfig, entry: Entry, password: str) -> Step:
    if not password:
        return Step("Password", "", Failures.EMPTY_PASSWORD)
    if not verify_password(config, entry.dn, password):
        return Step("Password", "", Failures.WRONG_PASSWORD)
    return Step("Password", "the directory accepts it")


def _description(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    email = directory_user.email or f"none in {config.email_field}"
    return (
        f"user name {directory_user.username or 'none'}, address {email}, "
        f"name {directory_user.name or 'none'}, "
        f"lasting id {directory_user.subject}"
    )


def _access_steps(config: LDAPConfig, directory_user: DirectoryUser) -> Iterator[Step]:
    if directory_user.disabled_reason is not None:
        yield Step("Account", directory_user.disabled_reason.reason, Failures.DISABLED)
        return
    if config.access_filter is not None:
        failure = None if directory_user.is_admitted else Failures.NOT_ADMITTED
        yield Step("Authorization", "the filter finds this person" if not failure else "", failure)
        if failure:
            return
    failure = Failures.GROUPS_INCOMPLETE if directory_user.groups.is_incomplete else None
    yield Step("Groups", _groups(directory_user), failure)
    yield Step("Role", _role(config, directory_user))
    owner = "; becomes owner, because nobody is" if is_first_owner(config, directory_user) else ""
    yield Step("Sign-in", _what_would_happen(config, directory_user) + owner)


def _groups(directory_user: DirectoryUser) -> str:
    shown = "; ".join((directory_user.groups.dns or directory_user.groups.names)[:SHOWN_GROUPS])
    more = len(directory_user.groups.names) - SHOWN_GROUPS
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"


def _role(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    decision = decide(config.source, user_info_of(config, directory_user))
    role = decision.role or config.source.default_role
    return f"{role} ({decision.reason})"


def _what_would_happen(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    identity = identity_of(config, directory_user)
    if identity is None:
        return _first_time(config, directory_user)
    user = identity.user
    decision = decide(config.source, user_info_of(config, directory_user))
    role = mapped_role(config.source, user, decision)
    change = f"role {user.role} stays" if role == user.role else f"role {user.role} -> {role}"
    state = "" if user.is_active else " It is disabled here, so the door stays shut."
    return f"the account {user.email} is this person's; {change}.{state}"


def _first_time(config: LDAPConfig, directory_user: DirectoryUser) -> str:
    existing = (
        User.objects.filter(email=directory_user.email).first() if directory_user.email else None
    )
    if existing is None:
        return "a new account is made"
    if is_protected(existing) or existing.has_usable_password():
        return (
            f"refused: an account with the address {directory_user.email} exists. If it is "
            "theirs, take its local password away (start a reset), or change its address"
        )
    return f"the account {existing.email} has this address; it is connected where that is safe"
