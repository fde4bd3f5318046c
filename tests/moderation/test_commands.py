"""banuser, unban, listbans: A051, access that no ban can block."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from audit.models import AuditEvent
from moderation.models import Ban
from moderation.services import bans
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = pytest.mark.django_db
MakeBan = Callable[..., Ban]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_banuser_bans_a_user_for_a_time(viewer: User) -> None:
    text = run("banuser", viewer.email, "--duration", "7d", "--reason", "Too loud.")

    row = Ban.objects.get()
    assert (row.user, row.network, row.reason) == (viewer, "", "Too loud.")
    assert (row.kind, row.created_by) == ("manual", None)
    assert row.until == row.created_at + timedelta(days=7)
    assert text == f"Banned viewer@example.com until {row.until:%Y-%m-%d %H:%M} UTC.\n"
    event = AuditEvent.objects.get(action="moderation:ban:start")
    assert (event.channel, event.actor_id, event.target_id) == ("command", None, viewer.pk)


def test_banuser_accepts_a_user_name_and_uses_the_default_duration(viewer: User, settings) -> None:
    settings.BAN_DURATION = timedelta(hours=5)

    run("banuser", "vera")

    row = Ban.objects.get()
    assert row.until == row.created_at + timedelta(hours=5)


def test_banning_for_ever_asks_first(viewer: User) -> None:
    with pytest.raises(CommandError, match="Add --yes"):
        run("banuser", viewer.email, "--permanent")
    assert Ban.objects.count() == 0

    text = run("banuser", viewer.email, "--permanent", "--yes")

    assert text == "Banned viewer@example.com until it is lifted.\n"
    assert Ban.objects.get().until is None


def test_banning_a_network_and_a_person_as_one_ban(viewer: User) -> None:
    run("banuser", viewer.email, "--network", AWAY)
    run("banuser", "--network", "2001:db8::5")

    found = [(row.user, row.network) for row in Ban.objects.order_by("id")]
    assert found == [(viewer, AWAY), (None, "2001:db8::/64")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a user"),
        (["nobody@example.com"], "No account has the address"),
        (["viewer@example.com", "--duration", "5"], "write 30m, 2h, 7d"),
        (["viewer@example.com", "--duration", "0s"], "is zero"),
        (["viewer@example.com", "--duration", "99999w"], "longer than ten years"),
        (["viewer@example.com", "--duration", "999999999w999999999w"], "longer than ten"),
        (["viewer@example.com", "--duration", "1h", "--permanent"], "not allowed with"),
        (["--network", "127.0.0.1"], "This network cannot be banned"),
        (["--network", "nonsense"], "Enter one address"),
        (["owner@example.com"], "last active owner"),
    ],
)
def test_errors_are_reported_and_change_nothing(
    viewer: User, owner: User, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        run("banuser", *arguments)

    assert Ban.objects.count() == 0


def test_a051_a_banned_owner_is_freed_at_the_command_line(owner: User, make_ban: MakeBan) -> None:
    make_ban(user=owner, network=AWAY, hours=None)

    text = run("unban", owner.email)

    assert text == f"Lifted the ban of owner@example.com and {AWAY}.\n"
    assert (bans.ban_of(owner), bans.ban_at(AWAY)) == (None, None)


def test_lifting_by_network_and_by_id(viewer: User, make_ban: MakeBan) -> None:
    make_ban(network=AWAY)
    make_ban(network="2001:db8::/64")
    other = make_ban(user=viewer)

    run("unban", "--network", AWAY)
    run("unban", "--network", "2001:db8::77")
    run("unban", "--id", str(other.pk))

    assert list(bans.active_bans()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a user"),
        (["viewer@example.com"], "No such ban is in force"),
        (["--network", "nonsense"], "is not an address"),
        (["--id", "5"], "is not the id of a ban"),
        (["viewer@example.com", "--network", AWAY], "No such ban is in force"),
    ],
)
def test_lifting_nothing_is_an_error(
    viewer: User, make_ban: MakeBan, arguments: list[str], message: str
) -> None:
    make_ban(network=AWAY)

    with pytest.raises(CommandError, match=message):
        run("unban", *arguments)

    assert bans.active_bans().count() == 1


def test_listing_shows_what_is_in_force(viewer: User, make_ban: MakeBan) -> None:
    old = make_ban(network=ELSEWHERE, created_at=timezone.now() - timedelta(days=1))
    network, person = make_ban(network=AWAY, hours=None), make_ban(user=viewer)

    lines = run("listbans").splitlines()

    assert person.until is not None
    end = f"until {person.until:%Y-%m-%d %H:%M} UTC"
    assert lines == [
        f"{person.pk}  active  viewer@example.com  {end}  Too loud.",
        f"{network.pk}  active  {AWAY}  until it is lifted  Too loud.",
    ]
    assert [json.loads(line)["id"] for line in run("listbans", "--json").splitlines()] == [
        str(person.pk),
        str(network.pk),
    ]
    everything = [json.loads(line) for line in run("listbans", "--all", "--json").splitlines()]
    assert [row["state"] for row in everything if row["id"] == str(old.pk)] == ["over"]


def test_listing_nothing_exits_with_an_error() -> None:
    with pytest.raises(CommandError, match="There is no ban"):
        run("listbans")
