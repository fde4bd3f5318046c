"""Files with users, read without a database: tables, cells, columns, rows, hashes."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.passwords.imported_hashes import (
    TOO_COSTLY,
    UNKNOWN_HASH,
    HashRefused,
    parse_hash,
)
from accounts.user_files import fields, rows, sources, spreadsheets, tables
from accounts.user_files.tables import FileInvalid, UserTable
from core.text import email_addresses

NOW = datetime(2026, 6, 1, tzinfo=UTC)
# Of "secret", cost 4.
BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
PBKDF2 = "pbkdf2_sha256$600000$abcdefghijklmnop$" + "A" * 43 + "="
ARGON2 = "argon2$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$" + "A" * 43


def table(text: str | bytes) -> UserTable:
    return UserTable(io.BytesIO(text if isinstance(text, bytes) else text.encode()))


def values(text: str | bytes) -> list[dict[str, str]]:
    return [dict(record.values) for record in table(text).records()]


def fault(text: str | bytes) -> tuple[int, str]:
    """(line, message) with which reading fails."""
    with pytest.raises(FileInvalid) as caught:
        list(table(text).records())
    return caught.value.line, caught.value.message


# CSV


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_is_read_in_its_variants(mark: bytes, sign: str, end: str) -> None:
    lines = [sign.join(("email", "name")), sign.join(("a@b.c", f'"Ä{sign} ""B"""')), ""]

    assert values(mark + end.join(lines).encode()) == [{"email": "a@b.c", "name": f'Ä{sign} "B"'}]


def test_lines_are_counted_where_a_row_begins() -> None:
    text = '\nemail,name\na@b.c,"one\ntwo"\n\n,\nd@e.f,x\n'

    assert [record.line for record in table(text).records()] == [3, 7]


def test_a_short_row_is_read_and_a_long_one_is_not() -> None:
    found = list(table("email,name\na@b.c\nd@e.f,x,y\ng@h.i,x,\n").records())

    assert [(dict(record.values), record.problem) for record in found] == [
        ({"email": "a@b.c"}, ""),
        ({"email": "d@e.f", "name": "x"}, tables.TOO_MANY_CELLS),
        ({"email": "g@h.i", "name": "x"}, ""),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, tables.EMPTY)),
        (" \n\n", (1, tables.EMPTY)),
        (b"email\n\xff\xfe", (1, tables.NOT_UTF8)),
        ("email\n".encode("utf-16"), (1, tables.NOT_UTF8)),
        ('email,name\na@b.c,"x\n' + "y\n" * 10, (2, tables.OPEN_QUOTE)),
        ('email,name\na@b.c,"x\n' + "y\n" * 100_000, (2, tables.RECORD_TOO_LONG)),
        ('email,name\na@b.c,"x" y\n', (2, tables.STRAY_QUOTE)),
        ("email\n" + "x" * 70_000, (2, tables.LINE_TOO_LONG)),
        ("a," * 300, (1, tables.TOO_MANY_COLUMNS)),
        ("," * 1_000_000, (1, tables.LINE_TOO_LONG)),
        ("email,email\na@b.c,d@e.f\n", (1, tables.DOUBLE_COLUMN)),
    ],
)
def test_a_hostile_csv_is_refused_with_its_line(text: str | bytes, expected: object) -> None:
    assert fault(text) == expected


def test_a_row_of_a_million_cells_is_refused() -> None:
    assert fault("email\n" + '"\n",' * 1_000_000) == (2, tables.RECORD_TOO_LONG)


def test_nul_is_a_problem_of_its_row_alone() -> None:
    found = [record.problem for record in table("email\na\0@b.c\nd@e.f\n").records()]

    assert found == [tables.HAS_NUL, ""]


# JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"email": "a@b.c", "n": 1}\n{"email": "d@e.f", "n": null}\n',
        '[{"email": "a@b.c", "n": 1},\n {"email": "d@e.f", "n": null}]',
        '\ufeff{\n"email": "a@b.c",\n"n": 1}\n{"email": "d@e.f", "n": null}',
    ],
    ids=["lines", "array", "spread"],
)
def test_json_is_read_as_lines_and_as_an_array(text: str) -> None:
    assert values(text) == [{"email": "a@b.c", "n": "1"}, {"email": "d@e.f", "n": ""}]


