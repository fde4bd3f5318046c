"""/api/v1/moderation/… and bans of people over the API."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from api.permissions import Requirements, Scope, requirements_of
from api.views.actions import ActionReleaseView, ActionStartView, ActionView
from api.views.moderation import ViolationsView
from audit.models import AuditEvent
from moderation.models import Ban, Violation
from tests.api.calls import API, call, from_now, problem
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
CLIENT, OFFICE = "198.51.100.9", "203.0.113.7"
ENDPOINTS: list[tuple[str, str, Any]] = [
    ("GET", "moderation/violations", None),
    ("POST", "moderation/violations", {"type": "spam", "ip": OFFICE}),
    ("POST", "moderation/actions/message", {"ip": OFFICE}),
    ("POST", "moderation/actions/message/start", {"ip": OFFICE}),
    ("POST", "moderation/actions/message/release", {"slot": "x"}),
    ("GET", "moderation/bans", None),
    ("POST", "moderation/bans", {"network": OFFICE, "reason": "spam"}),
    ("GET", f"moderation/bans/{uuid.UUID(int=1)}", None),
    ("DELETE", f"moderation/bans/{uuid.UUID(int=1)}", None),
    ("POST", f"users/{uuid.UUID(int=1)}/ban", {"reason": "spam"}),
    ("POST", f"users/{uuid.UUID(int=1)}/unban", None),
]


@pytest.fixture
def app(owner: User, browser_of: BrowserOf) -> Client:
    """What an app with a key of the owner may do."""
    return browser_of(owner)


@pytest.mark.parametrize(("method", "path", "body"), ENDPOINTS)
def test_only_administrators_have_access(
    editor: User, browser_of: BrowserOf, stranger: Client, method: str, path: str, body: Any
) -> None:
    assert problem(call(stranger, method, path, body)) == (401, "not_authenticated")
    assert problem(call(browser_of(editor), method, path, body)) == (403, "forbidden")
    assert not Violation.objects.exists()
    assert not Ban.objects.exists()


def test_app_endpoints_need_a_service_key() -> None:
    for view in (ViolationsView, ActionView, ActionStartView, ActionReleaseView):
        assert requirements_of(view(), "POST") == Requirements(
            Scope.SERVICE, Role.ADMIN, is_sensitive=True
        )


def test_a_report_is_scored_and_returns_the_total(app: Client, owner: User, viewer: User) -> None:
    body = {"type": "spam", "user": str(viewer.pk), "ip": OFFICE, "score": 2.5}

    answer = call(app, "POST", "moderation/violations", {**body, "detail": {"room": "7"}})

    violation = Violation.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "violation": {
            "id": str(violation.pk),
            "type": "spam",
            "score": 2.5,
            "total": 2.5,
            "user_id": str(viewer.pk),
            "network": OFFICE,
            "at": violation.at.isoformat().replace("+00:00", "Z"),
            "limit": "",
            "detail": {"room": "7"},
            "ban_id": None,
            "reported_by": str(owner.pk),
        },
        "total": 2.5,
        "ban": None,
    }


def test_a_report_of_an_address_bans_it_at_the_interval(
    app: Client, viewer: User, settings: Any
) -> None:
    settings.MODERATION_SCORE_HALF_LIFE = timedelta(0)
    body = {"type": "spam", "user": "VIEWER@example.com", "score": 19}
    assert call(app, "POST", "moderation/violations", body).json()["ban"] is None

    answer = call(app, "POST", "moderation/violations", {"type": "spam", "user": str(viewer.pk)})

    ban = Ban.objects.get()
    assert answer.json()["total"] == 20
    assert answer.json()["ban"]["id"] == str(ban.pk)
    assert answer.json()["violation"]["ban_id"] == str(ban.pk)
    assert (ban.user, ban.network) == (viewer, "")


def test_ipv6_addresses_are_counted_by_64(app: Client) -> None:
    for last in ("1", "ffff"):
        call(app, "POST", "moderation/violations", {"type": "spam", "ip": f"2001:db8::{last}"})

    assert {each.subject for each in Violation.objects.all()} == {"network:2001:db8::/64"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "spam"}, "user"),
        ({"type": "spam", "user": ""}, "user"),
        ({"type": "spam", "user": "nobody@example.com"}, "user"),
        ({"type": "spam", "user": str(uuid.UUID(int=1))}, "user"),
        ({"type": "spam", "ip": "no address"}, "ip"),
        ({"type": "spam", "ip": "1" * 65}, "ip"),
        ({"ip": OFFICE}, "type"),
        ({"type": "No Type", "ip": OFFICE}, "type"),
        ({"type": "x" * 41, "ip": OFFICE}, "type"),
        ({"type": "spam\n", "ip": OFFICE, "score": "nan"}, "score"),
        ({"type": "spam", "ip": OFFICE, "score": -1}, "score"),
        ({"type": "spam", "ip": OFFICE, "score": "nan"}, "score"),
        ({"type": "spam", "ip": OFFICE, "score": "inf"}, "score"),
        ({"type": "spam", "ip": OFFICE, "score": 1_000_001}, "score"),
        ({"type": "spam", "ip": OFFICE, "detail": "text"}, "detail"),
        ({"type": "spam", "ip": OFFICE, "detail": {"a": "x" * 2000}}, "detail"),
        ({"type": "spam", "ip": OFFICE, "detail": {"a": "\0"}}, "detail"),
        ({"type": "spam", "ip": OFFICE, "detail": {"a": ["\ud800"]}}, "detail"),
    ],
)
def test_an_invalid_report_changes_nothing(app: Client, body: dict[str, Any], field: str) -> None:
    answer = call(app, "POST", "moderation/violations", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not Violation.objects.exists()


def test_users_of_equal_or_higher_rank_cannot_be_reported(
    admin: User, owner: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)

    for user in (owner, make_user("admin"), admin):
        body = {"type": "spam", "user": str(user.pk), "score": 100}
        answer = call(browser, "POST", "moderation/violations", body)
        assert problem(answer) == (403, "forbidden")
    assert not Violation.objects.exists()


def test_violations_are_listed_by_filters(app: Client, viewer: User) -> None:
    for body in (
        {"type": "spam", "user": str(viewer.pk), "ip": OFFICE},
        {"type": "spam", "ip": CLIENT},
        {"type": "flood", "ip": OFFICE},
    ):
        assert call(app, "POST", "moderation/violations", body).status_code == 201
    soon = (timezone.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def listed(query: str) -> list[tuple[str, str]]:
        rows = app.get(f"{API}/moderation/violations?{query}").json()["results"]
        return [(row["type"], row["network"]) for row in rows]

    everything = [("flood", OFFICE), ("spam", CLIENT), ("spam", OFFICE)]
    assert listed("") == everything
    assert listed("type=spam") == everything[1:]
    assert listed(f"user={viewer.pk}") == everything[2:]
    assert listed(f"network={OFFICE}&type=flood") == everything[:1]
    assert listed(f"after={soon}") == []
    assert listed(f"before={soon}") == everything
    assert problem(app.get(f"{API}/moderation/violations?network=x")) == (402, "record_invalid")


def test_an_action_returns_what_is_left_and_then_rejects(
    app: Client, viewer: User, settings: Any
) -> None:
    settings.ACTIONS = {"message": {"user": (2, timedelta(minutes=1))}}
    body = {"user": str(viewer.pk), "ip": OFFICE}

    first, second, third = (call(app, "POST", "moderation/actions/message", body) for _ in "123")

    assert (first.status_code, first.json()["limit"], first.json()["remaining"]) == (200, 2, 1)
    assert second.json()["remaining"] == 0
    assert first.json()["reset_at"] == second.json()["reset_at"]
    assert problem(third) == (429, "rate_limited")
    assert 1 <= int(third["Retry-After"]) <= 60
    assert "until" not in third.json()
    assert Violation.objects.get().user == viewer


def test_the_action_that_causes_a_ban_says_so(app: Client, viewer: User, settings: Any) -> None:
    settings.ACTIONS = {"message": {"user": (1, timedelta(minutes=1))}}
    settings.BAN_INTERVAL = 1
    body = {"user": viewer.email}
    answers = [call(app, "POST", "moderation/actions/message", body) for _ in range(3)]

    until = Ban.objects.get().until
    assert until is not None
    assert [answer.status_code for answer in answers] == [200, 429, 403]
    assert answers[1].json()["until"] == until.isoformat()
    assert problem(answers[2]) == (403, "banned")
    assert answers[2].json()["until"] == until.isoformat()
    assert "Too many messages" in answers[2].json()["detail"]


def test_a_disabled_account_is_denied_actions_in_apps(app: Client, make_user: MakeUser) -> None:
    disabled = make_user("viewer", is_active=False)

    for path in ("message", "message/start"):
        answer = call(app, "POST", f"moderation/actions/{path}", {"user": str(disabled.pk)})
        assert problem(answer) == (403, "account_disabled")


def test_a_banned_address_denies_anonymous_clients_only(app: Client, viewer: User) -> None:
    ban = {"network": OFFICE, "reason": "spam", "expires_at": from_now(minutes=1)}
    assert call(app, "POST", "moderation/bans", ban).status_code == 201
    path = "moderation/actions/message"

    assert problem(call(app, "POST", path, {"ip": OFFICE})) == (403, "banned")
    assert call(app, "POST", path, {"ip": CLIENT}).status_code == 200
    assert call(app, "POST", path, {"ip": OFFICE, "user": viewer.email}).status_code == 200


def test_a_concurrency_slot_is_taken_and_released(app: Client, viewer: User) -> None:
    def begin() -> Any:
        return call(app, "POST", "moderation/actions/message/start", {"user": viewer.email})

    first, second, third = begin(), begin(), begin()
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert list(first.json()) == ["limit", "remaining", "reset_at", "slot", "slot_expires_at"]
    assert third["Retry-After"] == "1"

    for _ in range(2):
        body = {"slot": first.json()["slot"]}
        answer = call(app, "POST", "moderation/actions/message/release", body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert [begin().status_code for _ in range(2)] == [200, 429]


def test_an_unknown_action_is_not_found(app: Client) -> None:
    for path, body in (("", {"ip": OFFICE}), ("/start", {"ip": OFFICE}), ("/release", {})):
        answer = call(app, "POST", f"moderation/actions/dance{path}", body)
        assert problem(answer) == (404, "not_found")


def test_a_client_that_is_no_browser_is_rejected(app: Client) -> None:
    body = {"ip": OFFICE, "user_agent": "curl/8.5.0"}

    answer = call(app, "POST", "moderation/actions/message", body)

    assert problem(answer) == (403, "forbidden")
    assert Violation.objects.get().type == "non_browser"
    body["user_agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    body["ip"] = CLIENT
    assert call(app, "POST", "moderation/actions/message", body).status_code == 200


def test_a_ban_is_created_read_listed_and_lifted(app: Client, owner: User, viewer: User) -> None:
    end = from_now(hours=1)
    body = {"user": viewer.email, "network": OFFICE, "expires_at": end, "reason": "Spam."}

    made = call(app, "POST", "moderation/bans", body)

    ban = Ban.objects.get()
    assert made.status_code == 201
    assert made["Location"] == f"http://localhost:8000{API}/moderation/bans/{ban.pk}"
    assert made.json() == {
        "id": str(ban.pk),
        "user_id": str(viewer.pk),
        "network": OFFICE,
        "kind": "manual",
        "state": "active",
        "reason": "Spam.",
        "created_at": made.json()["created_at"],
        "expires_at": made.json()["expires_at"],
        "created_by": str(owner.pk),
        "lifted_at": None,
        "lifted_by": None,
    }
    assert ban.until is not None
    assert ban.until.isoformat() == end
    assert app.get(f"{API}/moderation/bans/{ban.pk}").json() == made.json()
    assert app.get(f"{API}/moderation/bans?active=true").json()["results"] == [made.json()]

    assert call(app, "DELETE", f"moderation/bans/{ban.pk}").status_code == 204
    assert problem(call(app, "DELETE", f"moderation/bans/{ban.pk}")) == (404, "not_found")
    assert app.get(f"{API}/moderation/bans/{ban.pk}").json()["state"] == "lifted"


def test_bans_are_listed_by_filters(app: Client, viewer: User) -> None:
    now = timezone.now()
    over = Ban.objects.create(kind="automatic", network=OFFICE, until=now - timedelta(hours=1))
    forever = Ban.objects.create(kind="manual", user=viewer, until=None)
    lifted = Ban.objects.create(kind="manual", network=OFFICE, lifted_at=now)

    def listed(query: str) -> list[str]:
        rows = app.get(f"{API}/moderation/bans?{query}").json()["results"]
        return [row["id"] for row in rows]

    assert listed("") == [str(lifted.pk), str(forever.pk), str(over.pk)]
    assert listed("active=true") == [str(forever.pk)]
    assert listed("active=false") == [str(lifted.pk), str(over.pk)]
    assert listed("kind=automatic") == [str(over.pk)]
    assert listed(f"user={viewer.pk}") == [str(forever.pk)]
    assert listed(f"network={OFFICE}&active=false&kind=manual") == [str(lifted.pk)]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ({}, timedelta(hours=2)),
        ({"expires_at": None}, None),
        ({"duration": 3600}, timedelta(hours=1)),
        ({"duration": None}, None),
    ],
)
def test_a_ban_lasts_for_its_duration(
    app: Client, viewer: User, duration: dict[str, Any], expected: timedelta | None
) -> None:
    answer = call(app, "POST", f"users/{viewer.pk}/ban", {"reason": "Spam.", **duration})

    ban = Ban.objects.get()
    assert answer.status_code == 201
    assert ban.until == (None if expected is None else ban.created_at + expected)


def test_a_banned_user_has_access_again_after_the_ban_is_lifted(
    app: Client, viewer: User, browser_of: BrowserOf
) -> None:
    theirs = browser_of(viewer)

    call(app, "POST", f"users/{viewer.pk}/ban", {"reason": "Spam."})
    assert problem(theirs.get(f"{API}/me")) == (401, "not_authenticated")

    for _ in range(2):
        assert call(app, "POST", f"users/{viewer.pk}/unban").status_code == 204
    assert browser_of(viewer).get(f"{API}/me").status_code == 200
    actions = AuditEvent.objects.filter(action__startswith="moderation:").order_by("seq")
    assert list(actions.values_list("action", flat=True)) == [
        "moderation:ban:start",
        "moderation:ban:lift",
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "user"),
        ({"network": OFFICE}, "reason"),
        ({"network": OFFICE, "reason": " "}, "reason"),
        ({"network": OFFICE, "reason": "x" * 201}, "reason"),
        ({"network": "everywhere", "reason": "x"}, "network"),
        ({"network": "127.0.0.1", "reason": "x"}, "network"),
        ({"network": OFFICE, "reason": "x", "expires_at": from_now()}, "expires_at"),
        ({"network": OFFICE, "reason": "x", "expires_at": 3600}, "expires_at"),
        ({"network": OFFICE, "reason": "x", "expires_at": "2h"}, "expires_at"),
        ({"network": OFFICE, "reason": "x", "duration": 0}, "duration"),
        ({"network": OFFICE, "reason": "x", "duration": 10**12}, "duration"),
        ({"network": OFFICE, "reason": "x", "duration": 60, "expires_at": None}, "duration"),
        ({"network": OFFICE, "reason": "x", "expires_at": from_now(days=3660)}, "expires_at"),
    ],
)
def test_an_invalid_ban_is_not_created(app: Client, body: dict[str, Any], field: str) -> None:
    answer = call(app, "POST", "moderation/bans", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not Ban.objects.exists()


def test_only_lower_ranks_can_be_banned_or_unbanned(
    admin: User, owner: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser, body = browser_of(admin), {"reason": "x"}
    for user in (owner, make_user("admin")):
        ban = Ban.objects.create(kind="manual", user=user)
        for method, path, sent in (
            ("POST", f"users/{user.pk}/ban", body),
            ("POST", f"users/{user.pk}/unban", None),
            ("DELETE", f"moderation/bans/{ban.pk}", None),
        ):
            assert problem(call(browser, method, path, sent)) == (403, "forbidden")
        assert Ban.objects.get(user=user).state(timezone.now()) == "active"


def test_users_cannot_ban_themselves(app: Client, owner: User, make_user: MakeUser) -> None:
    answer = call(app, "POST", f"users/{owner.pk}/ban", {"reason": "x"})

    assert problem(answer) == (402, "record_invalid")
    assert not Ban.objects.exists()


def test_unknown_users_and_bans_are_not_found(app: Client) -> None:
    for method, path in (
        ("POST", f"users/{uuid.uuid4()}/ban"),
        ("POST", f"users/{uuid.uuid4()}/unban"),
        ("GET", f"moderation/bans/{uuid.uuid4()}"),
        ("DELETE", f"moderation/bans/{uuid.uuid4()}"),
    ):
        assert problem(call(app, method, path, {"reason": "x"})) == (404, "not_found")
