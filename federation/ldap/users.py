"""From a user name to the one person it means, what the directory says of him, and his password."""

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from django.utils import timezone

from core import email_addresses
from federation.ldap.conf import Directory
from federation.ldap.connection import Connection, Entry, opened
from federation.ldap.disabled import ATTRIBUTES, Shut, shut
from federation.ldap.dn import DNError, common_names, fold, normal_dn
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.filters import escape

MAX_LOGIN_LENGTH = 254
MAX_SUBJECT_LENGTH = 255
# Given by the server and never given to somebody else; asked for by name, being operational.
LASTING_TEXTS = ("entryUUID", "nsUniqueId", "ipaUniqueID")
LASTING_OCTETS = "objectGUID"
NO_ATTRIBUTES = ("1.1",)
# Of a list that the server gives in pieces (1,500 groups each in Active Directory).
MOST_PIECES = 50


class Groups(NamedTuple):
    """dns: in their normal form. names: folded, of the same groups. is_cut: there are more."""

    dns: tuple[str, ...]
    names: tuple[str, ...]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """What the directory says of one person.

    subject: lasting, see subject_of(). shut: why the directory itself lets them in nowhere.
    """

    dn: str
    subject: str
    username: str
    email: str
    name: str
    is_admitted: bool
    groups: Groups
    shut: Shut | None = None


def is_askable(login: str) -> bool:
    """May this be asked for at all? Control characters are never part of a name."""
    text = login.strip()
    return (
        0 < len(text) <= MAX_LOGIN_LENGTH
        and "\N{REPLACEMENT CHARACTER}" not in text
        and not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs") for sign in text)
    )


def find_entry(connection: Connection, directory: Directory, login: str) -> Entry | Failures:
    """The one entry that `login` means, or why there is not exactly one. DirectoryError."""
    if not is_askable(login):
        return Failures.BAD_LOGIN
    typed = login.strip()
    found = _find(connection, directory, directory.user_filter.fill(username=typed))
    domain, _sign, name = typed.partition("\\")
    if found is Failures.NO_HIT and domain and name:
        # DOMAIN\user, as people type it for Windows.
        return _find(connection, directory, directory.user_filter.fill(username=name))
    if found is Failures.NO_HIT and "@" in typed:
        # user@domain, which need not be the address.
        text = f"(&{directory.user_filter.for_anybody()}(userPrincipalName={escape(typed)}))"
        return _find(connection, directory, text)
    return found


def _find(connection: Connection, directory: Directory, text: str) -> Entry | Failures:
    try:
        found = connection.search(directory.base_dn, text, attributes(directory), at_most=2)
    except DirectoryError as error:
        if error.failure is Failures.TOO_MANY:
            return Failures.SEVERAL_HITS
        raise
    if len(found) == 1:
        return found[0]
    return Failures.SEVERAL_HITS if found else Failures.NO_HIT


def verify_password(directory: Directory, dn: str, password: str) -> bool:
    """Does the directory accept it? On a connection of its own, so that no right of the person's
    session leaks into our searches."""
    if not dn or not password or "\x00" in password:
        return False
    with opened(directory) as connection:
        return connection.bind(dn, password)


def describe(
    connection: Connection, directory: Directory, entries: Sequence[Entry]
) -> Iterator[Person]:
    """The people of these entries, with their groups and whether they are admitted."""
    admitted = _each_found(connection, directory, entries)
    groups = _groups_of_each(connection, directory, entries)
    for entry, is_admitted, found in zip(entries, admitted, groups, strict=True):
        yield Person(
            dn=entry.dn,
            subject=subject_of(directory, entry),
            username=entry.first(*directory.username_fields),
            email=_email(directory, entry),
            name=_name(directory, entry),
            is_admitted=is_admitted,
            groups=found,
            shut=shut(entry.values, timezone.now()),
        )


def attributes(directory: Directory) -> list[str]:
    """What is asked of a person's entry."""
    named = [directory.group_field, directory.email_field, directory.id_field]
    fields = [*directory.username_fields, *(directory.name_fields or ("displayName", "cn"))]
    asked = (*LASTING_TEXTS, LASTING_OCTETS, *ATTRIBUTES, *named, *fields)
    return [name for name in asked if name]


def subject_of(directory: Directory, entry: Entry) -> str:
    """The entry's lasting name: the server's own id, else LDAP_ID, else the DN."""
    found = entry.first(*LASTING_TEXTS)
    if found:
        return found.lower()[:MAX_SUBJECT_LENGTH]
    octets = next(iter(entry.values.get(LASTING_OCTETS.lower(), ())), b"")
    if len(octets) == 16:
        return str(uuid.UUID(bytes_le=octets))
    own = entry.first(directory.id_field) if directory.id_field else ""
    return _short(f"id:{fold(own)}" if own else f"dn:{_normal(entry.dn)}")


