"""The commands: effect, message, exit code."""

import io
import json
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PHRASE = "seven quiet rivers under glass"


def run(*args: str, **options: object) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def last_event() -> tuple[str, str, object]:
    event = AuditEvent.objects.latest("seq")
    return event.action, event.channel, event.actor_id


def test_createuser_makes_an_account_with_registration_closed(settings) -> None:
    settings.ALLOW_REGISTRATION = False

    assert run("createuser", "New@Example.com", "--role", "editor", "--verified") == (
        "Created new@example.com (editor).\n"
    )

    user = User.objects.get()
    assert (user.role, user.is_verified, user.has_usable_password()) == ("editor", True, False)
    assert last_event() == ("account:user:create", "command", None)


@pytest.mark.parametrize(("flags", "is_verified"), [([], True), (["--unverified"], False)])
def test_createuser_marks_the_email_verified_by_default(
    flags: list[str], is_verified: bool
) -> None:
    run("createuser", "new@example.com", *flags)

    assert User.objects.get().is_verified == is_verified


def test_createuser_rejects_contradictory_options_about_the_email() -> None:
    with pytest.raises(CommandError, match="Use either"):
        run("createuser", "new@example.com", "--verified", "--unverified")

    assert not User.objects.exists()


def test_createuser_reads_a_password_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHRASE}\n"))

    run("createuser", "new@example.com", "--password-stdin")

    assert User.objects.get().check_password(PHRASE)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "email: Enter one email address"),
        (["viewer@example.com"], "Another account has this address"),
    ],
)
def test_createuser_reports_what_is_wrong(viewer: User, args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run("createuser", *args)

    assert User.objects.count() == 1


def test_listusers_lists_newest_first(viewer: User, editor: User) -> None:
    lines = run("listusers").splitlines()

    assert [line.split()[0] for line in lines] == ["editor@example.com", "viewer@example.com"]


def test_listusers_filters_and_prints_json(viewer: User, editor: User) -> None:
    facts = json.loads(run("listusers", "--role", "viewer", "--json"))

    assert facts == {
        "id": str(viewer.pk),
        "kind": "person",
        "email": "viewer@example.com",
        "username": "vera",
        "name": "Vera Viewer",
        "responsible_id": None,
        "responsible_group_id": None,
        "role": "viewer",
        "role_until": None,
        "role_after": "",
        "groups": [],
        "is_active": True,
        "expires_at": None,
        "is_verified": True,
        "created_at": viewer.created_at.isoformat(),
        "last_sign_in_at": None,
    }


def test_listusers_fails_without_a_match(viewer: User) -> None:
    with pytest.raises(CommandError, match=r"^No account matches\.$"):
        run("listusers", "--search", "zzz")


def test_setrole_changes_the_role(viewer: User) -> None:
    assert run("setrole", "vera", "editor") == "viewer@example.com: viewer -> editor.\n"

    viewer.refresh_from_db()
    assert viewer.role == "editor"
    assert last_event() == ("account:role:change", "command", None)


def test_setpassword_sets_a_password(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHRASE}\n"))

    run("setpassword", viewer.email, "--password-stdin")

    viewer.refresh_from_db()
    assert viewer.check_password(PHRASE)
    assert last_event() == ("account:password:set", "command", None)


def test_setpassword_refuses_a_weak_one(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))

    with pytest.raises(CommandError, match="Use at least 15 characters"):
        run("setpassword", viewer.email, "--password-stdin")

    assert not AuditEvent.objects.exists()


def test_disable_and_enable(viewer: User) -> None:
    assert run("disableuser", viewer.email, "--reason", "left") == "Disabled viewer@example.com.\n"
    viewer.refresh_from_db()
    assert viewer.is_active is False
    assert AuditEvent.objects.latest("seq").detail == {"reason": "left"}

    assert run("enableuser", viewer.email) == "Enabled viewer@example.com.\n"
    viewer.refresh_from_db()
    assert viewer.is_active is True


def test_deleteuser_asks_first(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(CommandError, match="Add --yes to do it without being asked"):
        run("deleteuser", viewer.email)
    assert User.objects.filter(pk=viewer.pk).exists()

    assert run("deleteuser", viewer.email, "--yes") == "Deleted viewer@example.com.\n"
    assert not User.objects.filter(pk=viewer.pk).exists()


NOTHING_TO_DO: dict[str, Callable[[], list[str]]] = {
    "same role": lambda: ["setrole", "viewer@example.com", "viewer"],
    "not disabled": lambda: ["enableuser", "viewer@example.com"],
    "unknown": lambda: ["disableuser", "nobody@example.com"],
    "unknown delete": lambda: ["deleteuser", "nobody@example.com", "--yes"],
    "last owner role": lambda: ["setrole", "owner@example.com", "admin"],
    "last owner disable": lambda: ["disableuser", "owner@example.com"],
    "last owner delete": lambda: ["deleteuser", "owner@example.com", "--yes"],
}


@pytest.mark.parametrize("case", NOTHING_TO_DO)
def test_a_command_that_did_nothing_fails(viewer: User, owner: User, case: str) -> None:
    with pytest.raises(CommandError):
        run(*NOTHING_TO_DO[case]())

    assert not AuditEvent.objects.exists()
    assert User.objects.count() == 2
