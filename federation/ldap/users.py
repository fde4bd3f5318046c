"""Finds the directory entry of a user name, and reads it with its groups."""

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from django.utils import timezone

from core.text import email_addresses
from federation.ldap.conf import LDAPConfig
from federation.ldap.connection import Connection, Entry
from federation.ldap.disabled import ATTRIBUTES, DisabledReason, disabled_reason
from federation.ldap.dn import DNError, common_names, fold, normal_dn
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.filters import escape

MAX_LOGIN_LENGTH = 254
MAX_SUBJECT_LENGTH = 255
# Assigned by the server and never reused; operational, so requested by name.
UUID_ATTRIBUTES = ("entryUUID", "nsUniqueId", "ipaUniqueID")
GUID_ATTRIBUTE = "objectGUID"
NO_ATTRIBUTES = ("1.1",)
# Of a value that the server returns in ranges (1,500 groups each in Active Directory).
MAX_RANGES = 50


class Groups(NamedTuple):
    """dns: normalized. names: folded, of the same groups. is_incomplete: there are more."""

    dns: tuple[str, ...]
    names: tuple[str, ...]
    is_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """One user of the directory.

    subject: stable, see subject_of(). disabled_reason: why the directory has disabled the user.
    """

    dn: str
    subject: str
    username: str
    email: str
    name: str
    is_admitted: bool
    groups: Groups
    disabled_reason: DisabledReason | None = None


def is_searchable(login: str) -> bool:
    """Is this a plausible user name? Control characters are not allowed."""
    text = login.strip()
    return (
        0 < len(text) <= MAX_LOGIN_LENGTH
        and "\N{REPLACEMENT CHARACTER}" not in text
        and not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in text)
    )


def find_entry(connection: Connection, config: LDAPConfig, login: str) -> Entry | Failures:
    """The entry of `login`, or why there is not exactly one. Raises DirectoryError."""
    if not is_searchable(login):
        return Failures.BAD_LOGIN
    typed = login.strip()
    found = _find(connection, config, config.user_filter.fill(username=typed))
    domain, _separator, name = typed.partition("\\")
    if found is Failures.NO_HIT and domain and name:
        # DOMAIN\user, as in Windows.
        return _find(connection, config, config.user_filter.fill(username=name))
    if found is Failures.NO_HIT and "@" in typed:
        # user@domain, which may differ from the email address.
        text = f"(&{config.user_filter.for_anybody()}(userPrincipalName={escape(typed)}))"
        return _find(connection, config, text)
    return found


def _find(connection: Connection, config: LDAPConfig, text: str) -> Entry | Failures:
    try:
        found = connection.search(config.base_dn, text, attributes(config), at_most=2)
    except DirectoryError as error:
        if error.failure is Failures.TOO_MANY:
            return Failures.SEVERAL_HITS
        raise
    if len(found) == 1:
        return found[0]
    return Failures.SEVERAL_HITS if found else Failures.NO_HIT


def describe(
    connection: Connection, config: LDAPConfig, entries: Sequence[Entry]
) -> Iterator[DirectoryUser]:
    """The users of these entries, with their groups and whether they are admitted."""
    admitted = _check_access(connection, config, entries)
    groups = _groups_of_all(connection, config, entries)
    for entry, is_admitted, found in zip(entries, admitted, groups, strict=True):
        yield DirectoryUser(
            dn=entry.dn,
            subject=subject_of(config, entry),
            username=entry.first(*config.username_fields),
            email=_email(config, entry),
            name=_name(config, entry),
            is_admitted=is_admitted,
            groups=found,
            disabled_reason=disabled_reason(entry.values, timezone.now()),
        )


def attributes(config: LDAPConfig) -> list[str]:
    """The attributes to request of an entry."""
    named = [config.group_field, config.email_field, config.id_field]
    fields = [*config.username_fields, *(config.name_fields or ("displayName", "cn"))]
    asked = (*UUID_ATTRIBUTES, GUID_ATTRIBUTE, *ATTRIBUTES, *named, *fields)
    return [name for name in asked if name]


def subject_of(config: LDAPConfig, entry: Entry) -> str:
    """A stable id: the server's own one, otherwise LDAP_ID, otherwise the DN."""
    found = entry.first(*UUID_ATTRIBUTES)
    if found:
        return found.lower()[:MAX_SUBJECT_LENGTH]
    octets = next(iter(entry.values.get(GUID_ATTRIBUTE.lower(), ())), b"")
    if len(octets) == 16:
        return str(uuid.UUID(bytes_le=octets))
    custom_id = entry.first(config.id_field) if config.id_field else ""
    return _short(f"id:{fold(custom_id)}" if custom_id else f"dn:{_normal(entry.dn)}")


