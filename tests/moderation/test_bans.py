"""Manual bans: who may ban whom, for how long, and how they end."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import disable_user
from audit.models import AuditEvent
from core.errors import Forbidden, LastOwner, NotFound, RecordInvalid
from core.web.request_context import RequestContext, use_context
from moderation.models import Ban
from moderation.services import bans
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
MakeBan = Callable[..., Ban]
Move = Callable[[timedelta], object]


def test_an_administrator_bans_a_user_for_a_time(
    admin: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser_of(viewer)

    row = bans.ban(actor=admin, user=viewer, duration=HOUR, reason="  Too\nloud. ")

    assert (row.user, row.network, row.kind, row.created_by) == (viewer, "", "manual", admin.pk)
    assert (row.reason, row.until) == ("Too loud.", row.created_at + HOUR)
    assert viewer.sessions.count() == 0
    event = AuditEvent.objects.get(action="moderation:ban:start")
    assert (event.actor_id, event.target_id) == (admin.pk, viewer.pk)


def test_a_ban_without_a_duration_lasts_until_it_is_lifted(
    admin: User, viewer: User, at_time: Move
) -> None:
    row = bans.ban(actor=admin, user=viewer, duration=None, reason="")
    at_time(timedelta(days=3000))

    assert bans.ban_of(viewer) == row


@pytest.mark.parametrize(
    ("given", "stored"),
    [(AWAY, AWAY), ("2001:db8::7", "2001:db8::/64"), ("::ffff:8.8.8.8", "8.8.8.8")],
)
def test_an_administrator_bans_a_network(admin: User, given: str, stored: str) -> None:
    assert bans.ban(actor=admin, network=given, duration=HOUR, reason="").network == stored


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_only_administrators_ban_and_lift_bans(
    make_user: Callable[..., User], make_ban: MakeBan, role: str
) -> None:
    actor, other = make_user(role), make_user("none")
    row = make_ban(network=AWAY)

    with pytest.raises(Forbidden):
        bans.ban(actor=actor, user=other, duration=HOUR, reason="")
    with pytest.raises(Forbidden):
        bans.ban(actor=actor, network=AWAY, duration=HOUR, reason="")
    with pytest.raises(Forbidden):
        bans.lift(actor=actor, ban=row)
    with pytest.raises(Forbidden):
        bans.lift_all(actor=actor, user=other)


def test_an_admin_bans_only_lower_ranks(
    make_user: Callable[..., User], admin: User, owner: User, make_ban: MakeBan
) -> None:
    colleague = make_user("admin", "other@example.com")
    row = make_ban(user=colleague)

    for user in (colleague, owner):
        with pytest.raises(Forbidden):
            bans.ban(actor=admin, user=user, duration=HOUR, reason="")
    with pytest.raises(Forbidden):
        bans.lift(actor=admin, ban=row)


def test_a051_the_last_owner_cannot_be_banned(owner: User, admin: User) -> None:
    with pytest.raises(LastOwner):
        bans.ban(actor=SYSTEM, user=owner, duration=HOUR, reason="")

    assert Ban.objects.count() == 0


def test_a_banned_owner_does_not_count_as_remaining_owner(
    make_user: Callable[..., User], make_ban: MakeBan
) -> None:
    first, second = make_user("owner", "a@example.com"), make_user("owner", "b@example.com")
    make_ban(user=first)

    with pytest.raises(LastOwner):
        bans.ban(actor=SYSTEM, user=second, duration=HOUR, reason="")
    with pytest.raises(LastOwner):
        disable_user(actor=SYSTEM, user=second)


def test_a051_users_cannot_ban_themselves_or_their_network(admin: User) -> None:
    with pytest.raises(RecordInvalid) as themselves:
        bans.ban(actor=admin, user=admin, duration=HOUR, reason="")
    with (
        use_context(RequestContext(ip=AWAY, channel="web")),
        pytest.raises(RecordInvalid) as network,
    ):
        bans.ban(actor=admin, network=AWAY, duration=HOUR, reason="")

    assert list(themselves.value.errors) == ["user"]
    assert list(network.value.errors) == ["network"]


@pytest.mark.parametrize("network", ["127.0.0.1", "::1", "0.0.0.0", "nonsense", "203.0.113.0/24"])
def test_invalid_and_exempt_networks_are_rejected(admin: User, network: str) -> None:
    with pytest.raises(RecordInvalid) as refused:
        bans.ban(actor=admin, network=network, duration=HOUR, reason="")

    assert list(refused.value.errors) == ["network"]


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1), timedelta(days=9999)])
def test_a_duration_out_of_bounds_is_rejected(
    admin: User, viewer: User, duration: timedelta
) -> None:
    with pytest.raises(RecordInvalid) as refused:
        bans.ban(actor=admin, user=viewer, duration=duration, reason="")

    assert list(refused.value.errors) == ["duration"]


def test_a_ban_without_subject_is_rejected(admin: User) -> None:
    with pytest.raises(RecordInvalid):
        bans.ban(actor=admin, duration=HOUR, reason="")


def test_lifting_frees_user_and_network_at_once(
    admin: User, viewer: User, make_ban: MakeBan
) -> None:
    row = make_ban(user=viewer, network=AWAY)

    lifted = bans.lift(actor=admin, ban=row)

    assert lifted.lifted_by == admin.pk
    assert (bans.ban_of(viewer), bans.ban_at(AWAY)) == (None, None)
    event = AuditEvent.objects.get(action="moderation:ban:lift")
    assert (event.actor_id, event.target_id) == (admin.pk, viewer.pk)


def test_another_ban_of_the_same_network_stays_in_force(
    admin: User, viewer: User, editor: User, make_ban: MakeBan
) -> None:
    first, second = make_ban(user=viewer, network=AWAY), make_ban(user=editor, network=AWAY)

    bans.lift(actor=admin, ban=first)

    assert bans.ban_at(AWAY) == second


def test_an_ended_ban_cannot_be_lifted(admin: User, make_ban: MakeBan) -> None:
    over = make_ban(network=AWAY, created_at=timezone.now() - 3 * HOUR)
    lifted = bans.lift(actor=admin, ban=make_ban(network=AWAY))

    for row in (over, lifted):
        with pytest.raises(NotFound):
            bans.lift(actor=admin, ban=row)


def test_lifting_all_lifts_every_ban_of_a_user(
    admin: User, viewer: User, editor: User, make_ban: MakeBan
) -> None:
    make_ban(user=viewer)
    make_ban(user=viewer, hours=None)
    other = make_ban(user=editor)

    assert bans.lift_all(actor=admin, user=viewer) == 2
    assert bans.lift_all(actor=admin, user=viewer) == 0
    assert list(bans.active_bans()) == [other]


def test_the_longest_ban_is_reported(viewer: User, make_ban: MakeBan) -> None:
    make_ban(user=viewer, hours=1)
    longer = make_ban(user=viewer, hours=5)
    make_ban(user=viewer, hours=3)

    assert bans.ban_of(viewer) == longer

    forever = make_ban(user=viewer, hours=None)
    assert bans.ban_of(viewer) == forever


def test_a049_a_ban_ends_without_a_purge(viewer: User, make_ban: MakeBan, at_time: Move) -> None:
    row = make_ban(user=viewer, network=AWAY, hours=2)

    at_time(timedelta(hours=2, seconds=-1))
    assert (bans.ban_of(viewer), bans.ban_at(AWAY)) == (row, row)
    assert list(bans.active_bans()) == [row]

    at_time(timedelta(hours=2, seconds=1))
    assert (bans.ban_of(viewer), bans.ban_at(AWAY)) == (None, None)
    assert list(bans.active_bans()) == []


def test_a_network_exempted_later_is_not_banned(settings, make_ban: MakeBan) -> None:
    make_ban(network=AWAY)
    make_ban(network=ELSEWHERE)

    settings.MODERATION_ALLOWED_NETWORKS = (ipaddress.ip_network("203.0.113.0/24"),)

    assert bans.ban_at(AWAY) is None
    assert bans.ban_at(ELSEWHERE) is not None


def test_what_a_statement_said_about_bans_holds_for_one_question(viewer: User) -> None:
    bans.note_no_ban(viewer)
    Ban.objects.create(user=viewer, kind="manual", created_at=timezone.now())

    assert [bans.ban_of(viewer) is None for _question in range(2)] == [True, False]