def test_json_of_mongoexport_and_dumpdata_is_flattened() -> None:
    mongo = {
        "_id": {"$oid": "65a"}, "createdAt": {"$date": "2024-01-02T03:04:05Z"},
        "old": {"$date": {"$numberLong": "1704164645000"}}, "ok": True, "more": [1], "deep": {},
    }  # fmt: skip
    django = {"model": "database.khojuser", "pk": 1, "fields": {"email": "a@b.c"}}

    assert values(json.dumps(mongo) + json.dumps(django)) == [
        {"_id": "65a", "createdAt": "2024-01-02T03:04:05Z", "old": "2024-01-02T03:04:05+00:00",
         "ok": "true", "more": "", "deep": ""},
        {"email": "a@b.c"},
    ]  # fmt: skip


def test_records_of_json_are_read_across_chunks() -> None:
    text = "".join(f'{{"email": "u{number}@b.c"}}\n' for number in range(10_000))

    found = list(table(text).records())

    assert (len(found), found[-1].line) == (10_000, 10_000)
    assert found[-1].values == {"email": "u9999@b.c"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"email": "a@b.c"}\n{"email": ', (2, tables.NOT_JSON)),
        ('{"email": "a@b.c"}\n17', (2, tables.NOT_JSON)),
        ('{"email": 1, "email": 2}', (1, tables.NOT_JSON)),
        ('{"email": NaN}', (1, tables.NOT_JSON)),
        ('{"a": ' * 100_000, (1, tables.NOT_JSON)),
        ('{"a": "' + "x" * 300_000 + '"}', (1, tables.RECORD_TOO_LONG)),
    ],
)
def test_hostile_json_is_refused_with_its_line(text: str, expected: object) -> None:
    assert fault(text) == expected


# Formulas


@pytest.mark.parametrize("text", ["=1+1", "+49", "-x", "@x", "\tx", "\rx", "'=x", "''=x"])
def test_a_formula_becomes_text_and_back(text: str) -> None:
    assert spreadsheets.guard(text) == f"'{text}"
    assert spreadsheets.unguard(spreadsheets.guard(text)) == text


@pytest.mark.parametrize("text", ["", "x", "'", "'x", "''x", "O'Neil", "x=1", " =1"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert spreadsheets.guard(text) == text
    assert spreadsheets.unguard(text) == text


def test_cells_of_a_file_are_freed_of_the_guard() -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["email", "name"], ["a@b.c", spreadsheets.guard("=1+1")]])

    assert values(out.getvalue()) == [{"email": "a@b.c", "name": "=1+1"}]


# Columns


def test_columns_are_guessed_from_usual_names() -> None:
    columns = ("ID", "E-Mail-Adresse", "Vorname", "Last Name [Required]", "Password", "is_active",
               "Rolle", "email_verified", "Mail")  # fmt: skip

    assert fields.guess_mapping(columns) == {
        "email": "E-Mail-Adresse",
        "first_name": "Vorname",
        "last_name": "Last Name [Required]",
        "state": "is_active",
        "role": "Rolle",
        "verified": "email_verified",
    }


def test_all_fields_of_an_export_are_guessed() -> None:
    assert fields.guess_mapping(fields.FIELDS) == {name: name for name in fields.FIELDS}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, fields.NO_EMAIL),
        ({"email": ""}, fields.NO_EMAIL),
        ({"email": "Nope"}, fields.UNKNOWN_COLUMN),
        ({"email": "Mail", "shoe": "Mail"}, fields.UNKNOWN_FIELD),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(fields.MappingInvalid) as caught:
        fields.check_mapping(mapping, ("Mail", "Name", ""))

    assert caught.value.message == message


# Rows


def parsed(**texts: str) -> tuple[rows.UserRow, list[tuple[str, str, str]]]:
    row, errors = rows.parse_row(
        7, {"email": "A@Example.com", **texts}, role_map={"boss": "admin", "user": ""}, now=NOW
    )
    return row, [(error.field, error.message, error.value) for error in errors]


def test_a_row_is_parsed_into_stored_forms() -> None:
    row, errors = parsed(
        name=" Anna\u202e  Älv ", username="Anna", role="Editor", state="disabled", verified="yes",
        created_at="2024-01-02 03:04:05.678+00", password_hash=PBKDF2,
    )  # fmt: skip

    assert errors == []
    assert row == rows.UserRow(
        line=7, email="a@example.com", name="Anna Älv", username="anna", role="editor",
        is_active=False, is_verified=True, password=PBKDF2,
        created_at=datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    )  # fmt: skip
    assert PBKDF2 not in repr(row)


