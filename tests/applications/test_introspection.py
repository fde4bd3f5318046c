"""Questions of apps (RFC 7662): what is told of each kind of credential, and of none that has
ended."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import BrowserSession, Group, Membership, User
from accounts.services.service_accounts import create_service_account
from accounts.sessions.store import PURPOSE
from api.kept_answers import HOLDS_UNTIL
from api.models import ApiKey, TokenFamily
from applications.models import App, AppSecret
from applications.services.apps import create_app
from applications.services.secrets import create_secret
from audit.models import AuditEvent
from core.crypto.tokens import digest
from forward_auth.services.cookies import issue_forward_auth_cookie
from moderation.models import Ban
from tests.api.keys import made
from tests.api.tokens import sign_in

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], object]
PATH, FORM = "/api/v1/introspect", "application/x-www-form-urlencoded"
INACTIVE = {"active": False}
KINDS = ("api_key", "access_token", "session", "cookie of apps")


class Asking:
    """An app with its credentials, from outside."""

    def __init__(self, owner: User) -> None:
        self.app = create_app(actor=owner, app=App(name="Wiki", url="https://wiki.example.com"))
        self.secret = create_secret(actor=owner, app=self.app).text

    @property
    def header(self) -> str:
        pair = f"{self.app.client_id}:{self.secret}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def ask(self, token: str, **fields: str) -> Any:
        return self.send({"token": token, **fields}, authorization=self.header)

    def send(self, fields: dict[str, str] | str, content_type: str = FORM, **headers: str) -> Any:
        body = fields if isinstance(fields, str) else urlencode(fields)
        return Client().post(PATH, body, content_type=content_type, headers=headers)

    def told(self, token: str, **fields: str) -> dict[str, Any]:
        answer = self.ask(token, **fields)
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == "application/json"
        assert answer["Cache-Control"] == "no-store"
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def asking(owner: User) -> Asking:
    return Asking(owner)


@pytest.fixture
def credential(viewer: User, browser_of: BrowserOf) -> Callable[[str], str]:
    """A credential of the viewer, by kind."""

    def make(kind: str) -> str:
        if kind == "api_key":
            return made(viewer).text
        if kind == "access_token":
            return str(sign_in(viewer)["access"])
        cookie = browser_of(viewer).cookies["gatehouse_session"].value
        return cookie if kind == "session" else issue_forward_auth_cookie(cookie)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_that_works_is_told_with_its_user(
    asking: Asking, viewer: User, credential: Callable[[str], str], kind: str
) -> None:
    group = Group.objects.create(name="finance")
    Membership.objects.create(user=viewer, group=group)
    User.objects.filter(pk=viewer.pk).update(username="vera", name="Vera")
    text = credential(kind)
    told = asking.told(text, token_type_hint="anything")
    now = timezone.now().timestamp()

    assert abs(told.pop("iat") - now) < 60
    assert told.pop("exp", now + 1) > now
    assert told.pop("jti")
    audience = {"aud": "http://localhost:8000"} if kind == "access_token" else {}
    assert told == {
        **audience,
        "active": True,
        "token_type": kind if kind in KINDS[:3] else "session",
        "iss": "http://localhost:8000",
        "sub": str(viewer.pk),
        "username": "vera",
        "email": "viewer@example.com",
        "email_verified": True,
        "name": "Vera",
        "role": "viewer",
        "groups": ["finance"],
        "scope": "read",
        "client_id": "gatehouse",
    }
    assert text not in str(asking.told(text))


# What happens to the viewer or to the credential, so that it lets nobody in.
ENDS: dict[str, Callable[[User], Any]] = {
    "banned": lambda user: Ban.objects.create(user=user, kind="manual"),
    "disabled": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "without a role": lambda user: User.objects.filter(pk=user.pk).update(role="none"),
    "not verified": lambda user: User.objects.filter(pk=user.pk).update(email_verified_at=None),
    "expired user": lambda user: User.objects.filter(pk=user.pk).update(expires_at=timezone.now()),
    "ended credential": lambda user: [
        ApiKey.objects.update(revoked_at=timezone.now()),
        TokenFamily.objects.update(ended_at=timezone.now()),
        BrowserSession.objects.update(expire_date=timezone.now()),
    ],
    "deleted": lambda user: user.delete(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_credential_that_lets_nobody_in_gets_the_same_answer(
    asking: Asking, viewer: User, credential: Callable[[str], str], kind: str
) -> None:
    text = credential(kind)
    rows = (User, ApiKey, TokenFamily, BrowserSession)
    for name, end in ENDS.items():
        before = {model: list(model._base_manager.values()) for model in rows}
        assert asking.told(text)["active"], name
        end(viewer)
        assert asking.told(text) == INACTIVE, name
        if name != "deleted":
            Ban.objects.all().delete()
            for model in rows:
                for values in before[model]:
                    model._base_manager.filter(pk=values[model._meta.pk.attname]).update(**values)


@pytest.mark.parametrize(
    "text", ["x", "gth_", "gth_0123456789_" + "a" * 49, "a.b.c", "é\u2028", " ", "a" * 16_384]
)
def test_what_is_no_credential_is_not_active(asking: Asking, text: str) -> None:
    assert asking.told(text) == INACTIVE


def test_an_unknown_key_takes_as_many_statements_as_one_that_has_ended(
    asking: Asking, viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    unknown, revoked, expired = (made(viewer, name).text for name in ("a", "b", "c"))
    ApiKey.objects.filter(name="a").delete()
    ApiKey.objects.filter(name="b").update(revoked_at=timezone.now())
    ApiKey.objects.filter(name="c").update(expires_at=timezone.now())
    asking.told("x")  # the note of the first use of the secret
    for text in (unknown, revoked, expired):
        AppSecret.objects.update(ending="x")  # ends the reuse of rows
        with django_assert_num_queries(2):  # the secret with its app, the key with its user
            assert asking.told(text) == INACTIVE


def test_a_key_of_some_networks_needs_the_address_of_the_client(
    asking: Asking, viewer: User
) -> None:
    text = made(viewer, networks=["203.0.113.0/24"]).text

    assert asking.told(text) == INACTIVE
    assert asking.told(text, client_ip="198.51.100.1") == INACTIVE
    assert asking.told(text, client_ip="203.0.113.9")["active"]
    key = ApiKey.objects.get()
    assert key.last_used_ip == "203.0.113.9"


def test_a_service_account_is_told_without_an_address(asking: Asking, owner: User) -> None:
    account = create_service_account(actor=owner, username="backup-job", responsible=owner)
    told = asking.told(made(account).text)

    assert (told["active"], told["username"], told["role"]) == (True, "backup-job", "viewer")
    assert (told["email"], told["email_verified"]) == ("", False)


def test_a_question_counts_as_use_of_a_key_but_not_against_its_quota(
    asking: Asking, viewer: User, settings: LazySettings
) -> None:
    settings.API_KEY_MAX = 1
    text = made(viewer).text

    assert [asking.told(text)["active"] for _again in range(30)] == [True] * 30
    assert ApiKey.objects.get().last_used_at is not None


def test_a_question_does_not_extend_a_session(
    asking: Asking, credential: Callable[[str], str], at_time: AtTime
) -> None:
    cookie = credential("session")
    row = BrowserSession.objects.filter(pk=digest(PURPOSE, cookie))
    before = row.values().get()
    at_time(timedelta(minutes=10))

    assert asking.told(cookie)["active"]
    assert row.values().get() == before


def test_the_role_and_the_groups_of_the_moment_are_told(
    asking: Asking, viewer: User, credential: Callable[[str], str], at_time: AtTime
) -> None:
    text = credential("access_token")
    end = timezone.now() + timedelta(minutes=2)
    group = Group.objects.create(name="finance")
    Membership.objects.create(user=viewer, group=group, until=end)
    User.objects.filter(pk=viewer.pk).update(role="editor", role_until=end, role_after="viewer")

    told = [asking.told(text) for _twice in range(2)]
    at_time(timedelta(minutes=2, seconds=1))
    later = asking.told(text)

    assert [(each["role"], each["groups"]) for each in told] == [("editor", ["finance"])] * 2
    assert [told[0]["scope"], later["scope"]] == ["read write", "read"]
    assert (later["role"], later["groups"]) == ("viewer", [])


def test_wrong_client_credentials_are_refused_before_the_question_is_read(
    asking: Asking, viewer: User
) -> None:
    text = made(viewer).text
    before = AuditEvent.objects.count()
    wrong = f"Basic {base64.b64encode(f'{asking.app.client_id}:x'.encode()).decode()}"
    answers = [
        asking.send({"token": text}),
        asking.send({"nonsense": "x"}, authorization=f"Bearer {text}"),
        asking.send({"token": text}, authorization=wrong),
        asking.send({"token": text, "client_id": asking.app.client_id, "client_secret": "x"}),
    ]

    for answer in answers:
        document = answer.json()
        assert answer.status_code == 401
        assert (document["code"], document["error"]) == ("invalid_client", "invalid_client")
        assert answer["WWW-Authenticate"].startswith("Basic ")
        assert answer["Content-Type"] == "application/problem+json"
    events = AuditEvent.objects.filter(action="sso:app:authenticate")
    assert (events.count(), AuditEvent.objects.count()) == (2, before + 2)


def test_a_flood_of_wrong_secrets_is_limited_and_a_right_one_goes_through(
    asking: Asking, viewer: User
) -> None:
    text, right = made(viewer).text, asking.secret
    asking.secret = "wrong"
    statuses = [asking.ask(text).status_code for _attempt in range(22)]
    asking.secret = right

    assert statuses == [401] * 20 + [429] * 2
    assert asking.told(text)["active"]


def test_questions_write_no_audit_row(asking: Asking, viewer: User) -> None:
    text = made(viewer).text
    before = AuditEvent.objects.count()
    for token in (text, "x"):
        asking.ask(token)

    assert AuditEvent.objects.count() == before


def test_the_credentials_may_be_fields(asking: Asking, viewer: User) -> None:
    fields = {"client_id": asking.app.client_id, "client_secret": asking.secret}
    assert asking.send({"token": made(viewer).text, **fields}).json()["active"]
    both = asking.send({"token": "x", **fields}, authorization=asking.header)
    assert (both.status_code, set(both.json()["errors"])) == (402, {"client_secret"})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code", "errors"),
    [
        ({}, FORM, 402, "record_invalid", {"token"}),
        ({"token": ""}, FORM, 402, "record_invalid", {"token"}),
        ({"token": "x", "tokn": "y"}, FORM, 402, "record_invalid", {"tokn"}),
        ({"token": "x", "client_ip": "nowhere"}, FORM, 402, "record_invalid", {"client_ip"}),
        ({"token": "a" * 16_385}, FORM, 402, "record_invalid", {"token"}),
        ({"token": "a\0b"}, FORM, 402, "record_invalid", {"token"}),
        ("token=a&token=b", FORM, 400, "repeated_parameter", None),
        ('{"token": "x"}', "application/json", 415, "unsupported_media_type", None),
        ("token=x", "multipart/form-data; boundary=x", 415, "unsupported_media_type", None),
    ],
)
def test_bad_questions_get_the_errors_of_the_api(
    asking: Asking, body: Any, content_type: str, status: int, code: str, errors: set[str] | None
) -> None:
    answer = asking.send(body, content_type, authorization=asking.header)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert set(answer.json().get("errors", ())) == (errors or set())


def test_other_methods_and_a_query_are_no_question(asking: Asking, viewer: User) -> None:
    text = made(viewer).text
    for method in ("get", "put", "delete"):
        answer = getattr(Client(), method)(f"{PATH}?token={text}")
        assert answer.status_code == 405
    in_url = Client().post(
        f"{PATH}?token={text}", "", content_type=FORM, headers={"authorization": asking.header}
    )
    assert (in_url.status_code, set(in_url.json()["errors"])) == (402, {"token"})


def test_an_answer_is_kept_until_the_first_end_of_anything_it_depends_on(
    asking: Asking, viewer: User
) -> None:
    text = made(viewer).text
    end = timezone.now().replace(microsecond=0) + timedelta(seconds=3)
    for rows in (
        User.objects.filter(pk=viewer.pk),
        ApiKey.objects.all(),
        AppSecret.objects.all(),
    ):
        rows.update(expires_at=end)
        answer = asking.ask(text)
        assert answer.json()["active"]
        assert answer.wsgi_request.META[HOLDS_UNTIL] == end.timestamp()
        rows.update(expires_at=None)
    assert asking.ask(text).wsgi_request.META[HOLDS_UNTIL] > end.timestamp()
    assert HOLDS_UNTIL not in asking.ask("x").wsgi_request.META


def test_a_session_alone_is_not_active_where_two_credentials_are_needed(
    asking: Asking, credential: Callable[[str], str], settings: LazySettings
) -> None:
    cookie = credential("session")
    settings.REQUIRE_API_KEY_AND_TOKEN = True

    assert asking.told(cookie) == INACTIVE
