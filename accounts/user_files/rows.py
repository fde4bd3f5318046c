"""One user as a file describes them, parsed and checked. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from accounts.passwords.imported_hashes import HashRefused, parse_hash
from accounts.roles import Role
from accounts.user_files.groups import GroupCell, parse_groups
from core.text.email_addresses import AddressError, gettext_noop, parse_email, parse_username
from core.text.plain_text import MAX_NAME_LENGTH, clean_name, echo

YES = frozenset({"true", "t", "yes", "y", "1", "on", "active", "enabled", "verified",
                 "ja", "aktiv"})  # fmt: skip
NO = frozenset({"false", "f", "no", "n", "0", "off", "disabled", "inactive", "suspended", "banned",
                "unverified", "nein", "deaktiviert", "gesperrt"})  # fmt: skip
MAX_CELL = 4096
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)

NO_ADDRESS = gettext_noop("This row has no email address.")
NOT_A_ROLE = gettext_noop("%(value)s is not a role: owner, admin, editor, viewer or none.")
NOT_A_STATE = gettext_noop("%(value)s is not a state: active or disabled.")
NOT_YES_NO = gettext_noop("%(value)s is neither yes nor no.")
NOT_A_TIME = gettext_noop("%(value)s is not a time like 2026-05-31T12:00:00Z.")
NOT_AN_END = gettext_noop(
    "%(value)s is not an end: write a date like 2026-12-04, which lasts until the end of that day, "
    "or a time with its offset like 2026-12-04T17:00:00Z."
)
TIME_OUT_OF_RANGE = gettext_noop("%(value)s is before 1990 or in the future.")
TOO_LONG = gettext_noop("This cell is too long.")
NOT_A_KIND = gettext_noop("%(value)s is not a kind of account: person or service.")
SERVICE_ADDRESS = gettext_noop("A service account has no address. Leave the cell empty.")
SERVICE_NAME = gettext_noop("A service account needs a user name.")
SERVICE_PASSWORD = gettext_noop("A service account has no password. Leave the cell empty.")
PERSON_RESPONSIBLE = gettext_noop("Only service accounts have a responsible person.")
PERSON, SERVICE = "person", "service"
NAME_TOO_LONG = gettext_noop("A name has at most 150 characters.")


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with a row. message: English, with the placeholders %(value)s for `value`,
    and %(near)s for `near`, something that may have been meant.
    """

    line: int
    field: str
    message: str
    value: str = ""
    email: str = ""
    near: str = ""


@dataclass(slots=True)
class UserRow:
    """A parsed row. None: the file says nothing about it. password: the stored form of its hash.

    email: of a service account its user name, as User stores it. responsible: an address.
    """

    line: int
    email: str = ""
    name: str | None = None
    username: str | None = None
    role: str | None = None
    is_active: bool | None = None
    is_verified: bool | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    role_until: datetime | None = None
    role_after: str | None = None
    groups: tuple[GroupCell, ...] = ()
    kind: str = PERSON
    responsible: str = ""
    password: str = field(default="", repr=False)


class _CellInvalid(ValueError):
    """A cell cannot be read. value: what is shown of it; never a hash."""

    def __init__(self, message: str, value: str = "") -> None:
        super().__init__(message)
        self.message, self.value = message, value


def parse_row(
    line: int,
    fields: Mapping[str, str],
    *,
    role_map: Mapping[str, str],
    now: datetime,
    zone: tzinfo = UTC,
) -> tuple[UserRow, list[RowError]]:
    """The row, and all that is wrong with it.

    fields: texts by names of fields.READ_FIELDS. role_map: {role of the file in lower case: ours};
    "" counts as no role. zone: in which a date is the end of a day. An invalid field stays None.
    """
    row, errors = UserRow(line), []
    readers: dict[str, Callable[[str], Any]] = {
        "email": _email,
        "name": _name,
        "username": _username,
        "role": lambda text: _role(text, role_map),
        "state": lambda text: _yes_or_no(text, NOT_A_STATE),
        "verified": _is_verified,
        "created_at": lambda text: _time(text, now),
        "expires_at": lambda text: _end(text, zone),
        "role_until": lambda text: _end(text, zone),
        "role_after": lambda text: _role(text, role_map),
        "groups": lambda text: parse_groups(text, lambda end: _end(end, zone)),
        "kind": _kind,
        "responsible": lambda text: _email(text) if text else "",
        "password_hash": _password,
    }
    if _is_service(fields):
        readers["email"] = lambda text: _service_name(text, fields.get("username", ""))
        readers["verified"] = lambda _text: False
        readers["password_hash"] = lambda text: _absent(text, SERVICE_PASSWORD)
    else:
        readers["responsible"] = lambda text: _absent(text, PERSON_RESPONSIBLE)
    for name, read in readers.items():
        text = _joined_name(fields) if name == "name" else fields.get(name, "")
        try:
            value = read(_limited(text))
        except _CellInvalid as error:
            shown = (fields.get("email") or fields.get("username") or "")[:MAX_NAME_LENGTH]
            errors.append(RowError(line, name, error.message, error.value, shown))
        else:
            setattr(row, _ATTRIBUTES.get(name, name), value)
    return row, errors


