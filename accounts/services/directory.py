"""Sign-in with a password: the local one for local accounts, the directory's for everybody else.

A name that a local account with a password owns never goes to the directory, and a person who came
by the directory never has a local password (TRAPS, decision 20). So an owner with a local password
comes in while the directory is down.
"""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction

from accounts import audit, rows
from accounts.actors import SYSTEM
from accounts.anonymous import ANONYMOUS_ID
from accounts.directory.connection import Connection, opened_as_service
from accounts.directory.failures import DirectoryError, Failures
from accounts.directory.names import naming_context
from accounts.directory.people import (
    Person,
    describe,
    find_entry,
    find_subject,
    prove_password,
)
from accounts.directory.values import PROVIDER, Directory
from accounts.locks import ROLES, house_lock, lock_people
from accounts.methods import SignInMethod
from accounts.models import Identity, User, login_column
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.roles import OPERATORS, Role
from accounts.services.anonymous import hand_over
from accounts.services.identities import Arrival, arrive, find_identity, told_by
from accounts.services.invited import live_invitation
from accounts.services.passwords import MAX_LOGIN_LENGTH, came_by_directory, find_by_password
from accounts.services.profile_updates import holds_links, release_address, update_profile
from accounts.services.signup import is_fresh
from accounts.services.users import change_role

logger = logging.getLogger("gatehouse.directory")
LOCAL, DIRECTORY = SignInMethod.PASSWORD, SignInMethod.LDAP


class Found(NamedTuple):
    """Who the credentials belong to, and by what: LOCAL or DIRECTORY."""

    user: User
    method: SignInMethod


def find_by_credentials(login: str, password: str) -> Found | None:
    """The account of that name and password; the gate has not been asked.

    None for a wrong password, an unknown name and an ambiguous one alike; the same work is done
    for each. Raises DirectoryError when the directory cannot be asked; after a right password
    there RoleRequired, AccountExists, RegistrationClosed.
    """
    directory: Directory | None = settings.LDAP
    if directory is None or _is_local(login):
        user = find_by_password(login, password)
        if user is not None:
            return Found(user, LOCAL)
        if directory is not None:
            _pretend(directory, login)
        return None
    if not password or len(password) > MAX_PASSWORD_LENGTH:
        return None
    User().set_password(password)  # as long as for a local account
    person = _prove(directory, login, password)
    return None if person is None else Found(come_in(directory, person), DIRECTORY)


def arrival_of(directory: Directory, person: Person) -> Arrival:
    """What the directory says, in the form that every door hands on."""
    claims: dict[str, Any] = {
        "groups": list(person.groups.dns),
        "group_names": list(person.groups.names),
        "authorization_filter": "met" if person.is_admitted else "not met",
    }
    if person.groups.is_cut:
        claims["_claim_names"] = {"groups": "", "group_names": ""}
    return Arrival(
        subject=person.subject,
        issuer=issuer_of(directory, person.subject),
        email=person.email,
        # Without an address there is none to prove.
        email_verified=directory.email_is_proved or not person.email,
        name=person.name,
        username=person.username,
        claims={PROVIDER: claims},
        disabled=person.shut.reason if person.shut else "",
    )


def issuer_of(directory: Directory, subject: str) -> str:
    """Which directory `subject` is of; "" for ids that are the same nowhere else (entryUUID).

    Numbers of staff (LDAP_ID) begin anew in another directory.
    """
    return naming_context(directory.base_dn) if subject.startswith("id:") else ""


def come_in(directory: Directory, person: Person) -> User:
    """The account of a person who has proved his password. Raises as accounts.services.identities.

    An address opens no account of an operator, nor one that another entry of the directory has:
    whoever writes addresses there would have those accounts.
    """
    arrival = arrival_of(directory, person)
    existing = User.objects.filter(email=arrival.email).first() if arrival.email else None
    is_new = existing is not None and find_identity(directory.door, arrival) is None
    if existing is not None and is_new and _free_address(directory, person, existing):
        existing = None
    if existing is not None and is_out_of_reach(existing):
        arrival = replace(arrival, email_verified=False)
    return _become_first_owner(directory, person, arrive(directory.door, arrival))


def keys_of_directory(people: Iterable[User]) -> set[Any]:
    """Those of `people` whom the directory keeps; nobody without one."""
    if settings.LDAP is None:
        return set()
    rows = Identity.objects.filter(provider=PROVIDER, user__in=list(people))
    return set(rows.values_list("user_id", flat=True))


def why_no_links(emails: Iterable[str]) -> dict[Any, str]:
    """Key of each account of the directory with one of these addresses -> why no link is mailed
    to it, or "".

    The directory is asked at this moment: it may have shut the person out, or given the address to
    somebody else. What it tells anew is taken over.
    """
    directory: Directory | None = settings.LDAP
    if directory is None:
        return {}
    rows = Identity.objects.filter(provider=PROVIDER, user__email__in=list(emails))
    return {
        identity.user_id: _why_no_link(directory, identity)
        for identity in rows.select_related("user")
    }


def _why_no_link(directory: Directory, identity: Identity) -> str:
    try:
        person = person_of(directory, identity)
    except DirectoryError as error:
        return error.code
    if person is None:
        return "not in the directory any more"
    if person.shut is not None:
        return person.shut.reason
    if not person.is_admitted:
        return "not admitted by the directory"
    before = identity.user.email
    with transaction.atomic():
        if not _hold(identity):
            return "no account"
        update_profile(identity, told_by(directory.door, arrival_of(directory, person)))
    is_same = identity.user.email == before and not holds_links([identity.user])
    return "" if is_same else "the address has changed in the directory"


