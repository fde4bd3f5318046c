"""The fields of an imported user, and which column of a file holds which. Pure."""

import re
from collections.abc import Iterable, Mapping

from core.text.email_addresses import gettext_noop

# The fields of an export, in the order of its columns.
FIELDS = (
    "email",
    "name",
    "username",
    "role",
    "state",
    "verified",
    "created_at",
    "expires_at",
    "role_until",
    "role_after",
    "groups",
    "kind",
    "responsible",
    "password_hash",
)
# Read in place of `name`, when a file has the two parts of it.
NAME_PARTS = ("first_name", "last_name")
READ_FIELDS = (*FIELDS, *NAME_PARTS)

# How the columns of other programs are called, without signs and in lower case.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "email": ("email", "mail", "emailaddress", "mailaddress", "primaryemail", "emailadresse",
              "mailadresse", "emailaddressrequired", "userprincipalname"),
    "name": ("name", "fullname", "displayname", "vollername", "anzeigename"),
    "username": ("username", "login", "loginname", "userid", "benutzername", "anmeldename"),
    "role": ("role", "rolle"),
    "state": ("state", "status", "active", "isactive", "enabled", "aktiv", "zustand"),
    "verified": ("verified", "isverified", "emailverified", "emailisverified"),
    "created_at": ("createdat", "created", "datejoined", "creationtime", "erstellt", "angelegt"),
    "expires_at": ("expiresat", "accessends", "accountexpires", "zugangendet"),
    "role_until": ("roleuntil", "roleends", "rolleendet"),
    "role_after": ("roleafter", "roleafterwards", "rolledanach"),
    "groups": ("groups", "gruppen"),
    "kind": ("kind", "accountkind"),
    "responsible": ("responsible", "responsibleperson"),
    "password_hash": ("passwordhash", "hashedpassword"),
    "first_name": ("firstname", "givenname", "vorname", "firstnamerequired"),
    "last_name": ("lastname", "surname", "familyname", "nachname", "lastnamerequired"),
}  # fmt: skip
_FIELD_OF = {word: field for field, words in _SYNONYMS.items() for word in words}

UNKNOWN_FIELD = gettext_noop("“%(field)s” is no field. Choose one of: %(fields)s.")
UNKNOWN_COLUMN = gettext_noop("The file has no column “%(column)s”. It has: %(columns)s.")
NO_EMAIL = gettext_noop(
    "No column is known to hold the email addresses. Choose the column. The file has: %(columns)s."
)


class MappingInvalid(ValueError):
    """The mapping does not fit the file. message: English, with the placeholders of `values`."""

    def __init__(self, message: str, **values: str) -> None:
        super().__init__(message % values)
        self.message, self.values = message, values


def guess_mapping(columns: Iterable[str]) -> dict[str, str]:
    """{field: column} by the usual names of columns; the first column that fits a field has it.

    `password` is not guessed: many files have passwords in clear there.
    """
    found: dict[str, str] = {}
    for column in columns:
        field = _FIELD_OF.get(re.sub(r"[\W_]+", "", column.casefold()))
        if field is not None:
            found.setdefault(field, column)
    return found


def check_mapping(mapping: Mapping[str, str], columns: Iterable[str]) -> dict[str, str]:
    """`mapping` without its empty entries. Raises MappingInvalid if it does not fit the columns."""
    known = [column for column in columns if column]
    chosen = {field: column for field, column in mapping.items() if column}
    for field, column in chosen.items():
        if field not in READ_FIELDS:
            raise MappingInvalid(UNKNOWN_FIELD, field=field, fields=", ".join(READ_FIELDS))
        if column not in known:
            raise MappingInvalid(UNKNOWN_COLUMN, column=column, columns=", ".join(known))
    if "email" not in chosen:
        raise MappingInvalid(NO_EMAIL, columns=", ".join(known))
    return chosen


def map_fields(values: Mapping[str, str], mapping: Mapping[str, str]) -> dict[str, str]:
    """{field: text} of one row."""
    return {field: values.get(column, "") for field, column in mapping.items()}