def find_subject(connection: Connection, config: LDAPConfig, subject: str) -> Entry | None:
    """The entry whose stable id is `subject`, or None. Raises DirectoryError."""
    kind, _colon, rest = subject.partition(":")
    asked = attributes(config)
    if kind == "sha256" or (kind == "id" and not config.id_field):
        raise DirectoryError(Failures.OTHER, "no entry can be found by this subject")
    if kind == "dn":
        found = [connection.read(rest, asked)]
    else:
        text = f"(&{config.user_filter.for_anybody()}{_subject_filter(config, subject)})"
        found = list(connection.search(config.base_dn, text, asked))
    same = [one for one in found if one is not None and subject_of(config, one) == subject]
    return same[0] if len(same) == 1 else None


def _subject_filter(config: LDAPConfig, subject: str) -> str:
    if subject.startswith("id:"):
        return f"({config.id_field or UUID_ATTRIBUTES[0]}={escape(subject[3:])})"
    parts = [f"({name}={escape(subject)})" for name in UUID_ATTRIBUTES]
    with suppress(ValueError):
        octets = uuid.UUID(subject).bytes_le
        escaped = "".join(f"\\{octet:02x}" for octet in octets)
        parts.append(f"({GUID_ATTRIBUTE}={escaped})")
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


def _email(config: LDAPConfig, entry: Entry) -> str:
    """The first valid email address, or ""."""
    for text in entry.texts(config.email_field):
        try:
            return email_addresses.parse_email(text)
        except email_addresses.AddressError:
            continue
    return ""


def _name(config: LDAPConfig, entry: Entry) -> str:
    if config.name_fields:
        return " ".join(filter(None, (entry.first(field) for field in config.name_fields)))
    return entry.first("displayName", "cn")


def _check_access(
    connection: Connection, config: LDAPConfig, entries: Sequence[Entry]
) -> list[bool]:
    """For each entry: does the authorization filter match?"""
    if config.access_filter is None:
        return [True] * len(entries)
    texts = [
        config.access_filter.fill(entry.first(*config.username_fields), entry.dn)
        for entry in entries
    ]
    base = config.group_base_dn or config.base_dn
    return [bool(found) for found in connection.search_each(base, texts, NO_ATTRIBUTES)]


def _groups_of_all(
    connection: Connection, config: LDAPConfig, entries: Sequence[Entry]
) -> Iterator[Groups]:
    if config.group_filter is None:
        for entry in entries:
            yield _groups_by_attribute(connection, config, entry)
        return
    texts = [
        config.group_filter.fill(entry.first(*config.username_fields), entry.dn)
        for entry in entries
    ]
    base = config.group_base_dn or config.base_dn
    for found in connection.search_each(base, texts, NO_ATTRIBUTES):
        yield _groups([group.dn for group in found])


def _groups_by_attribute(connection: Connection, config: LDAPConfig, entry: Entry) -> Groups:
    """The groups that the entry lists.

    Active Directory returns long lists in ranges, such as memberOf;range=0-1499. All of them are
    read, because incomplete groups could mean the wrong role.
    """
    field = config.group_field
    values = [*entry.values.get(field.lower(), ())]
    piece = _attribute_range(entry, field)
    for _number in range(MAX_RANGES):
        if piece is None:
            return _groups_of(values, is_incomplete=False)
        values += piece.values
        if piece.end is None:
            return _groups_of(values, is_incomplete=False)
        name = f"{field};range={piece.end + 1}-*"
        further = connection.read(entry.dn, [name])
        piece = _attribute_range(further, field) if further is not None else None
        if piece is None or not piece.values:
            break
    return _groups_of(values, is_incomplete=True)


class _AttributeRange(NamedTuple):
    """Values of one range. end: index of its last value, None for the last range."""

    values: Sequence[bytes]
    end: int | None


def _attribute_range(entry: Entry, field: str) -> _AttributeRange | None:
    prefix = f"{field.lower()};range="
    for name, values in entry.values.items():
        if name.startswith(prefix):
            end = name.removeprefix(prefix).partition("-")[2]
            return _AttributeRange(values, int(end) if end.isdecimal() else None)
    return None


def _groups_of(values: Sequence[bytes], *, is_incomplete: bool) -> Groups:
    """The groups; a value that is not UTF-8 makes them incomplete."""
    entry = Entry("", {"groups": values})
    texts = entry.texts("groups")
    return _groups(texts)._replace(is_incomplete=is_incomplete or len(texts) != len(values))


def _groups(texts: Sequence[str]) -> Groups:
    dns = []
    for text in texts:
        try:
            dns.append(normal_dn(text))
        except DNError:
            continue
    return Groups(tuple(dns), tuple(name for text in texts for name in common_names(text)))
