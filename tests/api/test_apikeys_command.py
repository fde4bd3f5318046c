"""`manage.py apikey`: prints a key once, alone; says what it did; exits with 1 when nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from api.models import ApiKey
from audit.models import AuditEvent
from mail.models import OutboxMail
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    """Standard output and standard error of `apikey …`."""
    out, err = StringIO(), StringIO()
    call_command("apikey", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_new_key_is_the_only_line_on_standard_output(
    editor: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    out, err = run("create", "editor@example.com", "backup", "--scope", "read", "--scope", "write")

    text = out.removesuffix("\n")
    assert call_with(text).json()["email"] == "editor@example.com"
    assert text not in err
    assert err.startswith("For editor@example.com; scopes: read, write; expires ")
    assert [mail.kind for mail in mails()] == ["key-created"]
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.channel) == ("api:key:create", None, "command")


def test_lifetime_and_networks_can_be_chosen(viewer: User) -> None:
    run("create", "vera", "x", "--days", "7", "--network", "10.0.0.0/8", "--network", "::1")

    key = ApiKey.objects.get()
    assert key.networks == ["10.0.0.0/8", "::1/128"]
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "nobody@example.com", "x"),
        ("create", "vera", ""),
        ("create", "vera", "x", "--scope", "users"),
        ("create", "vera", "x", "--scope", "root"),
        ("create", "vera", "x", "--days", "0"),
        ("create", "vera", "x", "--days", "-3"),
        ("create", "vera", "x", "--days", "366"),
        ("create", "vera", "x", "--days", "99999999999"),
        ("create", "vera", "x", "--endless"),
        ("create", "vera", "x", "--network", "home"),
        ("create", "vera"),
        (),
    ],
)
def test_an_invalid_request_creates_nothing(viewer: User, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)
    assert not ApiKey.objects.exists()


def test_a_key_without_expiry_is_created_if_there_is_no_maximum_age(
    viewer: User, settings: Any
) -> None:
    settings.API_KEY_MAX_AGE = timedelta(0)

    _out, err = run("create", "vera", "x", "--endless")

    assert err == "For viewer@example.com; scopes: read; never expires.\n"
    assert ApiKey.objects.get().expires_at is None


def test_keys_are_listed_without_their_secrets(viewer: User, admin: User) -> None:
    mine, other = made(viewer, "mine"), made(admin, "other")

    all_keys, _err = run("list")
    one, _err = run("list", "vera", "--json")

    assert len(all_keys.splitlines()) == 2
    assert "never used" in all_keys
    facts = json.loads(one)
    assert (facts["id"], facts["name"], facts["state"]) == (mine.key.pk, "mine", "live")
    for issued in (mine, other):
        assert issued.text[15:-4] not in all_keys + one
        assert issued.key.digest not in all_keys + one


def test_an_empty_list_exits_with_1(viewer: User) -> None:
    with pytest.raises(CommandError, match="No keys found"):
        run("list")


@pytest.mark.parametrize("spelling", ["{id}", "gth_{id}", "{shown}", "{key}"])
def test_a_key_is_revoked_by_id_prefix_or_name(viewer: User, spelling: str) -> None:
    issued = made(viewer)
    name = spelling.format(id=issued.key.pk, shown=issued.key, key=issued.text)

    _out, err = run("revoke", name, "--yes")

    assert err == f"{issued.key} of viewer@example.com is revoked.\n"
    assert call_with(issued.text).status_code == 403
    with pytest.raises(CommandError, match="No such key"):
        run("revoke", name, "--yes")


def test_nothing_is_revoked_without_confirmation(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = made(viewer).key
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))

    with pytest.raises(CommandError, match="--yes"):
        run("revoke", key.pk)
    with pytest.raises(CommandError, match="No such key"):
        run("revoke", "AAAAAAAAAA", "--yes")
    with pytest.raises(CommandError, match="No such key"):
        run("revoke", "*", "--yes")
    assert ApiKey.objects.get().revoked_at is None