def person_of(directory: Directory, identity: Identity) -> Person | None:
    """What the directory says now of who came before. Raises DirectoryError."""
    if identity.issuer != issuer_of(directory, identity.subject):
        return None
    with opened_as_service(directory) as connection:
        entry = find_subject(connection, directory, identity.subject)
        return next(describe(connection, directory, [entry])) if entry else None


def _free_address(directory: Directory, person: Person, holder: User) -> bool:
    """Is the address of `person` free again, because the directory took it from its `holder`?

    The holder's account moves to the address that they have now, or to none.
    """
    identity = holder.identities.select_related("user").filter(provider=PROVIDER).first()
    if identity is None or identity.subject == person.subject:
        return False
    if identity.issuer != issuer_of(directory, identity.subject):
        return False  # of another directory, which nobody can ask any more
    known = person_of(directory, identity)
    if known is not None and known.email == person.email:
        return False
    with transaction.atomic():
        if not _hold(identity):
            return True
        if known is not None:
            update_profile(identity, told_by(directory.door, arrival_of(directory, known)))
        if identity.user.email != person.email:
            return True
        # Whoever makes entries in the directory takes no address from an operator by that.
        if holder.role in OPERATORS:
            return False
        release_address(identity)
    return True


def _hold(identity: Identity) -> bool:
    """Lock the person, and read them as they are now; False when they are gone."""
    lock_people(identity.user_id)
    user = User.objects.filter(pk=identity.user_id).first()
    if user is None:
        return False
    identity.user = user
    return True


def is_out_of_reach(user: User) -> bool:
    """Is this an account that no address of the directory opens?

    One whose address is invited to be an operator's is as good as an operator's.
    """
    if user.role in OPERATORS or came_by_directory(user):
        return True
    invitation = None if user.is_verified else live_invitation(user.email, lock=False)
    return invitation is not None and invitation.role in OPERATORS


def _is_local(login: str) -> bool:
    """Does a local account with a password own this name?"""
    user = rows.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    return user is not None and user.has_usable_password() and not came_by_directory(user)


def _prove(directory: Directory, login: str, password: str) -> Person | None:
    """The one person of that name, if this is his password. Raises DirectoryError."""
    try:
        with opened_as_service(directory) as connection:
            entry = find_entry(connection, directory, login)
            if isinstance(entry, Failures):
                _note(entry)
                _try_nobody(directory)
                return None
            if not prove_password(directory, entry.dn, password):
                return None
            person = next(describe(connection, directory, [entry]))
            if person.shut and person.shut.is_lock:
                # The right password may have ended a lock that was read before it was tried.
                return _read_again(connection, directory, login, person)
            return person
    except DirectoryError as error:
        logger.error("the directory failed: %s %s", error.failure.value.text, error.detail)  # noqa: TRY400
        raise


def _read_again(connection: Connection, directory: Directory, login: str, person: Person) -> Person:
    entry = find_entry(connection, directory, login)
    if isinstance(entry, Failures) or entry.dn != person.dn:
        return person
    return next(describe(connection, directory, [entry]))


def _pretend(directory: Directory, login: str) -> None:
    """As much work for a wrong local password, so that nobody learns which accounts are local."""
    with opened_as_service(directory) as connection:
        find_entry(connection, directory, login)
        _try_nobody(directory)


def _try_nobody(directory: Directory) -> None:
    """A sign-in that cannot succeed, for its duration."""
    dn = f"cn={secrets.token_hex(16)},{directory.base_dn}"
    prove_password(directory, dn, secrets.token_hex(16))


def _note(failure: Failures) -> None:
    if failure is Failures.SEVERAL_HITS:
        logger.warning("nobody was let in: %s", failure.value.text)


def _become_first_owner(directory: Directory, person: Person, user: User) -> User:
    """LDAP_ADMIN_USERNAME becomes owner as long as no person is; the default owner goes then."""
    if not user.is_active or not is_first_owner(directory, person):
        return user
    with transaction.atomic():
        owners = User.objects.filter(role=Role.OWNER, is_claimed=False)
        unclaimed = list(owners.values_list("pk", flat=True))
        lock_people(user.pk, ANONYMOUS_ID, *unclaimed)
        house_lock(ROLES)
        if not is_first_owner(directory, person):
            return user
        is_first = is_fresh()
        _take_place_of_default_owner(user, person.username, unclaimed)
        user = change_role(actor=SYSTEM, user=user, role=Role.OWNER)
        if is_first:
            hand_over(user)
        audit.record("account:set-up:complete", actor=user, target=user, source=PROVIDER)
    return user


def is_first_owner(directory: Directory, person: Person) -> bool:
    """Is this LDAP_ADMIN_USERNAME, and is no person owner yet?"""
    wanted = directory.admin_username.casefold()
    if not wanted or person.username.casefold() != wanted:
        return False
    return not User.objects.people().filter(role=Role.OWNER).exists()


def _take_place_of_default_owner(user: User, username: str, unclaimed: list[Any]) -> None:
    """Nobody is behind the default owner, and its set-up link would make a second one.

    It has kept the user name of the person who was to come.
    """
    for default in User.objects.filter(pk__in=unclaimed, role=Role.OWNER, is_claimed=False):
        key, name = default.pk, default.username
        default.delete()
        default.pk = key
        audit.record("account:user:delete", actor=SYSTEM, target=default, role=default.role)
        if user.username is None and name == username.casefold():
            user.username = name
            user.save(update_fields=["username"])


def identity_of(directory: Directory, person: Person) -> Identity | None:
    """The account's tie to that person, if they have come before."""
    return find_identity(directory.door, arrival_of(directory, person))
