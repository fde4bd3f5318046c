"""A list of people is read as it is pasted, and each of them is invited once."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, User
from accounts.services.bulk.invitations import (
    InvitationLine,
    invite_many,
    plan_invitations,
    send_again,
)
from accounts.services.invitations import accept_invitation, invite, withdraw
from accounts.user_files.address_list import parse_recipients, read_recipients
from accounts.user_files.tables import FileInvalid
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from mail.models import OutboxMail

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]


def read(text: str) -> list[tuple[int, str, str]]:
    """(line, address, name) of each entry."""
    return [(each.line, each.email, each.name) for each in parse_recipients(text)]


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b.c", [(1, "a@b.c", "")]),
        (" A@B.C \n\n d@e.f\r\ng@h.i", [(1, "a@b.c", ""), (3, "d@e.f", ""), (4, "g@h.i", "")]),
        ("a@b.c, d@e.f;g@h.i,", [(1, "a@b.c", ""), (1, "d@e.f", ""), (1, "g@h.i", "")]),
        ("Anna Älv <a@b.c>", [(1, "a@b.c", "Anna Älv")]),
        ('"Älv, Anna" <a@b.c>; <d@e.f>', [(1, "a@b.c", "Älv, Anna"), (1, "d@e.f", "")]),
        ("Anna Älv\ta@b.c", [(1, "a@b.c", "Anna Älv")]),
        ("a@b.c\tAnna Älv", [(1, "a@b.c", "Anna Älv")]),
        ("Anna <a@münchen.de>", [(1, "a@xn--mnchen-3ya.de", "Anna")]),
        ("", []),
        (" , ; \n", []),
    ],
)
def test_lists_are_read_as_people_paste_them(text: str, expected: object) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text", ["nope", "a@b.c d@e.f", "Anna <a@b.c> x", '"a@b.c', "<a@b.c", "a@b@c.d",
             "x" * 10_000, "Anna <nope>", "\0a@b.c"]
)  # fmt: skip
def test_what_is_no_address_stays_as_it_was_typed(text: str) -> None:
    (found,) = parse_recipients(text)

    assert (found.email, found.text) == ("", text)
    assert found.problem == "Enter one email address, like name@example.com."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a@b.c\nAnna <d@e.f>\n", [(1, "a@b.c", ""), (2, "d@e.f", "Anna")]),
        (b"\xef\xbb\xbfa@b.c\n", [(1, "a@b.c", "")]),
        (b"Name;E-Mail\nAnna, B;a@b.c\n;d@e.f\n", [(1, "a@b.c", "Anna, B"), (2, "d@e.f", "")]),
        (b"First name,Last name,Email\nA,B,a@b.c\n", [(1, "a@b.c", "A B")]),
    ],
)
def test_files_are_read_as_csv_or_as_text(content: bytes, expected: object) -> None:
    assert read(read_recipients(io.BytesIO(content))) == expected


@pytest.mark.parametrize("content", [b"", b"\xff\xfea", b'Email\n"a@b.c\n'])
def test_a_file_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(FileInvalid):
        read_recipients(io.BytesIO(content))


# Inviting


def run(
    text: str, actor: Actor = SYSTEM, role: str = "viewer", **more: Any
) -> list[InvitationLine]:
    return invite_many(parse_recipients(text), actor=actor, role=role, **more)


def outcomes(lines: list[InvitationLine]) -> list[tuple[str, str]]:
    return [(line.outcome.value, line.message) for line in lines]


def issued() -> int:
    return AuditEvent.objects.filter(action="account:invitation:issue").count()


def test_each_person_is_invited_once(owner: User, viewer: User) -> None:
    invite(actor=owner, email="bert@example.com")

    lines = run(
        "Nina <nina@example.com>\nviewer@example.com\nbert@example.com\nnope\nNINA@example.com",
        owner,
        "editor",
        lifetime=timedelta(days=3),
    )

    assert outcomes(lines) == [
        ("invited", ""),
        ("has_account", ""),
        ("already_invited", ""),
        ("invalid", "Enter one email address, like name@example.com."),
        ("duplicate", "Line 1 has this address, too."),
    ]
    nina = Invitation.objects.get(email="nina@example.com")
    assert (nina.name, nina.role, nina.invited_by) == ("Nina", "editor", owner)
    assert nina.expires_at - nina.created_at == timedelta(days=3)
    assert [mail.recipient for mail in OutboxMail.objects.order_by("id")] == [
        "bert@example.com", "nina@example.com",
    ]  # fmt: skip
    assert issued() == 2


def test_links_of_a_list_work_and_are_no_secret_of_a_repr() -> None:
    (line,) = run("nina@example.com")

    assert line.issued is not None
    token = line.issued.url.rpartition("/")[2]
    assert token not in repr(line)
    accept_invitation(token, name="Nina", password="seven quiet rivers under glass")
    assert User.objects.get().email == "nina@example.com"


def test_a_list_that_is_sent_twice_invites_each_address_once() -> None:
    run("nina@example.com")

    assert outcomes(run("nina@example.com")) == [("already_invited", "")]
    assert (issued(), Invitation.objects.count()) == (1, 1)


def test_new_links_replace_old_ones_if_asked_for() -> None:
    (old,) = run("nina@example.com")

    (new,) = run("nina@example.com", resend=True)

    assert (new.outcome, issued()) == ("resent", 2)
    assert old.issued is not None
    old.issued.invitation.refresh_from_db()
    assert old.issued.invitation.replaced_at is not None


def test_a_plan_sends_nothing() -> None:
    plan = plan_invitations(parse_recipients("a@example.com, x"), actor=SYSTEM, role="viewer")

    assert [line.outcome for line in plan] == ["invited", "invalid"]
    assert (Invitation.objects.count(), OutboxMail.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("actor_role", "role"), [("admin", "admin"), ("admin", "owner"),
                                                  ("editor", "viewer"), ("viewer", "none")]
)  # fmt: skip
def test_invitations_above_the_own_rank_are_rejected(
    make_user: MakeUser, actor_role: str, role: str
) -> None:
    with pytest.raises(Forbidden):
        run("a@example.com", make_user(actor_role), role)

    assert not Invitation.objects.exists()


def test_an_invitation_to_a_higher_role_stays(owner: User, admin: User) -> None:
    invite(actor=owner, email="nina@example.com", role="admin")

    lines = run("nina@example.com", admin, resend=True)

    assert outcomes(lines) == [
        ("refused", "Someone with a higher role has already invited this address.")
    ]
    assert issued() == 1


@pytest.mark.parametrize(
    "more", [{"lifetime": timedelta(0)}, {"lifetime": timedelta(days=31)}, {"role": "king"}]
)
def test_wrong_choices_send_no_invitation(more: dict[str, Any]) -> None:
    with pytest.raises(RecordInvalid):
        run("a@example.com", **more)

    assert not Invitation.objects.exists()


def test_an_address_gets_no_more_mail_than_the_limit(settings: Settings) -> None:
    settings.LIMITS = settings.LIMITS | {"recipient": (2, timedelta(hours=1))}
    for _turn in range(2):
        run("nina@example.com", resend=True)

    lines = run("nina@example.com, otto@example.com", resend=True)

    assert outcomes(lines) == [
        ("refused", "This address got many mails lately. Try again in 1 hour."),
        ("invited", ""),
    ]
    assert issued() == 3


def test_what_becomes_impossible_meanwhile_is_told_on_its_line(
    monkeypatch: pytest.MonkeyPatch, make_user: MakeUser
) -> None:
    def made_meanwhile(_kind: str, recipient: str) -> int:
        if recipient == "nina@example.com":
            make_user("viewer", recipient)
        return 0

    monkeypatch.setattr("accounts.services.bulk.invitations.mail_wait", made_meanwhile)

    assert outcomes(run("nina@example.com, otto@example.com")) == [
        ("refused", "Another account has this address."),
        ("invited", ""),
    ]


# Sending again


def test_sending_again_keeps_role_name_and_length(owner: User) -> None:
    old = invite(
        actor=owner, email="a@example.com", role="editor", name="A", lifetime=timedelta(days=3)
    )

    (line,) = send_again([old.invitation], actor=owner)

    new = Invitation.objects.latest("pk")
    assert (line.outcome, new.role, new.name) == ("resent", "editor", "A")
    assert new.expires_at - new.created_at == timedelta(days=3)
    old.invitation.refresh_from_db()
    assert old.invitation.replaced_at is not None


def test_sending_again_keeps_the_end_of_the_role(owner: User) -> None:
    until = timezone.now() + timedelta(days=9)
    old = invite(
        actor=owner, email="a@example.com", role="editor", role_until=until, role_after="viewer"
    )

    send_again([old.invitation], actor=owner)

    new = Invitation.objects.latest("pk")
    assert (new.pk, new.role_until, new.role_after) != (old.invitation.pk, None, "")
    assert (new.role_until, new.role_after) == (until, "viewer")


def test_what_was_withdrawn_or_accepted_is_not_sent_again(owner: User) -> None:
    gone = invite(actor=owner, email="a@example.com").invitation
    withdraw(actor=owner, invitation=gone)
    gone.refresh_from_db()

    assert outcomes(send_again([gone], actor=owner)) == [
        ("refused", "This invitation has already ended.")
    ]
    assert issued() == 1


def test_an_admin_sends_no_invitation_of_higher_roles_again(owner: User, admin: User) -> None:
    high = invite(actor=owner, email="a@example.com", role="admin").invitation

    assert outcomes(send_again([high], actor=admin)) == [
        ("refused", "You may only give roles below your own.")
    ]


# The command


def command(*args: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("inviteuser", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_invites_several(viewer: User) -> None:
    out, err = command("Nina <nina@example.com>", "viewer@example.com", "otto@example.com")

    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == ["nina@example.com", "otto@example.com"]
    assert all(line[1].startswith("http://localhost:8000/invitation/") for line in lines)
    assert err == "line 2: viewer@example.com: has an account\n2 invited, 1 left out, 0 wrong.\n"


@pytest.mark.parametrize("is_file", [True, False])
def test_the_command_reads_a_list(
    is_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Name,Email\nNina,nina@example.com\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("Nina <nina@example.com>\n"))

    command("--file", str(path) if is_file else "-", "--role", "editor")

    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.name, invitation.role) == (
        "nina@example.com", "Nina", "editor",
    )  # fmt: skip


def test_the_command_fails_if_all_are_invited_already() -> None:
    command("a@example.com", "b@example.com")

    with pytest.raises(CommandError, match="Nobody was invited"):
        command("a@example.com", "b@example.com")

    command("a@example.com", "b@example.com", "--resend")
    assert issued() == 4


def test_the_command_invites_the_others_and_fails_for_a_wrong_entry() -> None:
    with pytest.raises(CommandError, match="Correct the wrong entries"):
        command("nope", "b@example.com")

    assert Invitation.objects.get().email == "b@example.com"


def test_a_dry_run_sends_no_invitation() -> None:
    assert command("a@example.com", "--dry-run") == (
        "",
        "1 would be invited, 0 left out, 0 wrong.\n",
    )
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Name at least one address"),
        (["a@b.c", "d@e.f", "--name", "X"], "--name is for one address"),
        (["--file", "/nowhere"], "There is no file /nowhere"),
    ],
)
def test_the_command_says_what_is_wrong(args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        command(*args)
