"""User management over the API: the same rules as in the admin and the commands."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role, can_give, can_manage
from audit.models import AuditEvent
from magiclinks.models import LoginLink
from tests.api.calls import API, call, from_now, problem
from tests.conftest import PASSWORD, MakeUser

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
ROLES = [role.value for role in Role]
ACTIONS = [
    ("PATCH", "", {"name": "Changed"}),
    ("PATCH", "", {"email": "changed@example.com"}),
    ("PATCH", "", {"role": "none"}),
    ("PATCH", "", {"is_active": False}),
    ("PATCH", "", {"is_verified": True}),
    ("PATCH", "", {}),
    ("DELETE", "", None),
    ("POST", "/magic-link", {}),
    ("POST", "/password", {}),
    ("POST", "/password", {"password": "a long new password 7"}),
    ("DELETE", "/sessions", None),
]
ACTION_IDS = [f"{method} {path} {body}" for method, path, body in ACTIONS]
PATHS = [("GET", "users"), ("POST", "users"), ("GET", "users/ID"), ("GET", "audit-events")]
PATHS += [("GET", "invitations"), ("POST", "invitations"), ("DELETE", "invitations/ID")]


def _stored(user: User) -> dict[str, object]:
    return User.objects.filter(pk=user.pk).values().get()


@pytest.mark.parametrize("role", ["none", "viewer", "editor"])
def test_only_administrators_manage_users(
    make_user: MakeUser, browser_of: BrowserOf, role: str
) -> None:
    user, victim = make_user(role), make_user("none", "victim@example.com")
    browser = browser_of(user)
    before = _stored(victim)

    for method, path in PATHS:
        answer = call(browser, method, path.replace("ID", str(victim.pk)), {})
        assert problem(answer) == (403, "forbidden"), path
    for method, path, body in ACTIONS:
        answer = call(browser, method, f"users/{victim.pk}{path}", body)
        assert problem(answer) == (403, "forbidden"), path
    assert _stored(victim) == before


@pytest.mark.parametrize("act", ACTIONS, ids=ACTION_IDS)
@pytest.mark.parametrize("actor_role", ["admin", "owner"])
@pytest.mark.parametrize("target_role", ROLES)
def test_every_action_obeys_the_rank_rule(
    make_user: MakeUser,
    browser_of: BrowserOf,
    act: tuple[str, str, object],
    actor_role: str,
    target_role: str,
) -> None:
    browser = browser_of(make_user(actor_role, "actor@example.com"))
    target = make_user(target_role, "target@example.com", is_verified=False)
    before = _stored(target)
    method, path, body = act

    answer = call(browser, method, f"users/{target.pk}{path}", body)

    if can_manage(Role(actor_role), Role(target_role)):
        assert answer.status_code == {"PATCH": 200, "DELETE": 204}.get(
            method, {"/magic-link": 201}.get(path, 204 if body else 200)
        )
    else:
        assert problem(answer) == (403, "forbidden")
        assert _stored(target) == before
        assert not LoginLink.objects.exists()


@pytest.mark.parametrize("actor_role", ["admin", "owner"])
@pytest.mark.parametrize("role", ROLES)
def test_only_lower_roles_can_be_given(
    make_user: MakeUser, browser_of: BrowserOf, actor_role: str, role: str
) -> None:
    browser = browser_of(make_user(actor_role, "actor@example.com"))
    target = make_user("none", "target@example.com")
    allowed = can_give(Role(actor_role), Role(role))

    made = call(browser, "POST", "users", {"email": "new@example.com", "role": role})
    changed = call(browser, "PATCH", f"users/{target.pk}", {"role": role})

    if allowed:
        assert (made.status_code, changed.status_code) == (201, 200)
        assert (made.json()["role"], changed.json()["role"]) == (role, role)
    elif role == "none":
        raise AssertionError("everybody who manages gives none")
    else:
        assert problem(made) == (403, "forbidden")
        assert problem(changed) == (403, "forbidden")
        assert User.objects.count() == 2


def test_an_account_is_created_with_all_fields(admin: User, browser_of: BrowserOf) -> None:
    body = {
        "email": " New@Example.com",
        "name": "Nina New",
        "username": "Nina",
        "role": "editor",
        "password": "a long new password 7",
        "is_verified": True,
    }
    browser = browser_of(admin)
    forged = {"is_staff": True, "id": str(uuid.uuid4())}
    refused = call(browser, "POST", "users", body | forged)
    assert problem(refused) == (402, "record_invalid")
    assert refused.json()["errors"].keys() == forged.keys()

    answer = call(browser, "POST", "users", body)

    record = answer.json()
    user = User.objects.get(email="new@example.com")
    assert answer.status_code == 201
    assert answer["Location"] == f"http://localhost:8000/api/v1/users/{user.pk}"
    assert record["id"] == str(user.pk)
    assert (record["username"], record["role"], record["is_verified"]) == ("nina", "editor", True)
    assert user.check_password("a long new password 7")
    assert "password" not in record
    event = AuditEvent.objects.get(action="account:user:create", target_id=user.pk)
    assert (event.actor_id, event.detail["source"]) == (admin.pk, "api")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "no address"}, "email"),
        ({"email": "viewer@example.com"}, "email"),
        ({"email": None}, "email"),
        ({"email": "a@example.com", "role": "root"}, "role"),
        ({"email": "a@example.com", "role": ""}, "role"),
        ({"email": "a@example.com", "username": "not a name"}, "username"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "name": "x" * 151}, "name"),
        ({"email": "a@example.com", "name": "a\x00b"}, "name"),
    ],
)
def test_errors_are_reported_by_field_and_nothing_is_created(
    admin: User, viewer: User, browser_of: BrowserOf, body: dict[str, object], field: str
) -> None:
    answer = call(browser_of(admin), "POST", "users", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert User.objects.count() == 2


def test_several_changes_are_atomic(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)
    before = _stored(viewer)

    refused = call(browser, "PATCH", f"users/{viewer.pk}", {"name": "New", "role": "owner"})
    assert problem(refused) == (403, "forbidden")
    assert _stored(viewer) == before
    assert not AuditEvent.objects.filter(action="account:user:edit").exists()

    body = {
        "email": "vera@example.com",
        "name": "New",
        "username": None,
        "role": "editor",
        "is_active": False,
        "is_verified": True,
    }
    answer = call(browser, "PATCH", f"users/{viewer.pk}", body)
    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in body} == body


def test_the_record_sent_back_as_it_is_changes_nothing(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    record = browser.get(f"{API}/users/{viewer.pk}").json()
    before = _stored(viewer)

    assert call(browser, "PATCH", f"users/{viewer.pk}", record).json() == record
    assert _stored(viewer) == before


def test_a_verification_cannot_be_undone(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    answer = call(browser_of(admin), "PATCH", f"users/{viewer.pk}", {"is_verified": False})

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == ["is_verified"]


def test_the_last_owner_keeps_role_and_account(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)

    for body in ({"role": "admin"}, {"is_active": False}):
        assert problem(call(browser, "PATCH", f"users/{owner.pk}", body)) == (403, "last_owner")
    assert problem(call(browser, "DELETE", f"users/{owner.pk}")) == (403, "forbidden")


def test_administrators_change_their_own_name_but_not_address_or_role(
    admin: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(admin)
    path = f"users/{admin.pk}"

    assert call(browser, "PATCH", path, {"name": "Ada"}).json()["name"] == "Ada"
    for body in ({"email": "x@example.com"}, {"role": "owner"}, {"is_active": False}):
        assert problem(call(browser, "PATCH", path, body)) == (403, "forbidden")
    assert problem(call(browser, "POST", f"{path}/password", {"password": "x"})) == (
        403,
        "forbidden",
    )


def test_unknown_users_are_not_found(owner: User, browser_of: BrowserOf) -> None:
    browser = browser_of(owner)

    for method, path, body in ACTIONS:
        answer = call(browser, method, f"users/{uuid.uuid4()}{path}", body)
        assert problem(answer) == (404, "not_found")
    assert problem(browser.get(f"{API}/users/{uuid.uuid4()}")) == (404, "not_found")
    assert problem(browser.get(f"{API}/users/no-id")) == (404, "not_found")


def test_a_link_signs_the_user_in(
    admin: User, viewer: User, browser_of: BrowserOf, stranger: Client
) -> None:
    end = from_now(minutes=2)
    path = f"users/{viewer.pk}/magic-link"
    answer = call(browser_of(admin), "POST", path, {"expires_at": end})

    link = LoginLink.objects.get()
    assert (link.source, link.issued_by) == ("api", admin.pk)
    assert link.expires_at.isoformat() == end
    assert answer["Cache-Control"] == "no-store"
    stranger.post(answer.json()["url"].removeprefix("http://localhost:8000"))
    assert stranger.get(f"{API}/me").json()["email"] == "viewer@example.com"


@pytest.mark.parametrize(
    "end",
    [from_now(), from_now(days=1, minutes=30), "soon", 1.5, None, "2099-01-01T00:00:00"],
    ids=["too soon", "too late", "text", "number", "null", "no time zone"],
)
def test_a_link_lasts_between_a_minute_and_a_day(
    admin: User, viewer: User, browser_of: BrowserOf, end: object
) -> None:
    body = {"expires_at": end}

    answer = call(browser_of(admin), "POST", f"users/{viewer.pk}/magic-link", body)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == ["expires_at"]


def test_setting_a_password_ends_existing_sessions(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    theirs = browser_of(viewer)
    browser, path = browser_of(admin), f"users/{viewer.pk}/password"

    assert problem(call(browser, "POST", path, {"password": "short"})) == (402, "record_invalid")
    assert theirs.get(f"{API}/me").status_code == 200
    answer = call(browser, "POST", path, {"password": "a long new password 7"})

    viewer.refresh_from_db()
    assert (answer.status_code, answer.content) == (204, b"")
    assert viewer.check_password("a long new password 7")
    assert problem(theirs.get(f"{API}/me")) == (401, "not_authenticated")


def test_a_reset_removes_the_password_and_returns_the_link(
    admin: User, viewer: User, browser_of: BrowserOf
) -> None:
    answer = call(browser_of(admin), "POST", f"users/{viewer.pk}/password")

    viewer.refresh_from_db()
    assert answer.json()["url"].startswith("http://localhost:8000/password/reset/")
    assert not viewer.check_password(PASSWORD)


def test_a_user_is_signed_out_everywhere(admin: User, viewer: User, browser_of: BrowserOf) -> None:
    theirs = browser_of(viewer)

    assert call(browser_of(admin), "DELETE", f"users/{viewer.pk}/sessions").status_code == 204
    assert problem(theirs.get(f"{API}/me")) == (401, "not_authenticated")


def _listed(browser: Client, query: str) -> list[str]:
    answer = browser.get(f"{API}/users?{query}")
    assert answer.status_code == 200, answer.content
    return [row["email"].partition("@")[0] for row in answer.json()["results"]]


def test_filters_narrow_the_list_together(
    admin: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    make_user("viewer", "old@example.com", created_at=timezone.now() - timedelta(days=30))
    disabled = make_user("viewer", "shut@example.com", is_active=False)
    make_user("editor", "edit@example.com", is_verified=False, name="Edith 50% Edit")
    browser = browser_of(admin)
    yesterday = (timezone.now() - timedelta(days=1)).isoformat().replace("+", "%2B")

    assert _listed(browser, "") == ["edit", "shut", "old", "admin"]
    assert _listed(browser, "role=viewer") == ["shut", "old"]
    assert _listed(browser, "role=viewer&is_active=false") == ["shut"]
    assert _listed(browser, "is_verified=0") == ["edit"]
    assert _listed(browser, "q=EDITH") == ["edit"]
    assert _listed(browser, "search=50%25") == ["edit"]
    assert _listed(browser, f"q={disabled.pk}") == ["shut"]
    assert _listed(browser, "q=") == ["edit", "shut", "old", "admin"]
    assert _listed(browser, f"created_before={yesterday}") == ["old"]
    assert _listed(browser, f"created_after={yesterday}&role=viewer") == ["shut"]


def test_a_whole_address_finds_exactly_that_user_and_reads_no_names(
    admin: User, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    make_user("viewer", "ann@example.com")
    make_user("viewer", "joann@example.com")
    browser = browser_of(admin)

    with CaptureQueriesContext(connection) as captured:
        assert _listed(browser, "q=Ann@Example.com") == ["ann"]

    assert not [query for query in captured if re.search(r"(INSTR|STRPOS)\(", query["sql"])]
    assert _listed(browser, "q=ann@example") == ["joann", "ann"]
    assert _listed(browser, "q=ann@example.com&role=editor") == []


@pytest.mark.parametrize(
    "query",
    ["role=root", "is_active=maybe", "created_after=soon", "q=%00", "limit=0", "cursor=x"],
)
def test_an_invalid_filter_is_rejected(admin: User, browser_of: BrowserOf, query: str) -> None:
    answer = browser_of(admin).get(f"{API}/users?{query}")

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [query.partition("=")[0]]
