"""/api/v1/api-keys, and keys as credentials of every request."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services.users import change_role, disable_user
from api.apikeys import key_format
from api.apikeys.services import revoke_key
from api.models import ApiKey
from audit.models import AuditEvent
from moderation.models import Violation
from tests.api.calls import call, problem
from tests.api.keys import call_with, made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
KEYS = "api-keys"
FIELDS = {
    "id",
    "name",
    "shown",
    "scopes",
    "networks",
    "state",
    "created_at",
    "expires_at",
    "revoked_at",
    "rotated_at",
    "last_used_at",
    "last_used_ip",
}


@pytest.fixture
def master(admin: User) -> str:
    """A key of an admin that may everything."""
    scopes = ["read", "write", "users", "moderation", "service", "scim"]
    return made(admin, "master", scopes=scopes).text


# As a credential


def test_a_key_needs_no_cookie_and_no_csrf_token(viewer: User, master: str) -> None:
    answer = call_with(made(viewer).text)

    assert answer.status_code == 200
    assert answer.json()["email"] == "viewer@example.com"
    assert "X-CSRF-Token" not in answer
    assert answer.cookies == {}
    assert call_with(master, "POST", KEYS, {"name": "made by a key"}).status_code == 201


@pytest.mark.parametrize("text", ["", " ", "x", "gth_", "None", "gth_AbCdEf0123_" + "x" * 49])
def test_a_wrong_key_is_rejected_and_never_ignored(
    viewer: User, browser_of: BrowserOf, text: str
) -> None:
    assert problem(call_with(text)) == (403, "api_key_invalid")
    with_session = browser_of(viewer).get("/api/v1/me", headers={"x-api-key": text})
    assert problem(with_session) == (403, "api_key_invalid")


def test_an_unknown_key_is_refused(viewer: User) -> None:
    assert problem(call_with(key_format.make().text)) == (403, "api_key_invalid")


def test_a_key_outside_its_headers_is_ignored(master: str) -> None:
    client = Client()
    body = json.dumps({"key": master, "api_key": master, "X-API-Key": master, "name": "x"})
    cookie = Client()
    for name in ("X-API-Key", "api_key", "key", "gatehouse_session"):
        cookie.cookies[name] = master

    tries = [
        client.get("/api/v1/me", {"api_key": master, "key": master, "X-API-Key": master}),
        client.post(f"/api/v1/{KEYS}", body, content_type="application/json"),
        cookie.get("/api/v1/me"),
        client.get("/api/v1/me", headers={"x-gatehouse-key": master}),
    ]

    assert [problem(answer) for answer in tries] == [(401, "not_authenticated")] * 4
    assert ApiKey.objects.count() == 1


def test_a_key_is_accepted_as_a_bearer_token(master: str, admin: User) -> None:
    answer = Client().get("/api/v1/me", headers={"authorization": f"Bearer {master}"})

    assert (answer.status_code, answer.json()["email"]) == (200, admin.email)


def test_key_and_session_of_different_people_are_refused(
    viewer: User, master: str, browser_of: BrowserOf
) -> None:
    answer = browser_of(viewer).get("/api/v1/users", headers={"x-api-key": master})

    assert problem(answer) == (401, "token_invalid")


def test_a_key_beside_its_owners_session_is_bound_by_its_own_scopes(
    admin: User, browser_of: BrowserOf
) -> None:
    browser, reading = browser_of(admin), made(admin).text

    assert browser.get("/api/v1/users").status_code == 200
    answer = browser.get("/api/v1/users", headers={"x-api-key": reading})
    assert problem(answer) == (403, "forbidden")


def test_a_key_does_not_authenticate_pages(viewer: User) -> None:
    client = Client(headers={"x-api-key": made(viewer).text})

    for path in ("/account/", "/account/keys", "/admin/"):
        assert client.get(path).status_code == 302


def test_a_missing_scope_is_named(admin: User) -> None:
    answer = call_with(made(admin).text, "GET", "users")

    assert problem(answer) == (403, "forbidden")
    assert "users" in answer.json()["detail"]


def test_lost_access_applies_to_keys_at_the_next_request(editor: User, owner: User) -> None:
    text = made(editor).text
    assert call_with(text).status_code == 200

    disable_user(actor=owner, user=editor)

    assert problem(call_with(text)) == (403, "account_disabled")


def test_a_lost_role_applies_to_keys_at_the_next_request(
    editor: User, owner: User, stranger: Client
) -> None:
    text = made(editor, scopes=["read", "write"]).text
    change = {"path": "/api/v1/me", "data": {"name": "E"}, "content_type": "application/json"}
    assert stranger.patch(**change, headers={"x-api-key": text}).status_code == 200

    change_role(actor=owner, user=editor, role="viewer")

    assert problem(stranger.patch(**change, headers={"x-api-key": text})) == (403, "forbidden")
    assert call_with(text).status_code == 200


def test_a_key_works_only_from_its_networks(viewer: User) -> None:
    text = made(viewer, networks=["203.0.113.0/24", "2001:db8::/32"]).text

    assert call_with(text, ip="203.0.113.7").status_code == 200
    assert call_with(text, ip="2001:db8::7").status_code == 200
    assert problem(call_with(text, ip="198.51.100.7")) == (403, "api_key_invalid")
    forged = call_with(text, ip="198.51.100.7", HTTP_X_FORWARDED_FOR="203.0.113.7")
    assert problem(forged) == (403, "api_key_invalid")


def test_too_many_requests_get_a_retry_after(viewer: User, settings: Any) -> None:
    settings.API_KEY_MAX, settings.API_KEY_WINDOW = 2, timedelta(days=1)
    text = made(viewer).text
    statuses = [call_with(text).status_code for _number in range(2)]

    answer = call_with(text)

    assert statuses == [200, 200]
    assert problem(answer) == (429, "rate_limited")
    assert 0 < int(answer["Retry-After"]) <= 86_400


def test_guesses_are_limited_without_limiting_valid_keys(viewer: User, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "api-key": (10, timedelta(minutes=5))}
    wrong = [key_format.make().text for _number in range(12)]

    guesses = [problem(call_with(text)) for text in wrong]

    assert guesses == [(403, "api_key_invalid")] * 10 + [(429, "rate_limited")] * 2
    assert Violation.objects.count() == 0
    assert call_with(made(viewer).text).status_code == 200
    assert problem(call_with(wrong[0], ip="198.51.100.7")) == (403, "api_key_invalid")


def test_mistyped_keys_are_not_counted(settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "api-key": (1, timedelta(minutes=5))}

    assert [call_with("gth_mistyped").status_code for _number in range(20)] == [403] * 20


# Making


def test_only_the_response_to_the_post_contains_the_key(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser = browser_of(viewer)

    answer = call(browser, "POST", KEYS, {"name": "script"})

    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    made_key = answer.json()
    assert set(made_key) == FIELDS | {"key"}
    assert call_with(made_key["key"]).json()["email"] == "viewer@example.com"
    (listed,) = browser.get(f"/api/v1/{KEYS}").json()["results"]
    one = browser.get(f"/api/v1/{KEYS}/{made_key['id']}").json()
    assert set(listed) == set(one) == FIELDS
    assert listed["shown"] == f"gth_{made_key['id']}_…{made_key['key'][-4:]}"
    secret = made_key["key"][15:58]
    seen = [browser.get("/api/v1/me/export").content, browser.get("/account/keys").content]
    assert not any(secret.encode() in content for content in seen)


def test_all_fields_of_the_request_are_applied(admin: User, browser_of: BrowserOf) -> None:
    end = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    fields = {
        "name": "  nightly   backup ",
        "scopes": ["users", "read"],
        "expires_at": end.isoformat(),
        "networks": ["203.0.113.9/24"],
    }

    key = call(browser_of(admin), "POST", KEYS, fields).json()

    assert key["name"] == "nightly backup"
    assert key["scopes"] == ["read", "users"]
    assert key["networks"] == ["203.0.113.0/24"]
    assert ApiKey.objects.get().expires_at == end
    assert key["state"] == "live"


def test_fields_of_other_users_are_rejected(
    viewer: User, admin: User, browser_of: BrowserOf
) -> None:
    forged = {
        "user": str(admin.pk),
        "user_id": str(admin.pk),
        "owner": str(admin.pk),
        "role": "owner",
        "id": "AAAAAAAAAA",
        "hash": "0" * 64,
        "digest": "0" * 64,
        "prefix": "gth_x",
        "key": "gth_AAAAAAAAAA_" + "x" * 49,
        "created_at": "2099-01-01T00:00:00Z",
        "last_used_at": "2099-01-01T00:00:00Z",
    }

    answer = call(browser_of(viewer), "POST", KEYS, {"name": "x", **forged})

    assert problem(answer) == (402, "record_invalid")
    assert answer.json()["errors"].keys() == forged.keys()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "x", "scopes": ["users"]}, "scopes"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": "read"}, "scopes"),
        ({"name": "x", "scopes": [["read"]]}, "scopes.0"),
        ({"name": "x", "expires_at": None}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"name": "x", "expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"name": "x", "expires_at": "2026-12-31T12:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "2026-12-31"}, "expires_at"),
        ({"name": "x", "expires_at": 1893456000}, "expires_at"),
        ({"name": "x", "networks": ["everywhere"]}, "networks"),
        ({"name": "x", "networks": "10.0.0.0/8"}, "networks"),
        ({"name": "x", "networks": ["\ud800"]}, "networks.0"),
    ],
)
def test_an_invalid_value_is_named_by_field(
    viewer: User, browser_of: BrowserOf, fields: dict[str, Any], field: str
) -> None:
    answer = call(browser_of(viewer), "POST", KEYS, fields)

    assert problem(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not ApiKey.objects.exists()


def test_keys_cannot_be_created_without_a_credential(stranger: Client, viewer: User) -> None:
    body = json.dumps({"name": "x", "userId": str(viewer.pk), "user_id": str(viewer.pk)})

    answer = stranger.post(f"/api/v1/{KEYS}", body, content_type="application/json")

    assert problem(answer) == (401, "not_authenticated")
    assert not ApiKey.objects.exists()


def test_a_session_creates_keys_only_with_a_csrf_token(viewer: User, browser_of: BrowserOf) -> None:
    answer = browser_of(viewer).post(
        f"/api/v1/{KEYS}", {"name": "x"}, content_type="application/json"
    )
    enforcing = Client(enforce_csrf_checks=True)
    enforcing.cookies = browser_of(viewer).cookies
    forged = enforcing.post(f"/api/v1/{KEYS}", {"name": "x"}, content_type="application/json")

    assert problem(forged) == (403, "csrf_failed")
    assert answer.status_code == 201


def test_a_key_creates_keys_only_with_the_scope_users(admin: User) -> None:
    writing = made(admin, scopes=["read", "write", "moderation", "service"]).text
    managing = made(admin, scopes=["users"]).text

    assert problem(call_with(writing, "POST", KEYS, {"name": "x"})) == (403, "forbidden")
    wider = call_with(managing, "POST", KEYS, {"name": "x", "scopes": ["read"]})
    assert problem(wider) == (402, "record_invalid")
    same = call_with(managing, "POST", KEYS, {"name": "x", "scopes": ["users"]})
    assert same.status_code == 201
    assert ApiKey.objects.count() == 3


# Listing, revoking, rotating


def test_users_see_only_their_own_keys(viewer: User, owner: User, browser_of: BrowserOf) -> None:
    key, browser = made(viewer).key, browser_of(owner)

    assert browser.get(f"/api/v1/{KEYS}").json() == {"next": None, "previous": None, "results": []}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = call(browser, method, f"{KEYS}/{key.pk}{path}", {})
        assert problem(answer) == (404, "not_found")
    assert ApiKey.objects.get().revoked_at is None


def test_a_revoked_key_is_not_found(viewer: User, browser_of: BrowserOf) -> None:
    issued, browser = made(viewer), browser_of(viewer)

    first = call(browser, "DELETE", f"{KEYS}/{issued.key.pk}")
    second = call(browser, "DELETE", f"{KEYS}/{issued.key.pk}")

    assert (first.status_code, first.content) == (204, b"")
    assert problem(second) == (404, "not_found")
    assert problem(call_with(issued.text)) == (403, "api_key_invalid")
    (row,) = browser.get(f"/api/v1/{KEYS}").json()["results"]
    assert row["state"] == "revoked"


def test_a_key_that_reads_revokes_nothing(admin: User) -> None:
    issued = made(admin)

    answer = call_with(issued.text, "DELETE", f"{KEYS}/{issued.key.pk}")

    assert problem(answer) == (403, "forbidden")


@pytest.mark.parametrize("key_id", ["x", "AAAAAAAAAA", "%00", "\ud800", "a" * 300, "' OR 1=1"])
def test_an_unknown_id_is_not_found(viewer: User, browser_of: BrowserOf, key_id: str) -> None:
    path = f"{KEYS}/{key_id}".encode(errors="surrogatepass").decode(errors="replace")

    assert problem(call(browser_of(viewer), "DELETE", path)) == (404, "not_found")


def test_a_rotated_key_keeps_working_during_the_overlap(
    viewer: User, browser_of: BrowserOf
) -> None:
    old, browser = made(viewer, "nightly"), browser_of(viewer)

    answer = call(browser, "POST", f"{KEYS}/{old.key.pk}/rotate", {"overlap": 3600})

    assert answer.status_code == 201
    assert set(answer.json()) == FIELDS | {"key"}
    assert answer.json()["name"] == "nightly"
    for text in (old.text, answer.json()["key"]):
        assert call_with(text).status_code == 200
    row = ApiKey.objects.get(pk=old.key.pk)
    assert row.expires_at is not None
    assert row.rotated_at is not None
    assert row.expires_at - row.rotated_at == timedelta(hours=1)


@pytest.mark.parametrize("overlap", [-1, 604_801, "soon", None, 1e300])
def test_an_invalid_overlap_rotates_nothing(
    viewer: User, browser_of: BrowserOf, overlap: object
) -> None:
    key = made(viewer).key

    answer = call(browser_of(viewer), "POST", f"{KEYS}/{key.pk}/rotate", {"overlap": overlap})

    assert problem(answer) == (402, "record_invalid")
    assert ApiKey.objects.count() == 1


def test_an_ended_key_cannot_be_rotated(viewer: User, browser_of: BrowserOf) -> None:
    key = made(viewer).key
    revoke_key(actor=viewer, key=key)

    answer = call(browser_of(viewer), "POST", f"{KEYS}/{key.pk}/rotate", {})

    assert problem(answer) == (404, "not_found")


def test_calls_by_key_are_not_audited(viewer: User) -> None:
    text = made(viewer).text
    before = AuditEvent.objects.count()

    for _number in range(3):
        call_with(text)
    call_with(key_format.make().text)

    assert AuditEvent.objects.count() == before


def test_keys_are_never_logged(master: str, caplog: pytest.LogCaptureFixture, viewer: User) -> None:
    caplog.set_level("DEBUG")
    call_with(master)
    call_with(master, "POST", KEYS, {"name": "x", "scopes": ["root"]})
    call_with(master, "GET", "nothing")
    fresh = call_with(master, "POST", KEYS, {"name": "x"}).json()["key"]

    for text in (master, fresh):
        assert text[15:] not in caplog.text
