"""Invalid requests get a problem document, never a page and never a server error."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

import pytest
from django.conf import settings as project_settings
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from access_reviews.models import AccessReview
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.roles import Role
from accounts.services.groups.changes import create_group
from accounts.services.invitations import invite
from api.apikeys.services import KeyRequest, create_key
from api.permissions import Requirements, requirements_of, served_methods
from api.schema import Document, document
from api.views.me import MeView
from applications.models import App
from applications.services.apps import create_app
from applications.services.custom_scopes import create_scope
from applications.services.secrets import create_secret
from audit import audit_log
from audit.models import AuditEvent
from forward_auth.models import AccessRule, Denial
from forward_auth.services.rules import create_rule
from moderation.services.bans import ban
from tests.accounts.approval_helpers import request_to_disable
from tests.api.calls import API, call, problem
from tests.api.routes import api_routes
from webhooks.services.endpoints import create_endpoint

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
JSON, PAGE = "application/json", "docs"


class Operation(NamedTuple):
    """One method of one path; `fields` are those of its body, None when it has none."""

    method: str
    route: str
    need: Requirements | None
    allowed: tuple[str, ...]
    fields: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


def _fields(description: Document, method: str, route: str) -> tuple[str, ...] | None:
    path = (
        f"{API}/{route}".replace("<uuid:", "{")
        .replace("<str:", "{")
        .replace("<int:", "{")
        .replace(">", "}")
    )
    operation = description["paths"][path][method.lower()]
    if "requestBody" not in operation:
        return None
    if JSON not in operation["requestBody"]["content"]:
        return None
    name = operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
    return tuple(description["components"]["schemas"][name]["properties"])


def _operations() -> list[Operation]:
    found = []
    description = document()
    for pattern in api_routes():
        view = pattern.callback.cls()
        route, served = str(pattern.pattern), tuple(served_methods(view))
        for method in served:
            fields = _fields(description, method, route)
            need = requirements_of(view, method)
            found.append(Operation(method, route, need, served, fields))
    return found


ALL = _operations()
WITH_BODY = [each for each in ALL if each.fields is not None]
# Questions of apps are forms: see tests/applications/test_introspection.py.
WITH_JSON = [each for each in ALL if each.method != "GET" and each.route != "introspect"]
WITH_ID = [each for each in ALL if "<" in each.route]
GUARDED = [each for each in ALL if each.need is not None]
FOR_ADMINS = [each for each in GUARDED if each.need and each.need.min_role == Role.ADMIN]
FOR_OWNERS = [each for each in GUARDED if each.need and each.need.min_role == Role.OWNER]
READING = [each for each in ALL if each.method == "GET"]


def each_of(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=str)


class LazyIds(dict[str, str]):
    """Makes what has an id when the id is first asked for."""

    def __init__(self, makers: dict[str, Callable[[], Any]]) -> None:
        self.makers = makers

    def __missing__(self, name: str) -> str:
        self[name] = made = str(self.makers[name]())
        return made

    def make_all(self) -> None:
        for name in self.makers:
            self[name]


@pytest.fixture
def ids(viewer: User, owner: User, make_user: Any) -> LazyIds:
    """Something for each kind of id."""
    rule = AccessRule(name="a rule", effect="deny")
    app = App(name="An app", url="https://app.example.com")
    denial = {"reference": "ABCD2345", "status": 403, "code": "forbidden", "why": "x"}
    key_request = KeyRequest(name="a key")
    books = {"name": "books:read", "description": "read your books"}
    webhook = {"name": "a webhook", "url": "https://hooks.example.com"}
    review = cache(lambda: _review(owner))
    endpoint = cache(lambda: create_endpoint(actor=owner, values=webhook).endpoint)
    made_app = cache(lambda: create_app(actor=owner, app=app))
    return LazyIds(
        {
            "<uuid:user_id>": lambda: viewer.pk,
            "<uuid:session_id>": uuid.uuid4,
            "<uuid:approval_id>": lambda: request_to_disable(viewer).pk,
            "<uuid:invitation_id>": lambda: (
                invite(actor=SYSTEM, email="i@example.com").invitation.pk
            ),
            "<str:key_id>": lambda: (
                create_key(actor=owner, user=owner, key_request=key_request).key.pk
            ),
            "<str:group>": lambda: create_group(actor=owner, name="finance").pk,
            "<uuid:ban_id>": lambda: (
                ban(actor=SYSTEM, user=make_user(), duration=None, reason="").pk
            ),
            "<str:action>": lambda: "message",
            "<uuid:review_id>": lambda: review().pk,
            "<uuid:item_id>": lambda: review().items.first().pk,
            "<uuid:webhook_id>": lambda: endpoint().pk,
            "<uuid:scope_id>": lambda: create_scope(actor=owner, values=books).pk,
            "<uuid:delivery_id>": lambda: endpoint().deliveries.create(payload="{}").pk,
            "<int:seq>": lambda: audit_log.record("account:user:edit", actor=owner).seq,
            "<uuid:rule_id>": lambda: create_rule(actor=owner, rule=rule).pk,
            "<uuid:app_id>": lambda: made_app().pk,
            "<uuid:secret_id>": lambda: create_secret(actor=owner, app=made_app()).secret.pk,
            "<str:reference>": lambda: Denial.objects.create(**denial).pk,
        }
    )


def _review(owner: User) -> AccessReview:
    wanted = ReviewRequest("Quarter", timezone.now() + timedelta(days=9), reviewers=[owner.pk])
    return start_review(actor=owner, wanted=wanted)


def path_of(operation: Operation, ids: dict[str, str]) -> str:
    path = operation.route
    for name in NOTHING_THERE:
        if name in path:
            path = path.replace(name, ids[name])
    return f"{API}/{path}"


NOTHING_THERE = {
    "<uuid:app_id>": str(uuid.uuid4()),
    "<uuid:secret_id>": str(uuid.uuid4()),
    "<uuid:user_id>": str(uuid.uuid4()),
    "<uuid:session_id>": str(uuid.uuid4()),
    "<uuid:approval_id>": str(uuid.uuid4()),
    "<uuid:invitation_id>": str(uuid.uuid4()),
    "<str:group>": "nothing",
    "<str:key_id>": "nothing",
    "<uuid:ban_id>": str(uuid.uuid4()),
    "<str:action>": "nothing",
    "<uuid:review_id>": str(uuid.uuid4()),
    "<uuid:item_id>": str(uuid.uuid4()),
    "<uuid:webhook_id>": str(uuid.uuid4()),
    "<uuid:scope_id>": str(uuid.uuid4()),
    "<uuid:delivery_id>": str(uuid.uuid4()),
    "<int:seq>": "999999",
    "<uuid:rule_id>": str(uuid.uuid4()),
    "<str:reference>": "nothing",
}


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The document, after looking at everything that each has."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["type"] == f"http://localhost:8000/api/v1/docs#{code}"
    assert found["title"]
    assert found["detail"]
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Request-ID"]
    return found


@each_of(GUARDED)
def test_without_a_credential(stranger: Client, operation: Operation) -> None:
    for ending in ("", "/"):
        path = path_of(operation, NOTHING_THERE) + ending
        answer = stranger.generic(operation.method, path, b"", content_type=JSON)

        refused(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Bearer"


@each_of(FOR_ADMINS)
def test_with_too_low_a_role(
    editor: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    answer = browser_of(editor).generic(
        operation.method, path_of(operation, ids), b"{}", content_type=JSON
    )

    refused(answer, 403, "forbidden")


@each_of(FOR_OWNERS)
def test_with_the_role_below_owner(
    admin: User, editor: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    path, before = path_of(operation, ids), list(AccessRule.objects.values())

    for user in (admin, editor):
        answer = browser_of(user).generic(operation.method, path, b"{}", content_type=JSON)
        refused(answer, 403, "forbidden")
    assert list(AccessRule.objects.values()) == before


NOT_THERE = [
    pytest.param(each, method, id=f"{method} {each.route}")
    for each in ALL
    if each.method == each.allowed[0]
    for method in ("PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "BREW")
    if method not in each.allowed
]


@pytest.mark.parametrize(("operation", "method"), NOT_THERE)
def test_with_a_method_that_is_not_there(
    stranger: Client, operation: Operation, method: str
) -> None:
    answer = stranger.generic(method, path_of(operation, NOTHING_THERE), b"x")

    refused(answer, 405, "method_not_allowed")
    assert answer["Allow"] == ", ".join(operation.allowed)


@each_of(READING)
def test_head_is_get_without_its_content(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    ids.make_all()  # lists show a row of each kind
    browser, path = browser_of(owner), path_of(operation, ids)

    got, head = browser.get(path), browser.head(path)

    assert (head.status_code, head["Content-Type"]) == (got.status_code, got["Content-Type"])
    assert b"".join(head) == b""  # `content` is not there for a streamed export


@each_of([each for each in ALL if "GET" not in each.allowed])
def test_head_without_a_get(stranger: Client, operation: Operation) -> None:
    answer = stranger.head(path_of(operation, NOTHING_THERE))

    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")


@each_of([each for each in ALL if each.route != PAGE])
def test_a_request_for_html_gets_a_problem_document(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    answer = browser_of(owner).generic(
        operation.method,
        path_of(operation, ids),
        b"{}",
        content_type=JSON,
        headers={"accept": "text/html"},
    )

    refused(answer, 406, "not_acceptable")


BAD_BODIES = [
    ("text/plain", b'{"email": "a@example.com"}', 415, "unsupported_media_type"),
    ("application/x-www-form-urlencoded", b"email=a", 415, "unsupported_media_type"),
    ("multipart/form-data; boundary=x", b"--x--", 415, "unsupported_media_type"),
    ("application/xml", b"<a/>", 415, "unsupported_media_type"),
    ("nonsense", b"{}", 415, "unsupported_media_type"),
    (JSON, b"{", 400, "malformed"),
    (JSON, b"\xff\xfe{}", 400, "malformed"),
    (JSON, b'{"email": NaN}', 400, "malformed"),
    (JSON, b"[" * 100_000, 400, "malformed"),
    (JSON, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "malformed"),
    (JSON, b'"' + b"x" * 300_000 + b'"', 413, "too_large"),
]


@each_of(WITH_BODY)
def test_with_a_body_that_is_no_json(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    browser, path = browser_of(owner), path_of(operation, ids)

    for kind, body, status, code in BAD_BODIES:
        refused(browser.generic(operation.method, path, body, content_type=kind), status, code)


@each_of(WITH_BODY)
def test_with_a_body_that_is_no_object(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    browser, path = browser_of(owner), path_of(operation, ids)

    for body in ([], [1], "text", 7, True, [{"email": "a@example.com"}]):
        sent = json.dumps(body).encode()
        answer = browser.generic(operation.method, path, sent, content_type=JSON)
        assert list(refused(answer, 402, "record_invalid")["errors"]) == ["record"], body


# A NUL, half a character, the wrong types, a huge number.
BAD_VALUES: list[Any] = ["a\x00b", "\ud800", {"a": 1}, [["a"]], 10**400]


def _long_text(fields: int) -> str:
    """So long that a request may still hold one for each field."""
    return "x" * min(20_000, project_settings.DATA_UPLOAD_MAX_MEMORY_SIZE // fields - 100)


@each_of(WITH_BODY)
def test_with_values_that_no_field_takes(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    browser, path = browser_of(owner), path_of(operation, ids)
    assert operation.fields is not None

    for value in [*BAD_VALUES, _long_text(len(operation.fields))]:
        body = json.dumps(dict.fromkeys(operation.fields, value)).encode()
        answer = browser.generic(operation.method, path, body, content_type=JSON)
        found = refused(answer, 402, "record_invalid")
        assert {name.partition(".")[0] for name in found["errors"]} <= set(operation.fields)


@each_of(WITH_JSON)
def test_with_fields_that_are_not_there(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    path, browser = path_of(operation, ids), browser_of(owner)
    before = AuditEvent.objects.count()
    known = {name: {"not": ["a", "value"]} for name in operation.fields or ()}

    for unknown in ({"no_such_field": 1}, {"no_such_field": None, "\ud800": {}, "a.b": []}):
        body = json.dumps(known | unknown).encode()
        answer = browser.generic(operation.method, path, body, content_type=JSON)

        errors = refused(answer, 402, "record_invalid")["errors"]
        assert {name.replace("?", "\ud800") for name in errors} >= unknown.keys()
        assert errors["no_such_field"] == ["There is no such field."]
    assert AuditEvent.objects.count() == before


@each_of(WITH_JSON)
def test_with_thousands_of_fields_that_are_not_there(
    owner: User, browser_of: BrowserOf, ids: LazyIds, operation: Operation
) -> None:
    body = json.dumps({f"{number:05}" + "x" * 200: 1 for number in range(1000)}).encode()

    answer = browser_of(owner).generic(
        operation.method, path_of(operation, ids), body, content_type=JSON
    )

    assert len(refused(answer, 402, "record_invalid")["errors"]) < 30
    assert len(answer.content) < 20_000


@each_of(WITH_ID)
def test_with_an_id_that_is_not_there(
    owner: User, browser_of: BrowserOf, operation: Operation
) -> None:
    answer = browser_of(owner).generic(
        operation.method, path_of(operation, NOTHING_THERE), b"{}", content_type=JSON
    )

    refused(answer, 404, "not_found")


@each_of(WITH_ID)
def test_with_an_id_that_is_none(owner: User, browser_of: BrowserOf, operation: Operation) -> None:
    browser = browser_of(owner)

    for key in ("%00", "%ED%A0%80", "..%2F..", "'--", "x" * 2000, "é"):
        path = path_of(operation, dict.fromkeys(NOTHING_THERE, key))
        answer = browser.generic(operation.method, path, b"{}", content_type=JSON)
        refused(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/users/../nothing", "/me/x/y", "/ME"])
def test_a_path_that_is_not_there(stranger: Client, path: str) -> None:
    refused(stranger.get(f"{API}{path}/nothing"), 404, "not_found")


def test_an_unknown_host_is_a_problem_document(stranger: Client) -> None:
    answer = stranger.get(f"{API}/me", headers={"host": "evil.example"})

    assert (answer.status_code, answer.json()["code"]) == (400, "host_not_allowed")
    assert answer["Content-Type"] == "application/problem+json"


def test_a_server_error_has_a_request_id_and_no_traceback(
    viewer: User, browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def fail(self: MeView, request: HttpRequest) -> None:
        raise RuntimeError("the secret reason")

    browser = browser_of(viewer)
    browser.raise_request_exception = False
    monkeypatch.setattr(MeView, "get", fail)

    for accept in ("application/json", "text/html, */*"):
        answer = browser.get(f"{API}/me", headers={"accept": accept})

        found = refused(answer, 500, "server_error")
        assert found["request_id"] == answer["X-Request-ID"]
        assert b"secret" not in answer.content
        assert b"Traceback" not in answer.content


@pytest.mark.parametrize("path", ["/nothing-here", "/nothing/here/"])
def test_programs_get_the_same_document_outside_the_api(stranger: Client, path: str) -> None:
    answer = stranger.get(path, headers={"accept": "application/json"})

    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert stranger.get(path)["Content-Type"] == "text/html; charset=utf-8"


def test_a_server_error_outside_the_api_is_the_same_document(
    stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("the secret reason")

    stranger.raise_request_exception = False
    monkeypatch.setattr("config.health.JsonResponse", fail)

    answer = stranger.get("/health/live", headers={"accept": "application/json"})

    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert b"secret" not in answer.content


# All that is wrong at once

WEAK = "short"
WRONG = {
    "a new account": (
        "POST", "users",
        {"email": "nobody", "role": "emperor", "username": "a b", "password": WEAK,
         "is_verified": "perhaps", "name": "x" * 200},
        {"email", "role", "username", "password", "is_verified", "name"},
    ),
    "a taken address beside a wrong role": (
        "POST", "users", {"email": "Viewer@Example.com", "role": "emperor", "username": "VERA"},
        {"email", "role", "username"},
    ),
    "taken names and a weak password": (
        "POST", "users", {"email": "viewer@example.com", "username": "vera", "password": WEAK},
        {"email", "username", "password"},
    ),
    "a password that is the address": (
        "POST", "users", {"email": "longestaddress@example.com", "role": "emperor",
                          "password": "longestaddress@example.com"},
        {"role", "password"},
    ),
    "a change": (
        "PATCH", "users/{editor}", {"email": "nobody", "role": "emperor", "username": "a b"},
        {"email", "role", "username"},
    ),
    "a change to what others have": (
        "PATCH", "users/{editor}", {"email": "viewer@example.com", "username": "vera"},
        {"email", "username"},
    ),
    "an invitation": (
        "POST", "invitations", {"email": "nobody", "role": "emperor", "expires_at": "1",
                                "name": "x" * 200},
        {"email", "role", "expires_at", "name"},
    ),
    "an invitation of somebody who is here": (
        "POST", "invitations", {"email": "viewer@example.com", "role": "emperor"},
        {"email", "role"},
    ),
    "the own profile": (
        "PATCH", "me", {"name": "x" * 200, "username": "vera"}, {"name", "username"},
    ),
    "a key": (
        "POST", "api-keys", {"name": "", "scopes": ["fly"], "networks": ["x"],
                             "expires_at": "2001-01-01T00:00:00Z"},
        {"name", "scopes", "networks", "expires_at"},
    ),
    "a key without a name": (
        "POST", "api-keys", {"scopes": ["fly"]}, {"name", "scopes"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_all_errors_are_reported_at_once(
    owner: User,
    viewer: User,
    editor: User,
    browser_of: BrowserOf,
    case: str,
) -> None:
    method, path, body, fields = WRONG[case]
    before = (User.objects.count(), AuditEvent.objects.count())
    browser = browser_of(owner)
    after_sign_in = AuditEvent.objects.count()

    answer = call(browser, method, path.format(editor=editor.pk), body)

    assert problem(answer) == (402, "record_invalid")
    assert set(answer.json()["errors"]) == fields
    assert (User.objects.count(), AuditEvent.objects.count()) == (before[0], after_sign_in)


@pytest.mark.parametrize("header", ["x-csrf-token", "x-csrftoken"])
def test_the_csrf_token_is_accepted_under_both_names(
    viewer: User, browser_of: BrowserOf, header: str
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser_of(viewer).cookies
    token = strict.get(f"{API}/me")["X-CSRF-Token"]
    change = {"name": "Changed"}

    def patch(value: str) -> Any:
        return strict.patch(
            f"{API}/me", change, content_type="application/json", headers={header: value}
        )

    assert problem(patch("x" * 64)) == (403, "csrf_failed")
    assert patch(token).status_code == 200
    page = strict.post("/sign-out", headers={header: token})
    assert (page.status_code, page["Location"]) == (303, "/sign-in?notice=signed-out")
