"""Reads a list of addresses as people paste it from mails, spreadsheets and files. Pure.

Accepted are one address a line, several with commas or semicolons, `Name <address>`, and a name
and an address in two cells of a spreadsheet.
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

from accounts.user_files.fields import guess_mapping, map_fields
from accounts.user_files.tables import NOT_UTF8, FileInvalid, UserTable
from core.text.email_addresses import AddressError, parse_email
from core.text.plain_text import clean_name

MAX_FILE = 256 * 1024
# The parts of a line: quoted text, an address in angle brackets, signs that separate, all else.
_PARTS = re.compile(r'"[^"\n]*"|<[^<>\n]*>|[,;]|[^,;"<>]+|["<>]')


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry. text: as typed. email: its stored form, "" if it is invalid; problem says why."""

    line: int
    text: str
    email: str = ""
    name: str = ""
    problem: str = ""


def parse_recipients(text: str) -> list[Recipient]:
    """All entries of a list, also the invalid ones, in their order."""
    return [
        parse_recipient(entry, number)
        for number, line in enumerate(text.splitlines(), 1)
        for entry in _entries(line)
    ]


def parse_recipient(text: str, line: int = 1) -> Recipient:
    """`address`, `Name <address>` or `Name address`."""
    name, address = _name_and_address(text)
    try:
        return Recipient(line, text, parse_email(address), clean_name(name))
    except AddressError as error:
        return Recipient(line, text, problem=str(error))


def read_recipients(stream: BinaryIO) -> str:
    """The list in a file, as text for parse_recipients(): CSV with a column of addresses, or text.

    Raises FileInvalid.
    """
    table = UserTable(stream)
    mapping = guess_mapping(table.columns)
    if "email" not in mapping:
        stream.seek(0)
        try:
            return stream.read(MAX_FILE).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FileInvalid(NOT_UTF8) from None
    rows = (map_fields(record.values, mapping) for record in table.records())
    return "\n".join(_as_entry(row) for row in rows)


def _as_entry(row: dict[str, str]) -> str:
    parts = (row.get("first_name", ""), row.get("last_name", ""))
    name = clean_name(row.get("name", "") or " ".join(parts)).replace('"', "")
    email = " ".join(row["email"].split())
    return f'"{name}" <{email}>' if name else email


def _entries(line: str) -> list[str]:
    """The parts of a line between commas and semicolons outside of quotes and angle brackets."""
    entries = [""]
    for part in _PARTS.findall(line):
        if part in ",;":
            entries.append("")
        else:
            entries[-1] += part
    return [entry.strip() for entry in entries if entry.strip()]


def _name_and_address(text: str) -> tuple[str, str]:
    before, sign, rest = text.rpartition("<")
    if sign and rest.endswith(">"):
        return before.strip().strip('"'), rest[:-1].strip()
    words = text.split()
    addresses = [word for word in words if "@" in word]
    if len(words) > 1 and len(addresses) == 1:
        return " ".join(word for word in words if word != addresses[0]).strip('"'), addresses[0]
    return "", text
