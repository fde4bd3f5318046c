"""Ends of accounts and roles by the commands."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Invitation, User
from core.text.end_times import parse_end_time

NOW = datetime(2026, 11, 28, 17, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
pytestmark = pytest.mark.django_db


def run(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW + timedelta(days=7)),
        ("1h30m", NOW + timedelta(minutes=90)),
        ("2026-12-04", datetime(2026, 12, 4, 23, tzinfo=UTC)),  # midnight in Berlin
        ("2026-12-04T17:00", datetime(2026, 12, 4, 16, tzinfo=UTC)),
        ("2026-12-04 17:00", datetime(2026, 12, 4, 16, tzinfo=UTC)),
        ("2026-12-04T17:00:00Z", datetime(2026, 12, 4, 17, tzinfo=UTC)),
        (" 2026-12-04T17:00+02:00 ", datetime(2026, 12, 4, 15, tzinfo=UTC)),
    ],
)
def test_ends_are_dates_times_and_durations(text: str, expected: datetime) -> None:
    assert parse_end_time(text, NOW, BERLIN) == expected


@pytest.mark.parametrize("text", ["", "soon", "7", "2026-13-01", "9999-12-31", "1e9d", "-"])
def test_anything_else_is_told_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="is no end: write a date"):
        parse_end_time(text, NOW, BERLIN)


def test_setrole_until_a_time(viewer: User) -> None:
    out = run("setrole", viewer.email, "admin", "--until", "2999-12-04T17:00Z", "--then", "editor")

    assert out == ("viewer@example.com: viewer -> admin until 2999-12-04 17:00 UTC, then editor.\n")
    user = User.objects.get(pk=viewer.pk)
    assert (user.role, user.role_after) == ("admin", "editor")
    assert user.role_until == datetime(2999, 12, 4, 17, tzinfo=UTC)
    with pytest.raises(CommandError, match="already has the role admin"):
        run("setrole", viewer.email, "admin", "--until", "2999-12-04T17:00Z", "--then", "editor")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--until", "soon", "--then", "viewer"], "--until: 'soon' is no end"),
        (["--until", "7d"], "role_after: Choose the role that follows."),
        (["--then", "viewer"], "role_until: Say when the role ends"),
        (["--until", "2020-01-01", "--then", "viewer"], "role_until: Choose a time in the future."),
    ],
)
def test_setrole_says_what_is_missing(viewer: User, words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run("setrole", viewer.email, "admin", *words)

    assert User.objects.get(pk=viewer.pk).role == "viewer"


def test_createuser_with_ends(db: None) -> None:
    out = run("createuser", "new@example.com", "--role", "editor", "--until", "2999-12-04T17:00Z",
              "--role-until", "2999-12-01T17:00Z", "--then", "viewer")  # fmt: skip

    assert "(editor until 2999-12-01 17:00 UTC, then viewer); access until 2999-12-04" in out
    user = User.objects.get(email="new@example.com")
    assert user.expires_at == datetime(2999, 12, 4, 17, tzinfo=UTC)


def test_inviteuser_with_a_role_until_a_time(db: None) -> None:
    run(
        "inviteuser", "new@example.com", "--role", "editor", "--role-until", "30d", "--then", "none"
    )

    invitation = Invitation.objects.get()
    assert invitation.role_after == "none"
    assert invitation.role_until is not None


def test_setexpiry_sets_and_removes_an_end(viewer: User) -> None:
    assert "access until 2999-12-04 17:00 UTC" in run(
        "setexpiry", viewer.email, "--until", "2999-12-04T17:00Z"
    )
    assert "access no end" in run("setexpiry", viewer.email, "--never")

    assert User.objects.get(pk=viewer.pk).expires_at is None
    with pytest.raises(CommandError, match="already has no end"):
        run("setexpiry", viewer.email, "--never")


def test_listusers_finds_who_ends_soon(viewer: User, editor: User) -> None:
    end = timezone.now() + timedelta(days=3)
    User.objects.filter(pk=viewer.pk).update(expires_at=end)

    out = run("listusers", "--ends-within", "7")

    assert "viewer@example.com" in out
    assert "access until" in out
    assert "editor@example.com" not in out
