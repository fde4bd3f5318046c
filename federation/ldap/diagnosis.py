"""`ldaptest`: every step of a sign-in by the directory, told one by one. Changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from accounts.models import User
from federation.ldap.conf import Directory
from federation.ldap.connection import Connection, Entry, opened, opened_as_service
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.sign_in import identity_of, is_first_owner, is_out_of_reach, user_info_of
from federation.ldap.users import Person, describe, find_entry, verify_password
from federation.services.identities import decide, role_by

SHOWN_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and what came of it. failure: None when it went well."""

    name: str
    text: str
    failure: Failures | None = None


def examine(directory: Directory, login: str, password: str | None) -> Iterator[Step]:
    """The steps up to the first failure. login "": only what needs no person.

    password None: that step is left out, and the rest goes on without proof.
    """
    try:
        yield Step("Settings", _settings(directory))
        with opened(directory):
            yield Step("Connect", _transport(directory))
        with opened_as_service(directory) as connection:
            who = directory.bind_dn or "nobody (LDAP_BIND_DN is not set)"
            yield Step("Service account", f"signed in as {who}")
            yield _count(connection, directory)
            if login:
                yield from _person_steps(connection, directory, login, password)
    except DirectoryError as error:
        yield Step("Directory", error.detail, error.failure)


def _settings(directory: Directory) -> str:
    access = directory.access_filter or "none"
    return (
        f"{directory.url}, people below {directory.base_dn}, filter {directory.user_filter}, "
        f"authorization filter {access}"
    )


def _transport(directory: Directory) -> str:
    if not directory.uses_tls:
        return "reached, without TLS"
    kind = "StartTLS" if directory.starts_tls else "TLS"
    checked = "the certificate is right" if directory.checks_certificate else "NOT CHECKED"
    return f"reached with {kind}, {checked}"


def _count(connection: Connection, directory: Directory) -> Step:
    text = directory.user_filter.for_anybody()
    pages = connection.pages(directory.base_dn, text, ["1.1"])
    first = next(pages, [])
    if not first:
        return Step("People", "", Failures.NOBODY_SEEN)
    return Step("People", f"at least {len(first)} seen with the filter {text}")


def _person_steps(
    connection: Connection, directory: Directory, login: str, password: str | None
) -> Iterator[Step]:
    entry = find_entry(connection, directory, login)
    if isinstance(entry, Failures):
        yield Step("Search", directory.user_filter.fill(username=login.strip()), entry)
        return
    yield Step("Search", f"one entry: {entry.dn}")
    if password is not None:
        step = _password_step(directory, entry, password)
        yield step
        if step.failure:
            return
    person = next(describe(connection, directory, [entry]))
    yield Step("Person", _description(directory, person))
    yield from _access_steps(directory, person)


def _password_step(directory: Directory, entry: Entry, password: str) -> Step:
    if not password:
        return Step("Password", "", Failures.EMPTY_PASSWORD)
    if not verify_password(directory, entry.dn, password):
        return Step("Password", "", Failures.WRONG_PASSWORD)
    return Step("Password", "the directory accepts it")


def _description(directory: Directory, person: Person) -> str:
    email = person.email or f"none in {directory.email_field}"
    return (
        f"user name {person.username or 'none'}, address {email}, name {person.name or 'none'}, "
        f"lasting id {person.subject}"
    )


def _access_steps(directory: Directory, person: Person) -> Iterator[Step]:
    if person.shut is not None:
        yield Step("Account", person.shut.reason, Failures.DISABLED)
        return
    if directory.access_filter is not None:
        failure = None if person.is_admitted else Failures.NOT_ADMITTED
        yield Step("Authorization", "the filter finds this person" if not failure else "", failure)
        if failure:
            return
    failure = Failures.GROUPS_CUT if person.groups.is_cut else None
    yield Step("Groups", _groups(person), failure)
    yield Step("Role", _role(directory, person))
    owner = "; becomes owner, because nobody is" if is_first_owner(directory, person) else ""
    yield Step("Sign-in", _what_would_happen(directory, person) + owner)


def _groups(person: Person) -> str:
    shown = "; ".join((person.groups.dns or person.groups.names)[:SHOWN_GROUPS])
    more = len(person.groups.names) - SHOWN_GROUPS
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"


def _role(directory: Directory, person: Person) -> str:
    decision = decide(directory.source, user_info_of(directory, person))
    role = decision.role or directory.source.default_role
    return f"{role} ({decision.reason})"


def _what_would_happen(directory: Directory, person: Person) -> str:
    identity = identity_of(directory, person)
    if identity is None:
        return _first_time(directory, person)
    user = identity.user
    decision = decide(directory.source, user_info_of(directory, person))
    role = role_by(directory.source, user, decision)
    change = f"role {user.role} stays" if role == user.role else f"role {user.role} -> {role}"
    state = "" if user.is_active else " It is disabled here, so the door stays shut."
    return f"the account {user.email} is this person's; {change}.{state}"


def _first_time(directory: Directory, person: Person) -> str:
    existing = User.objects.filter(email=person.email).first() if person.email else None
    if existing is None:
        return "a new account is made"
    if is_out_of_reach(existing) or existing.has_usable_password():
        return (
            f"refused: an account with the address {person.email} exists. If it is this person's, "
            "take its local password away (start a reset), or change its address"
        )
    return f"the account {existing.email} has this address; it is connected where that is safe"
