"""The page "Invite people": a list is checked, corrected and sent."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.html import escape

from accounts.actors import SYSTEM
from accounts.models import Invitation, User
from accounts.services.groups.changes import create_group
from accounts.services.invitations import invite, withdraw
from audit.models import AuditEvent
from mail.models import OutboxMail

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
LIST = "/admin/accounts/invitation/"
PAGE = f"{LIST}many/"
SEND = f"{PAGE}send/"
PEOPLE = "Nina <nina@example.com>\nnope\notto@example.com, NINA@example.com"


def typed(people: str = PEOPLE, **changes: Any) -> dict[str, Any]:
    return {"people": people, "role": "viewer", "days": "7"} | changes


def checked(client: Client, fields: dict[str, Any]) -> dict[str, Any]:
    """The form as the page shows it after a check."""
    text = client.post(PAGE, fields).content.decode()
    found = re.search(r'name="checked" value="([^"]+)"', text)
    assert found is not None, text
    return {name: value for name, value in fields.items() if name != "file"} | {"checked": found[1]}


def test_checking_shows_each_entry_and_sends_nothing(as_role: AsRole) -> None:
    client, _owner = as_role("owner")

    answer = client.post(PAGE, typed())

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Send 2 invitations" in text
    for word in ("Will be invited", "Not an address", "Twice in the list", escape("Nina")):
        assert word in text
    assert escape(PEOPLE) in text  # what was typed can be corrected
    assert (Invitation.objects.count(), OutboxMail.objects.count()) == (0, 0)


def test_sending_invites_and_shows_each_link_once(as_role: AsRole) -> None:
    client, owner = as_role("owner")

    answer = client.post(SEND, checked(client, typed(role="editor", days="3")))

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    links = re.findall(r'value="(http://localhost:8000/invitation/[^"]+)"', text)
    assert len(set(links)) == 2
    assert all(f"nina@example.com\t{links[0]}" in part for part in [text])
    found = Invitation.objects.order_by("pk")
    assert [(row.email, row.role, row.invited_by) for row in found] == [
        ("nina@example.com", "editor", owner), ("otto@example.com", "editor", owner),
    ]  # fmt: skip
    assert AuditEvent.objects.filter(action="account:invitation:issue").count() == 2
    assert "2 entries were not invited" in text
    assert '<textarea name="people" hidden>nope</textarea>' in text
    assert links[0] not in client.get(LIST).content.decode()


@pytest.mark.parametrize("changes", [{"people": "otto@example.com"}, {"role": "editor"},
                                     {"resend": "on"}, {"checked": ""}])  # fmt: skip
def test_a_list_that_changed_since_the_check_is_checked_again(
    as_role: AsRole, changes: dict[str, str]
) -> None:
    client, _owner = as_role("owner")

    answer = client.post(SEND, checked(client, typed()) | changes)

    assert b"The list has changed since it was checked" in answer.content
    assert not Invitation.objects.exists()


def test_a_list_gets_a_role_until_a_time(as_role: AsRole) -> None:
    client, _owner = as_role("owner")
    fields = typed(role="editor", role_until="2999-12-04T17:00", role_after="viewer")

    lacking = client.post(PAGE, fields | {"role_after": ""})
    changed = client.post(SEND, checked(client, fields) | {"role_until": "2999-12-05T17:00"})
    assert not Invitation.objects.exists()
    answer = client.post(SEND, checked(client, fields))

    assert [*lacking.context["form"].errors] == ["role_after"]
    assert "The list has changed since it was checked." in changed.content.decode()
    sent = Invitation.objects.values_list("role", "role_until", "role_after")
    end = datetime(2999, 12, 4, 17, tzinfo=UTC)
    assert list(sent) == [("editor", end, "viewer")] * 2
    # What was wrong is corrected with the same choices.
    text = answer.content.decode()
    for name in ("role_until", "role_after"):
        assert f'<input type="hidden" name="{name}" value="{fields[name]}">' in text


def test_a_file_is_added_to_the_list(as_role: AsRole) -> None:
    client, _owner = as_role("owner")
    file = SimpleUploadedFile("people.csv", "Name;E-Mail\nOtto Öl;otto@example.com\n".encode())

    text = client.post(PAGE, typed("nina@example.com", file=file)).content.decode()

    assert escape('nina@example.com\n"Otto Öl" <otto@example.com>') in text
    assert "Send 2 invitations" in text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (typed(""), "Enter at least one address, or choose a file."),
        (typed("a@b.c\n" * 501), "at most 500 addresses at once"),
        (typed("x" * 70_000), "at most 65536 characters"),
        (typed(days="31"), "Select a valid choice"),
    ],
)
def test_a_wrong_form_says_why(as_role: AsRole, fields: dict[str, str], message: str) -> None:
    client, _owner = as_role("owner")

    for path in (PAGE, SEND):
        assert message in client.post(path, fields).content.decode()
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "Line 1: The file is not UTF-8."),
        (b"", "Line 1: The file is empty."),
        (b"a@b.c\n" * 50_000, "The file is larger than 256 KB."),
        (b'Email\n"a@b.c', "Line 2: A quotation mark is opened"),
    ],
)
def test_a_wrong_file_says_why_and_keeps_what_was_typed(
    as_role: AsRole, content: bytes, message: str
) -> None:
    client, _owner = as_role("owner")
    file = SimpleUploadedFile("people.csv", content)

    text = client.post(PAGE, typed("nina@example.com", file=file)).content.decode()

    assert message in text
    assert "nina@example.com</textarea>" in text


def test_an_admin_gives_only_lower_roles(as_role: AsRole) -> None:
    client, _admin = as_role("admin")

    text = client.get(PAGE).content.decode()

    assert re.findall(r'<option value="(\w+)"[^>]*>(?:Owner|Admin|Editor|Viewer|No)', text) == [
        "editor", "viewer", "none",  # the role
        "viewer", "none",  # the one afterwards
    ]  # fmt: skip
    assert b"Select a valid choice" in client.post(PAGE, typed(role="admin")).content


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_others_do_not_open_the_page(as_role: AsRole, role: str) -> None:
    client, _user = as_role(role)

    assert client.get(PAGE).status_code == 403
    assert client.post(SEND, typed()).status_code == 403
    assert not Invitation.objects.exists()


def test_sending_needs_a_fresh_sign_in_and_checking_does_not(as_role: AsRole, at_time: Any) -> None:
    client, _owner = as_role("owner")
    at_time(timedelta(hours=1))

    answer = client.post(SEND, checked(client, typed()))

    assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, "/confirm")
    assert not Invitation.objects.exists()


def test_chosen_invitations_are_sent_again(as_role: AsRole) -> None:
    client, owner = as_role("owner")
    open_one = invite(actor=owner, email="a@example.com").invitation
    gone = invite(actor=owner, email="b@example.com").invitation
    withdraw(actor=owner, invitation=gone)
    keys = [str(open_one.pk), str(gone.pk)]

    answer = client.post(
        LIST, {"action": "send_chosen_again", "_selected_action": keys, "index": "0"}
    )

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert len(re.findall(r'value="http://localhost:8000/invitation/[^"]+"', text)) == 1
    assert "1 entry was not invited" in text
    assert "This invitation has already ended." in text
    assert Invitation.objects.filter(email="a@example.com").count() == 2


def test_groups_are_named_on_both_pages(as_role: AsRole, db: None) -> None:
    client, _owner = as_role("owner")
    keys = [str(create_group(actor=SYSTEM, name=name).pk) for name in ("finance", "lab")]
    typed = {"role": "viewer", "days": "7", "groups": "finance; Lab"}

    one = client.post(f"{LIST}add/", {**typed, "email": "nina@example.com"})
    wrong = client.post(PAGE, {**typed, "people": "a@example.com", "groups": "finanse, lab"})
    text = client.post(PAGE, {**typed, "people": "a@example.com\nnope"}).content.decode()
    found = re.search(r'name="checked" value="([^"]+)"', text)
    assert found is not None
    fields = {**typed, "people": "a@example.com\nnope", "checked": found[1]}
    changed = client.post(SEND, {**fields, "groups": "lab"})
    sent = client.post(SEND, fields).content.decode()

    assert one.status_code == 200
    assert (
        "There is no group &#x27;finanse&#x27;. Did you mean “finance”?" in wrong.content.decode()
    )
    assert 'value="finance; Lab"' in text
    assert "The list has changed since it was checked." in changed.content.decode()
    assert '<input type="hidden" name="groups" value="finance; Lab">' in sent
    assert [row.group_ids for row in Invitation.objects.all()] == [keys] * 2
    row = Invitation.objects.get(email="nina@example.com")
    assert "finance, lab" in client.get(f"{LIST}{row.pk}/change/").content.decode()