def test_empty_cells_say_nothing() -> None:
    row, errors = parsed(name="", username=" ", role="", state="", verified="", created_at="")

    assert (row, errors) == (rows.UserRow(line=7, email="a@example.com"), [])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"role": "Boss"}, "admin"),
        ({"role": "USER"}, None),
        ({"role": "none"}, "none"),
    ],
)
def test_roles_are_mapped(texts: dict[str, str], expected: str | None) -> None:
    assert (parsed(**texts)[0].role, parsed(**texts)[1]) == (expected, [])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"email": ""}, ("email", rows.NO_ADDRESS, "")),
        ({"email": "nope"}, ("email", email_addresses.NOT_AN_ADDRESS, "")),
        ({"username": "a b"}, ("username", email_addresses.NOT_A_USERNAME, "")),
        ({"role": "king"}, ("role", rows.NOT_A_ROLE, "'king'")),
        ({"state": "odd"}, ("state", rows.NOT_A_STATE, "'odd'")),
        ({"verified": "odd"}, ("verified", rows.NOT_YES_NO, "'odd'")),
        ({"created_at": "soon"}, ("created_at", rows.NOT_A_TIME, "'soon'")),
        ({"created_at": "2031-01-01"}, ("created_at", rows.TIME_OUT_OF_RANGE, "'2031-01-01'")),
        ({"created_at": "1831-01-01"}, ("created_at", rows.TIME_OUT_OF_RANGE, "'1831-01-01'")),
        ({"name": "x" * 151}, ("name", rows.NAME_TOO_LONG, "")),
        ({"name": "x" * 5000}, ("name", rows.TOO_LONG, "")),
        ({"password_hash": "hunter2 in clear"}, ("password_hash", UNKNOWN_HASH, "")),
    ],
)
def test_a_wrong_cell_is_named(texts: dict[str, str], expected: object) -> None:
    assert parsed(**texts)[1] == [expected]


def test_all_errors_of_a_row_are_reported_at_once() -> None:
    assert [name for name, *_rest in parsed(email="x", role="king", state="odd")[1]] == [
        "email", "role", "state",
    ]  # fmt: skip


def test_a_time_of_verification_counts_as_yes() -> None:
    assert parsed(verified="2024-01-02T03:04:05Z")[0].is_verified is True


def test_the_name_is_made_of_its_parts_unless_there_is_one() -> None:
    assert parsed(first_name="Anna ", last_name="Älv")[0].name == "Anna Älv"
    assert parsed(first_name="Anna", name="Frau Älv")[0].name == "Frau Älv"


# Password hashes


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (PBKDF2, PBKDF2),
        (f" {PBKDF2}\n", PBKDF2),
        (ARGON2, ARGON2),
        (ARGON2.removeprefix("argon2"), ARGON2),
        (BCRYPT, f"bcrypt${BCRYPT}"),
        (f"bcrypt${BCRYPT}", f"bcrypt${BCRYPT}"),
        (BCRYPT.replace("2b", "2a"), f"bcrypt${BCRYPT}".replace("2b", "2a")),
        (BCRYPT.replace("2b", "2y"), f"bcrypt${BCRYPT}".replace("2b", "2y")),
        (BCRYPT.replace("$04", "$14"), f"bcrypt${BCRYPT}".replace("$04", "$14")),
        ("", ""),
        ("!", ""),
        ("!xyzXYZ0123", ""),
    ],
)
def test_known_hashes_are_kept(text: str, stored: str) -> None:
    assert parse_hash(text) == stored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hunter2", UNKNOWN_HASH),
        ("md5$salt$0123456789abcdef0123456789abcdef", UNKNOWN_HASH),
        ("pbkdf2_sha1$1000$salt$" + "A" * 27 + "=", UNKNOWN_HASH),
        (PBKDF2.replace("600000", "999999999"), TOO_COSTLY),
        (PBKDF2.replace("600000", "2000001"), TOO_COSTLY),
        (PBKDF2.replace("600000", "0"), UNKNOWN_HASH),
        (PBKDF2.replace("600000", "9" * 40), UNKNOWN_HASH),
        (PBKDF2.replace("600000", "-5"), UNKNOWN_HASH),
        (PBKDF2[:-3], UNKNOWN_HASH),
        (PBKDF2 + "$x", UNKNOWN_HASH),
        (ARGON2.replace("m=19456", "m=9999999"), TOO_COSTLY),
        (ARGON2.replace("t=2", "t=1000"), TOO_COSTLY),
        (ARGON2.replace("p=1", "p=200"), TOO_COSTLY),
        (ARGON2.replace("argon2id", "argon2d"), UNKNOWN_HASH),
        (BCRYPT.replace("$04", "$15"), TOO_COSTLY),
        (BCRYPT.replace("$04", "$31"), TOO_COSTLY),
        (BCRYPT.replace("$04", "$03"), UNKNOWN_HASH),
        (BCRYPT.replace("2b", "2x"), UNKNOWN_HASH),
        (BCRYPT[:-1], UNKNOWN_HASH),
        (f"{BCRYPT}x", UNKNOWN_HASH),
        ("!" * 1_000_000, UNKNOWN_HASH),
        ("x" * 1_000_000, UNKNOWN_HASH),
    ],
)
def test_other_hashes_are_refused_and_never_repeated(text: str, message: str) -> None:
    with pytest.raises(HashRefused) as caught:
        parse_hash(text)

    assert str(caught.value) == message


