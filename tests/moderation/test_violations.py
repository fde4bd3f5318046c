"""Violations: what is written, what it adds up to, when a ban falls."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import AuditEvent
from config import worker
from moderation import signal_handlers
from moderation.models import Ban, Score, Violation
from moderation.services.violations import purge_moderation, record_violation
from tests.moderation.conftest import AWAY, ELSEWHERE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("exact_scores", "clock")]
Move = Callable[[timedelta], object]


def violations(number: int, **fields: object) -> list[Ban]:
    """The bans that `number` violations bring about."""
    found = [record_violation(type="login", **fields).ban for _ in range(number)]  # type: ignore[arg-type]
    return [ban for ban in found if ban is not None]


def test_a_violation_of_an_anonymous_client_counts_against_the_network() -> None:
    found = record_violation(
        type="login", network=AWAY, limit="7 in 5m", detail={"count": 8}
    ).violation

    row = Violation.objects.get()
    assert row.pk == found.pk
    assert (row.subject, row.user, row.network) == (f"network:{AWAY}", None, AWAY)
    assert (row.type, row.score, row.limit, row.detail) == ("login", 1.0, "7 in 5m", {"count": 8})
    assert (row.total_before, row.total_after, row.ban) == (0.0, 1.0, None)


def test_a_violation_of_a_user_counts_against_the_user(viewer: User) -> None:
    record_violation(type="message", user=viewer, network=AWAY)
    record_violation(type="message", user=viewer, network=ELSEWHERE)

    assert Score.objects.get().subject == f"user:{viewer.pk}"
    assert Score.objects.get().total == 2.0


def test_scores_of_all_types_are_summed() -> None:
    for kind, score in (("login", None), ("message", 2.5), ("anything an app names", 3)):
        record_violation(type=kind, network=AWAY, score=score)

    assert Score.objects.get().total == 6.5


def test_an_unknown_type_scores_one_and_known_types_as_configured(settings) -> None:
    settings.VIOLATION_SCORES = {**settings.VIOLATION_SCORES, "login": 4}

    assert record_violation(type="spam", network=AWAY).violation.score == 1
    assert record_violation(type="login", network=AWAY).violation.score == 4


@pytest.mark.parametrize("address", ["2001:db8::1", "2001:db8::ffff:2", "2001:db8::/64"])
def test_an_ipv6_client_is_identified_by_its_64(address: str) -> None:
    assert record_violation(type="login", network=address).violation.network == "2001:db8::/64"


def test_a045_the_ban_starts_at_the_crossing_and_not_before() -> None:
    assert violations(19, network=AWAY) == []

    (ban,) = violations(1, network=AWAY)

    assert (ban.network, ban.user, ban.kind) == (AWAY, None, "automatic")
    assert ban.until == ban.created_at + timedelta(hours=2)
    assert ban.reason == "Too many failed sign-ins."
    assert Violation.objects.get(ban=ban).total_after == 20.0
    assert violations(19, network=AWAY) == []
    assert len(violations(1, network=AWAY)) == 1


def test_a045_a_jump_over_several_multiples_is_one_ban() -> None:
    assert record_violation(type="x", network=AWAY, score=105).ban is not None
    assert Ban.objects.count() == 1


def test_a045_a_score_of_zero_is_recorded_and_never_bans() -> None:
    violations(19, network=AWAY)

    for _ in range(30):
        assert record_violation(type="x", network=AWAY, score=0).ban is None

    assert Violation.objects.count() == 49
    assert Score.objects.get().total == 19.0


def test_a_score_decays_by_its_half_life(settings, at_time: Move) -> None:
    settings.MODERATION_SCORE_HALF_LIFE = timedelta(hours=24)
    record_violation(type="x", network=AWAY, score=16)
    at_time(timedelta(hours=24))

    row = record_violation(type="x", network=AWAY, score=1).violation

    assert row.total_before == pytest.approx(8, abs=0.001)
    assert row.total_after == pytest.approx(9, abs=0.001)


def test_a_ban_of_a_user_bans_their_network_and_ends_their_sessions(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)

    (ban,) = violations(20, user=viewer, network=AWAY)

    assert (ban.user, ban.network) == (viewer, AWAY)
    assert viewer.sessions.count() == 0
    assert browser.get("/account/").status_code == 302


@pytest.mark.parametrize(
    ("setting", "value", "network"),
    [
        ("MODERATION_ALLOWED_NETWORKS", "203.0.113.0/24", AWAY),
        ("MODERATION_ALLOWED_NETWORKS", "2001:db8::/32", "2001:db8:1::5"),
        ("MODERATION_ALLOWED_NETWORKS", "2001:db8::5/128", "2001:db8::9"),
        ("TRUSTED_PROXIES", "203.0.113.7/32", AWAY),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "127.0.0.1"),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "::1"),
        ("TRUSTED_PROXIES", "10.0.0.0/8", ""),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "no address"),
    ],
)
def test_an_exempt_network_is_scored_and_never_banned(
    settings, setting: str, value: str, network: str
) -> None:
    setattr(settings, setting, (ipaddress.ip_network(value),))

    assert violations(45, network=network) == []
    assert Score.objects.get().total == 45


def test_a_user_in_an_exempt_network_is_banned_without_it(viewer: User) -> None:
    (ban,) = violations(20, user=viewer, network="127.0.0.1")

    assert (ban.user, ban.network) == (viewer, "")


def test_a051_the_last_owner_is_scored_and_never_banned(owner: User, admin: User) -> None:
    assert violations(20, user=owner, network=AWAY) == []

    refused = AuditEvent.objects.get(action="moderation:ban:start")
    assert (refused.result, refused.target_id) == ("refused", owner.pk)
    assert Score.objects.get().total == 20


def test_of_two_owners_only_one_can_be_banned(
    make_user: Callable[..., User],
) -> None:
    first, second = make_user("owner", "a@example.com"), make_user("owner", "b@example.com")

    assert len(violations(20, user=first)) == 1
    assert violations(20, user=second) == []


def test_with_bans_off_violations_are_recorded_and_logged(
    settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BAN_VIOLATIONS = False
    caplog.set_level("INFO", logger="gatehouse.moderation")

    assert violations(20, network=AWAY) == []

    assert Violation.objects.count() == 20
    assert caplog.messages == ["a ban was due, but BAN_VIOLATIONS is off"]


def test_a_longer_ban_is_not_replaced(viewer: User, make_ban: Callable[..., Ban]) -> None:
    make_ban(user=viewer, hours=48)

    assert violations(40, user=viewer) == []
    assert Ban.objects.count() == 1


def test_a_shorter_ban_is_extended(viewer: User, make_ban: Callable[..., Ban]) -> None:
    make_ban(user=viewer, hours=1)

    assert len(violations(20, user=viewer)) == 1


def test_the_audit_log_has_each_violation_and_ban_without_an_address(viewer: User) -> None:
    violations(20, user=viewer, network=AWAY)

    events = AuditEvent.objects.filter(action__startswith="moderation:")
    assert events.filter(action="moderation:violation:score").count() == 20
    assert events.filter(action="moderation:ban:start", target_id=viewer.pk).count() == 1
    details = " ".join(str(event.detail) for event in events)
    assert AWAY not in details
    assert viewer.email not in details


def wrong_password(client: Client, login: str = "nobody@example.com") -> int:
    return client.post("/sign-in", {"login": login, "password": "wrong"}).status_code


def test_a033_exceeding_the_sign_in_limit_scores_the_network_and_bans_it(
    from_network: Callable[[str], Client], settings
) -> None:
    client = from_network(AWAY)

    codes = [wrong_password(client) for _ in range(40)]

    assert codes == [401] * 7 + [429] * 20 + [403] * 13
    row = Violation.objects.first()
    assert row is not None
    assert (row.type, row.limit, row.user) == ("login", "7 in 5m", None)


def test_a043_password_spraying_ends_in_a_ban(
    from_network: Callable[[str], Client],
) -> None:
    client = from_network(AWAY)

    codes = [wrong_password(client, f"person{n}@example.com") for n in range(100)]

    assert codes == [401] * 35 + [429] * 20 + [403] * 45


def test_guesses_at_an_account_never_score_its_user(
    viewer: User, from_network: Callable[[str], Client]
) -> None:
    client = from_network(AWAY)

    for _ in range(40):
        wrong_password(client, viewer.email)

    assert Violation.objects.filter(user=viewer).count() == 0
    assert Ban.objects.get().user is None


@pytest.mark.parametrize(
    ("path", "fields", "kind", "admitted"),
    [
        ("/sign-in", {"login": "a@example.com", "password": "x"}, "login", 7),
        ("/magic-link", {"email": "a@example.com"}, "magic_link", 5),
        ("/password/forgot", {"email": "a@example.com"}, "reset_password", 2),
        (
            "/sign-up",
            {"email": "a@example.com", "name": "A", "password": "seven quiet rivers under glass"},
            "registration",
            5,
        ),
    ],
)
def test_each_limit_has_its_type(
    owner: User,
    from_network: Callable[[str], Client],
    path: str,
    fields: dict[str, str],
    kind: str,
    admitted: int,
) -> None:
    client = from_network(AWAY)

    codes = [client.post(path, fields).status_code for _ in range(admitted + 1)]

    assert codes[-1] == 429
    assert [row.type for row in Violation.objects.all()] == [kind]


def test_limits_exceeded_by_a_user_count_against_the_user(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)

    fields = {"current_password": "wrong", "password": "seven quiet rivers under glass"}
    codes = [browser.post("/account/password", fields).status_code for _ in range(10)]

    assert codes == [400] * 7 + [429] * 3
    assert [row.user for row in Violation.objects.all()] == [viewer] * 3


def test_a041_forwarded_addresses_of_a_client_are_not_trusted() -> None:
    for number in range(40):
        client = Client(
            headers={"host": "localhost:8000", "x-forwarded-for": f"198.51.100.{number}"},
            REMOTE_ADDR=AWAY,
        )
        wrong_password(client)

    assert [ban.network for ban in Ban.objects.all()] == [AWAY]


def test_behind_an_undeclared_proxy_no_network_is_banned() -> None:
    client = Client(
        headers={"host": "localhost:8000", "x-forwarded-for": "198.51.100.1"},
        REMOTE_ADDR="172.18.0.2",
    )

    codes = [wrong_password(client) for _ in range(60)]

    assert codes == [401] * 7 + [429] * 53
    assert Ban.objects.count() == 0
    assert {row.network for row in Violation.objects.all()} == {""}


def test_a_limit_answers_429_when_the_violation_cannot_be_written(
    from_network: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_fields: object) -> None:
        raise DatabaseError("no room")

    monkeypatch.setattr(signal_handlers, "record_violation", fail)
    client = from_network(AWAY)

    codes = [wrong_password(client) for _ in range(9)]

    assert codes == [401] * 7 + [429] * 2


def test_purging_keeps_recent_and_active_rows(make_ban: Callable[..., Ban], settings) -> None:
    settings.MODERATION_SCORE_HALF_LIFE = timedelta(hours=24)
    now = timezone.now()
    old = now - timedelta(days=91)
    record_violation(type="x", network=AWAY)
    record_violation(type="x", network=ELSEWHERE)
    Violation.objects.filter(network=AWAY).update(at=old)
    Score.objects.filter(pk=f"network:{AWAY}").update(at=old)
    forever = make_ban(network=AWAY, hours=None, created_at=old)
    running = make_ban(network=AWAY)
    make_ban(network=AWAY, created_at=old)
    make_ban(network=AWAY, hours=None, created_at=old, lifted_at=old)

    assert purge_moderation(now) == 4

    assert set(Ban.objects.all()) == {forever, running}
    assert Violation.objects.get().network == ELSEWHERE
    assert Score.objects.get().pk == f"network:{ELSEWHERE}"
    worker.purge()


def test_scores_without_decay_are_never_purged() -> None:
    record_violation(type="x", network=AWAY)
    Score.objects.update(at=timezone.now() - timedelta(days=3000))

    purge_moderation(timezone.now())

    assert Score.objects.count() == 1