def find_subject(connection: Connection, directory: Directory, subject: str) -> Entry | None:
    """The entry whose lasting name is `subject`; None when there is none. Raises DirectoryError."""
    kind, _colon, rest = subject.partition(":")
    asked = attributes(directory)
    if kind == "sha256" or (kind == "id" and not directory.id_field):
        raise DirectoryError(Failures.OTHER, "nobody can be looked up by this subject")
    if kind == "dn":
        found = [connection.read(rest, asked)]
    else:
        text = f"(&{directory.user_filter.for_anybody()}{_subject_filter(directory, subject)})"
        found = list(connection.search(directory.base_dn, text, asked))
    same = [one for one in found if one is not None and subject_of(directory, one) == subject]
    return same[0] if len(same) == 1 else None


def _subject_filter(directory: Directory, subject: str) -> str:
    if subject.startswith("id:"):
        return f"({directory.id_field or LASTING_TEXTS[0]}={escape(subject[3:])})"
    parts = [f"({name}={escape(subject)})" for name in LASTING_TEXTS]
    with suppress(ValueError):
        octets = uuid.UUID(subject).bytes_le
        escaped = "".join(f"\\{octet:02x}" for octet in octets)
        parts.append(f"({LASTING_OCTETS}={escaped})")
    return f"(|{''.join(parts)})"


def _short(subject: str) -> str:
    if len(subject) <= MAX_SUBJECT_LENGTH:
        return subject
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"


def _normal(dn: str) -> str:
    try:
        return normal_dn(dn)
    except DNError:
        return fold(dn)


def _email(directory: Directory, entry: Entry) -> str:
    """The first value that is one plain address, or ""."""
    for text in entry.texts(directory.email_field):
        try:
            return email_addresses.parse_email(text)
        except email_addresses.AddressError:
            continue
    return ""


def _name(directory: Directory, entry: Entry) -> str:
    if directory.name_fields:
        return " ".join(filter(None, (entry.first(field) for field in directory.name_fields)))
    return entry.first("displayName", "cn")


def _each_found(
    connection: Connection, directory: Directory, entries: Sequence[Entry]
) -> list[bool]:
    """For each person: does the authorization filter find anything?"""
    if directory.access_filter is None:
        return [True] * len(entries)
    texts = [
        directory.access_filter.fill(entry.first(*directory.username_fields), entry.dn)
        for entry in entries
    ]
    base = directory.group_base_dn or directory.base_dn
    return [bool(found) for found in connection.search_each(base, texts, NO_ATTRIBUTES)]


def _groups_of_each(
    connection: Connection, directory: Directory, entries: Sequence[Entry]
) -> Iterator[Groups]:
    if directory.group_filter is None:
        for entry in entries:
            yield _named_groups(connection, directory, entry)
        return
    texts = [
        directory.group_filter.fill(entry.first(*directory.username_fields), entry.dn)
        for entry in entries
    ]
    base = directory.group_base_dn or directory.base_dn
    for found in connection.search_each(base, texts, NO_ATTRIBUTES):
        yield _groups([group.dn for group in found])


def _named_groups(connection: Connection, directory: Directory, entry: Entry) -> Groups:
    """The groups that the entry names.

    Active Directory gives long lists in pieces, whose names say so: memberOf;range=0-1499. The
    others are asked for; a part of the groups could mean the wrong role.
    """
    field = directory.group_field
    values = [*entry.values.get(field.lower(), ())]
    piece = _piece(entry, field)
    for _piece_number in range(MOST_PIECES):
        if piece is None:
            return _groups_of(values, is_cut=False)
        values += piece.values
        if piece.end is None:
            return _groups_of(values, is_cut=False)
        name = f"{field};range={piece.end + 1}-*"
        further = connection.read(entry.dn, [name])
        piece = _piece(further, field) if further is not None else None
        if piece is None or not piece.values:
            break
    return _groups_of(values, is_cut=True)


class _Piece(NamedTuple):
    """Values of a list that comes in pieces. end: the number of the last one, None at the end."""

    values: Sequence[bytes]
    end: int | None


def _piece(entry: Entry, field: str) -> _Piece | None:
    prefix = f"{field.lower()};range="
    for name, values in entry.values.items():
        if name.startswith(prefix):
            end = name.removeprefix(prefix).partition("-")[2]
            return _Piece(values, int(end) if end.isdecimal() else None)
    return None


def _groups_of(values: Sequence[bytes], *, is_cut: bool) -> Groups:
    """What cannot be read may be the group that matters."""
    entry = Entry("", {"groups": values})
    texts = entry.texts("groups")
    return _groups(texts)._replace(is_cut=is_cut or len(texts) != len(values))


def _groups(texts: Sequence[str]) -> Groups:
    dns = []
    for text in texts:
        try:
            dns.append(normal_dn(text))
        except DNError:
            continue
    return Groups(tuple(dns), tuple(name for text in texts for name in common_names(text)))