# The tables of other systems

KHOJ = {
    "username": "anna", "email": "anna@example.com", "first_name": "Anna", "last_name": "Älv",
    "is_active": "t", "is_staff": "f", "is_superuser": "t", "date_joined": "2024-01-02 03:04:05+00",
    "verified_email": "t", "password": PBKDF2,
}  # fmt: skip
LIBRECHAT = {
    "email": "anna@example.com", "name": "Anna Älv", "username": "anna", "role": "ADMIN",
    "provider": "local", "emailVerified": "true", "createdAt": "2024-01-02T03:04:05Z",
    "password": BCRYPT,
}  # fmt: skip
MAGE = {
    "email": "anna@example.com", "first_name": "Anna", "last_name": "Älv", "username": "anna",
    "owner": "f", "roles": "1", "password_hash": BCRYPT, "created_at": "2024-01-02 03:04:05",
}  # fmt: skip
LOBECHAT = {
    "email": "anna@example.com", "full_name": "Anna Älv", "username": "anna", "is_onboarded": "t",
    "email_verified_at": "2024-01-02 03:04:05+00", "created_at": "2024-01-02 03:04:05+00",
}  # fmt: skip
REFLECTOR = {
    "email": "anna@example.com", "authentik_uid": "x", "created_at": "2024-01-02 03:04:05+00",
}  # fmt: skip
FULL = {"email": "anna@example.com", "name": "Anna Älv", "username": "anna",
        "created_at": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)}  # fmt: skip


def read_from(name: str, row: dict[str, str]) -> rows.UserRow:
    source = sources.SOURCES[name]
    assert source.needs in row
    found, errors = rows.parse_row(1, source.read(row), role_map=source.role_map, now=NOW)
    assert errors == []
    return found


@pytest.mark.parametrize(
    ("name", "row", "more"),
    [
        ("khoj", KHOJ, {"role": "admin", "is_active": True, "is_verified": True,
                        "password": PBKDF2}),
        ("librechat", LIBRECHAT,
         {"role": "admin", "is_verified": True, "password": f"bcrypt${BCRYPT}"}),
        ("mage", MAGE, {"role": "admin", "password": f"bcrypt${BCRYPT}"}),
        ("lobechat", LOBECHAT, {"is_verified": True}),
        ("reflector", REFLECTOR, {"name": None, "username": None}),
    ],
)  # fmt: skip
def test_rows_of_other_systems_are_understood(
    name: str, row: dict[str, str], more: dict[str, Any]
) -> None:
    assert read_from(name, row) == rows.UserRow(line=1, **(FULL | more))


@pytest.mark.parametrize(
    ("name", "row", "changes", "role"),
    [
        ("khoj", KHOJ, {"is_superuser": "f", "is_staff": "f"}, None),
        ("khoj", KHOJ, {"is_superuser": "f", "is_staff": "t"}, "admin"),
        ("librechat", LIBRECHAT, {"role": "USER"}, None),
        ("mage", MAGE, {"owner": "t"}, "owner"),
        ("mage", MAGE, {"roles": "2"}, "editor"),
        ("mage", MAGE, {"roles": "6"}, "editor"),
        ("mage", MAGE, {"roles": "4"}, "viewer"),
        ("mage", MAGE, {"roles": ""}, None),
        ("mage", MAGE, {"roles": "", "role": "Editor"}, "editor"),
    ],
)
def test_roles_of_other_systems(
    name: str, row: dict[str, str], changes: dict[str, str], role: str | None
) -> None:
    assert read_from(name, row | changes).role == role


@pytest.mark.parametrize("changes", [{"status": "banned"}, {"status": "suspended"},
                                     {"banned": "t"}])  # fmt: skip
def test_who_is_banned_in_lobechat_is_disabled(changes: dict[str, str]) -> None:
    assert read_from("lobechat", LOBECHAT | changes).is_active is False
