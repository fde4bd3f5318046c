"""The pages "Import users" and "Export users"."""

import base64
import re
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.html import escape

from accounts.models import User
from accounts.services.bulk import imports
from audit.models import AuditEvent
from tests.accounts.test_import import PBKDF2

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
LIST = "/admin/accounts/user/"
PAGE, RUN, EXPORT = f"{LIST}import/", f"{LIST}import/run/", f"{LIST}export/"
FILE = "Mail;Wer;Rolle\nanna@example.com;Anna Älv;editor\nbert@example.com;Bert;\n"


def upload(text: str | bytes = FILE, **changes: Any) -> dict[str, Any]:
    content = text if isinstance(text, bytes) else text.encode()
    return {"file": SimpleUploadedFile("people.csv", content), "role": "viewer"} | changes


def shown(client: Client, fields: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The page after a check, and its form as a browser would send it."""
    text = client.post(PAGE, fields).content.decode()
    hidden = dict(
        re.findall(r'<input type="hidden" name="(content|checked)" value="([^"]*)"', text)
    )
    selects = re.findall(r'<select name="(\w+)"[^>]*>(.*?)</select>', text, re.DOTALL)
    chosen = {
        name: (re.search(r'value="([^"]*)" selected', options) or ["", ""])[1]
        for name, options in selects
    }
    ticks = dict.fromkeys(re.findall(r'type="checkbox" name="(\w+)"[^>]* checked', text), "on")
    return text, hidden | chosen | ticks


def test_a_file_is_checked_before_anything_is_written(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    text, form = shown(client, upload())

    assert "Import 2 accounts" in text
    assert (form["map_email"], form["map_name"], form["map_role"]) == ("Mail", "", "Rolle")
    assert User.objects.count() == 1


def test_what_was_checked_is_imported(as_role: AsRole) -> None:
    client, owner = as_role("owner")
    _text, form = shown(client, upload())
    text, form = shown(client, form | {"map_name": "Wer", "role": "none"})
    assert "Anna Älv" in text

    answer = client.post(RUN, form)

    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert b"2 accounts were created." in client.get(LIST).content
    anna, bert = User.objects.exclude(pk=owner.pk).order_by("email")
    assert [anna.name, anna.role, bert.role, bert.is_verified] == [
        "Anna Älv", "editor", "none", False,
    ]  # fmt: skip
    event = AuditEvent.objects.get(action="account:user:import")
    assert (event.actor_id, event.detail["created"]) == (owner.pk, 2)


@pytest.mark.parametrize(
    "changes", [{"role": "editor"}, {"update": "on"}, {"verified": "on"}, {"checked": ""},
                {"map_name": "Wer"}]
)  # fmt: skip
def test_choices_that_changed_since_the_check_are_shown_again(
    as_role: AsRole, changes: dict[str, str]
) -> None:
    client, _owner = as_role("owner")
    _text, form = shown(client, upload())

    answer = client.post(RUN, form | changes)

    assert b"have changed since the check" in answer.content
    assert User.objects.count() == 1


def test_another_file_is_checked_again(as_role: AsRole) -> None:
    client, _owner = as_role("owner")
    _text, form = shown(client, upload())

    answer = client.post(RUN, form | upload("Mail\nother@example.com\n"))

    assert b"have changed since the check" in answer.content
    assert User.objects.count() == 1


def test_wrong_rows_are_shown_with_their_lines_and_keep_the_file_out(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    text, form = shown(client, upload(FILE + "nope;;king\n"))

    assert "Nothing is imported as long as a row is wrong." in text
    assert escape("'king' is not a role: owner, admin, editor, viewer or none.") in text
    assert re.search(r'<td class="number" data-label="Line">4</td>', text)
    assert RUN not in text
    client.post(RUN, form)
    assert User.objects.count() == 1


def test_wrong_rows_can_be_skipped(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    text, form = shown(client, upload(FILE + "nope;;\n", skip_errors="on"))
    answer = client.post(RUN, form)

    assert "Import 2 accounts" in text
    assert answer.status_code == 302
    assert b"1 row was skipped." in client.get(LIST).content
    assert User.objects.count() == 3


def test_existing_accounts_change_only_if_asked_for(as_role: AsRole, viewer: User) -> None:
    client, _owner = as_role("owner")
    file = "email,role\nviewer@example.com,editor\n"

    text, _form = shown(client, upload(file))
    assert "There is nothing to import" in text

    text, form = shown(client, upload(file, update="on"))
    assert "Import 1 account" in text
    client.post(RUN, form)
    viewer.refresh_from_db()
    assert viewer.role == "editor"


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_an_admin_imports_nobody_of_their_rank(as_role: AsRole, role: str) -> None:
    client, _admin = as_role("admin")

    text, form = shown(client, upload(f"email,role\nanna@example.com,{role}\n"))
    client.post(RUN, form)

    assert escape("You may only give roles below your own.") in text or "makes no owners" in text
    assert User.objects.count() == 1


def test_an_owner_imports_no_owner_here(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    text, form = shown(client, upload("email,role\nanna@example.com,owner\n"))
    client.post(RUN, form)

    assert "An import makes no owners." in text
    assert User.objects.count() == 1


def test_a_hash_is_imported_and_not_shown(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    text, form = shown(client, upload(f"email,password_hash\nanna@example.com,{PBKDF2}\n"))
    client.post(RUN, form)

    assert PBKDF2 not in text
    assert User.objects.get(email="anna@example.com").password == PBKDF2


def test_tables_of_other_systems_need_no_mapping(as_role: AsRole) -> None:
    client, _owner = as_role("owner")
    file = "email,authentik_uid,created_at\nanna@example.com,x,2024-01-02 03:04:05+00\n"

    text, form = shown(client, upload(file, source="reflector"))
    client.post(RUN, form)

    assert "map_email" not in text
    assert User.objects.get(email="anna@example.com").created_at.year == 2024


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"role": "viewer"}, "Choose a file."),
        (upload(b""), "Line 1: The file is empty."),
        (upload(b"\xff\xfe"), "The file is not UTF-8."),
        (upload('email\n"a@b.c\n'), "Line 2: A quotation mark is opened in this row"),
        (upload("name\nAnna\n"), "No column is known to hold the email addresses."),
        (upload("Mail\na@b.c\n", source="mage"), escape("The file has no “password_hash”")),
        (upload("x" * 1_000_001), "This file is too large for the page."),
        (upload("email\n" + "a@b.c\n" * 20_000), "This file is too large for the page."),
        (upload('{"email":"a@b.c"}' * 20_001), "This file is too large for the page."),
        ({"role": "viewer", "content": "not base 64!"}, "Choose a file."),
        ({"role": "viewer", "content": "YWJj"}, "Choose a file."),
    ],
)
def test_a_wrong_form_says_why(as_role: AsRole, fields: dict[str, Any], message: str) -> None:
    client, _owner = as_role("owner")

    text = client.post(PAGE, fields).content.decode()

    assert message in text
    assert User.objects.count() == 1


def test_the_file_in_the_form_unpacks_to_its_limit(as_role: AsRole) -> None:
    client, _owner = as_role("owner")
    bomb = base64.b64encode(zlib.compress(b"x" * 50_000_000, 9)).decode()

    text = client.post(PAGE, {"role": "viewer", "content": bomb}).content.decode()

    assert "Line 1: This line is too long." in text


def test_the_page_asks_for_a_fresh_sign_in_before_a_file_is_chosen(
    as_role: AsRole, at_time: Any
) -> None:
    client, _owner = as_role("owner")
    at_time(timedelta(hours=1))

    for answer in (client.get(PAGE), client.post(RUN, upload()), client.post(EXPORT, {})):
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, "/confirm")


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_others_neither_import_nor_export(as_role: AsRole, role: str) -> None:
    client, _user = as_role(role)

    for answer in (client.get(PAGE), client.post(RUN, upload()), client.post(EXPORT, {})):
        assert answer.status_code == 403
    assert User.objects.count() == 1


def test_what_changes_meanwhile_is_told(
    as_role: AsRole, monkeypatch: pytest.MonkeyPatch, viewer: User
) -> None:
    client, _owner = as_role("owner")
    file = "email,role\nviewer@example.com,editor\n"
    _text, form = shown(client, upload(file, update="on"))
    monkeypatch.setattr(imports, "_keys", lambda _batch: set())

    answer = client.post(RUN, form)

    assert answer.status_code == 200
    viewer.refresh_from_db()
    assert viewer.role == "viewer"


def test_an_export_is_a_file_that_the_import_reads(as_role: AsRole, viewer: User) -> None:
    client, owner = as_role("owner")
    assert b"Download CSV" in client.get(EXPORT).content

    answer: Any = client.post(EXPORT, {"search": "", "role": "", "state": ""})

    content = b"".join(answer.streaming_content)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer["Content-Disposition"].startswith('attachment; filename="users-20')
    assert "no-store" in answer["Cache-Control"]
    columns = b"created_at,expires_at,role_until,role_after,groups,kind,responsible\r\n"
    assert content.startswith(b"\xef\xbb\xbfemail,name,username,role,state,verified," + columns)
    assert b"viewer@example.com,Vera Viewer,vera,viewer,active,yes," in content
    event = AuditEvent.objects.get(action="account:user:export")
    assert (event.actor_id, event.detail["count"]) == (owner.pk, 2)
    assert "There is nothing to import" in shown(client, upload(content))[0]


def test_an_export_is_filtered(as_role: AsRole, viewer: User) -> None:
    client, _owner = as_role("owner")

    answer: Any = client.post(EXPORT, {"role": "viewer", "state": "active"})
    assert b"".join(answer.streaming_content).count(b"\n") == 2

    assert b"No account matches." in client.post(EXPORT, {"state": "disabled"}).content