_ATTRIBUTES = {"state": "is_active", "verified": "is_verified", "password_hash": "password"}


def _joined_name(fields: Mapping[str, str]) -> str:
    """The name, or else its parts."""
    parts = (fields.get("first_name", "").strip(), fields.get("last_name", "").strip())
    return fields.get("name", "").strip() or " ".join(part for part in parts if part)


def _limited(text: str) -> str:
    if len(text) > MAX_CELL:
        raise _CellInvalid(TOO_LONG)
    return text.strip()


def _email(text: str) -> str:
    if not text:
        raise _CellInvalid(NO_ADDRESS)
    try:
        return parse_email(text)
    except AddressError as error:
        raise _CellInvalid(str(error)) from None


def _is_service(fields: Mapping[str, str]) -> bool:
    return fields.get("kind", "").strip().casefold() == SERVICE


def _kind(text: str) -> str:
    word = text.casefold() or PERSON
    if word not in (PERSON, SERVICE):
        raise _CellInvalid(NOT_A_KIND, echo(text))
    return word


def _service_name(email: str, username: str) -> str:
    """What a service account has instead of an address."""
    _absent(email, SERVICE_ADDRESS)
    name = _username(_limited(username))
    if name is None:
        raise _CellInvalid(SERVICE_NAME)
    return name


def _absent(text: str, message: str) -> str:
    if text:
        raise _CellInvalid(message)
    return ""


def _name(text: str) -> str | None:
    if len(text) > MAX_NAME_LENGTH:
        raise _CellInvalid(NAME_TOO_LONG)
    return clean_name(text) or None


def _username(text: str) -> str | None:
    try:
        return parse_username(text) if text else None
    except AddressError as error:
        raise _CellInvalid(str(error)) from None


def _role(text: str, role_map: Mapping[str, str]) -> str | None:
    word = role_map.get(text.casefold(), text.casefold())
    if not word:
        return None
    if word not in list(Role):
        raise _CellInvalid(NOT_A_ROLE, echo(text))
    return word


def _yes_or_no(text: str, message: str = NOT_YES_NO) -> bool | None:
    word = text.casefold()
    if not word:
        return None
    if word not in YES | NO:
        raise _CellInvalid(message, echo(text))
    return word in YES


def _is_verified(text: str) -> bool | None:
    """Yes or no, or the time at which the address was verified."""
    try:
        return _yes_or_no(text)
    except _CellInvalid:
        if _parsed_time(text) is None:
            raise
    return True


def _time(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    found = _parsed_time(text)
    if found is None:
        raise _CellInvalid(NOT_A_TIME, echo(text))
    if not OLDEST <= found <= now + timedelta(days=1):
        raise _CellInvalid(TIME_OUT_OF_RANGE, echo(text))
    return min(found, now)


def _end(text: str, zone: tzinfo) -> datetime | None:
    """When something ends. A date is the end of that day in `zone`; a time needs an offset."""
    if not text:
        return None
    try:
        if len(text) == len("2026-12-04"):
            day = date.fromisoformat(text) + timedelta(days=1)
            return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _CellInvalid(NOT_AN_END, echo(text))


def _parsed_time(text: str) -> datetime | None:
    """The time in UTC, which it is in unless it says otherwise; None if it is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _password(text: str) -> str:
    try:
        return parse_hash(text)
    except HashRefused as error:
        raise _CellInvalid(str(error)) from None
