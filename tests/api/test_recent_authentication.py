"""The API requires recent authentication of sessions where the pages do."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.actors import SYSTEM
from accounts.models import ApprovalRequest, Invitation, User
from accounts.roles import Role
from accounts.services.groups.changes import create_group
from accounts.services.service_accounts import create_service_account
from api.models import ApiKey, TokenFamily
from api.permissions import requirements_of, served_methods
from api.schema import document
from applications.models import App, AppSecret, CustomScope
from applications.services.apps import create_app
from applications.services.custom_scopes import create_scope
from applications.services.secrets import create_secret
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from magiclinks.models import LoginLink
from mfa.models import Authenticator
from moderation.models import Ban, Violation
from moderation.services.bans import ban
from tests.accounts.approval_helpers import request_to_disable
from tests.api.calls import API, call, problem
from tests.api.keys import call_with, made
from tests.api.routes import api_routes
from tests.api.tokens import post, sign_in
from tests.conftest import PASSWORD
from tests.mfa.authenticator import set_up_app
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import create_endpoint

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
BrowserOf = Callable[[User], Client]
LATE = timedelta(minutes=16)
REFUSED = (403, "confirmation_needed")

# Whatever changes something, and the export: does it ask for a fresh proof?
ASKED = {
    ("POST", "users"): True,
    ("PATCH", "users/<uuid:user_id>"): True,
    ("DELETE", "users/<uuid:user_id>"): True,
    ("POST", "users/<uuid:user_id>/magic-link"): True,
    ("POST", "users/<uuid:user_id>/password"): True,
    ("POST", "users/<uuid:user_id>/offboard"): True,
    ("POST", "users/<uuid:user_id>/ban"): True,
    ("POST", "users/<uuid:user_id>/unban"): True,
    ("POST", "invitations"): True,
    ("POST", "invitations/batch"): True,
    ("POST", "users/import"): True,
    ("POST", "service-accounts"): True,
    ("POST", "users/<uuid:user_id>/api-keys"): True,
    ("GET", "users/export"): True,
    ("POST", "api-keys"): True,
    ("POST", "api-keys/<str:key_id>/rotate"): True,
    ("POST", "moderation/violations"): True,
    ("POST", "moderation/bans"): True,
    ("DELETE", "moderation/bans/<uuid:ban_id>"): True,
    ("POST", "moderation/actions/<str:action>"): True,
    ("POST", "moderation/actions/<str:action>/start"): True,
    ("POST", "moderation/actions/<str:action>/release"): True,
    ("PATCH", "branding"): True,
    ("POST", "audit-events/<int:seq>/undo"): True,
    ("POST", "approvals/<uuid:approval_id>/confirm"): True,
    # They carry nothing out.
    ("POST", "approvals/<uuid:approval_id>/decline"): False,
    ("POST", "approvals/<uuid:approval_id>/withdraw"): False,
    ("GET", "me/export"): True,
    ("DELETE", "me"): True,
    # Takes away what can be given back, or is the person's own name.
    ("PATCH", "me"): False,
    ("DELETE", "me/sessions/<uuid:session_id>"): False,
    ("DELETE", "users/<uuid:user_id>/sessions"): False,
    ("DELETE", "me/app-access"): False,
    ("DELETE", "me/app-access/<uuid:app_id>"): False,
    ("DELETE", "users/<uuid:user_id>/app-access"): False,
    ("DELETE", "users/<uuid:user_id>/app-access/<uuid:app_id>"): False,
    ("DELETE", "users/<uuid:user_id>/sessions/<uuid:session_id>"): False,
    ("DELETE", "users/<uuid:user_id>/api-keys/<str:key_id>"): False,
    ("DELETE", "users/<uuid:user_id>/second-factors"): True,
    ("POST", "apps"): True,
    ("PATCH", "apps/<uuid:app_id>"): True,
    ("DELETE", "apps/<uuid:app_id>"): True,
    ("POST", "apps/<uuid:app_id>/secrets"): True,
    ("DELETE", "apps/<uuid:app_id>/secrets/<uuid:secret_id>"): True,
    ("POST", "openid-scopes"): True,
    ("PATCH", "openid-scopes/<uuid:scope_id>"): True,
    ("DELETE", "openid-scopes/<uuid:scope_id>"): True,
    ("POST", "access-reviews"): True,
    ("POST", "access-reviews/<uuid:review_id>/items/<uuid:item_id>/decide"): True,
    ("POST", "access-reviews/<uuid:review_id>/close"): True,
    ("GET", "access-reviews/<uuid:review_id>/export"): True,
    ("POST", "groups"): True,
    ("PATCH", "groups/<str:group>"): True,
    ("DELETE", "groups/<str:group>"): True,
    ("POST", "groups/<str:group>/members"): True,
    ("DELETE", "groups/<str:group>/members/<uuid:user_id>"): False,
    ("POST", "access-rules"): True,
    ("PATCH", "access-rules/<uuid:rule_id>"): True,
    ("DELETE", "access-rules/<uuid:rule_id>"): True,
    ("POST", "access-rules/<uuid:rule_id>/move"): True,
    ("POST", "access-rules/simulate"): False,
    ("POST", "webhooks"): True,
    ("PATCH", "webhooks/<uuid:webhook_id>"): True,
    ("DELETE", "webhooks/<uuid:webhook_id>"): True,
    ("POST", "webhooks/<uuid:webhook_id>/rotate-secret"): True,
    # They send what the webhook gets anyway.
    ("POST", "webhooks/<uuid:webhook_id>/test"): False,
    ("POST", "webhooks/deliveries/<uuid:delivery_id>/resend"): False,
    ("DELETE", "invitations/<uuid:invitation_id>"): False,
    ("DELETE", "api-keys/<str:key_id>"): False,
    ("POST", "mail/test"): False,
}
# Public, with a credential in the body; see test_issuing_tokens….
OPEN = {
    ("POST", "auth/token"),
    ("POST", "auth/token/refresh"),
    ("POST", "auth/token/revoke"),
    ("POST", "auth/token/session"),
    ("POST", "auth/magic-link"),
    ("POST", "introspect"),
}


def _needs() -> dict[tuple[str, str], Any]:
    return {
        (method, str(pattern.pattern)): requirements_of(pattern.callback.cls(), method)
        for pattern in api_routes()
        for method in served_methods(pattern.callback.cls())
    }


def test_every_writing_method_is_classified_as_sensitive_or_not() -> None:
    needed = _needs()
    changing = {key for key in needed if key[0] != "GET"} | {
        ("GET", "me/export"),
        ("GET", "users/export"),
        ("GET", "access-reviews/<uuid:review_id>/export"),
    }

    assert changing == ASKED.keys() | OPEN
    assert {key: needed[key].is_sensitive for key in ASKED} == ASKED
    assert [key for key in OPEN if needed[key] is not None] == []
    quiet = {key for key, need in needed.items() if key not in changing and need is not None}
    assert [key for key in quiet if needed[key].is_sensitive] == []


def _acts(
    viewer: User,
    banned: Ban,
    key: ApiKey,
    rule: AccessRule,
    webhook: WebhookEndpoint,
    app: App,
    item: ReviewItem,
    secret: AppSecret,
    scope: CustomScope,
    approval: UUID,
) -> dict[tuple[str, str], tuple[str, Any]]:
    """A call of each sensitive method that would succeed."""
    user = f"users/{viewer.pk}"
    somebody = User.objects.filter(role__in=["owner", "admin"]).first()
    bot = create_service_account(actor=SYSTEM, username="bot", responsible=somebody)
    reason = {"reason": "spam"}
    review = f"access-reviews/{item.review_id}"
    made_rule = AuditEvent.objects.filter(action="sso:rule:create").latest("seq")
    return {
        ("POST", "users"): ("users", {"email": "new@example.com", "role": "admin"}),
        ("PATCH", "users/<uuid:user_id>"): (user, {"role": "admin"}),
        ("DELETE", "users/<uuid:user_id>"): (user, None),
        ("POST", "users/<uuid:user_id>/magic-link"): (f"{user}/magic-link", {}),
        ("POST", "users/<uuid:user_id>/password"): (f"{user}/password", {}),
        ("POST", "users/<uuid:user_id>/offboard"): (f"{user}/offboard", {}),
        ("POST", "users/<uuid:user_id>/ban"): (f"{user}/ban", reason),
        ("POST", "users/<uuid:user_id>/unban"): (f"{user}/unban", None),
        ("POST", "invitations"): ("invitations", {"email": "new@example.com", "role": "admin"}),
        ("POST", "invitations/batch"): (
            "invitations/batch", {"people": [{"email": "new@example.com"}], "role": "admin"}),
        ("POST", "service-accounts"): ("service-accounts", {"username": "new-bot"}),
        ("POST", "users/<uuid:user_id>/api-keys"): (f"users/{bot.pk}/api-keys", {"name": "x"}),
        ("POST", "users/import"): (
            "users/import", {"users": [{"email": "new@example.com", "role": "admin"}]}),
        ("GET", "users/export"): ("users/export", None),
        ("POST", "api-keys"): ("api-keys", {"name": "x", "scopes": ["users", "service"]}),
        ("POST", "api-keys/<str:key_id>/rotate"): (f"api-keys/{key.pk}/rotate", {}),
        ("POST", "moderation/violations"): (
            "moderation/violations", {"user": str(viewer.pk), "type": "spam", "score": 1000}),
        ("POST", "moderation/bans"): ("moderation/bans", reason | {"network": "203.0.113.7"}),
        ("DELETE", "moderation/bans/<uuid:ban_id>"): (f"moderation/bans/{banned.pk}", None),
        ("POST", "moderation/actions/<str:action>"): (
            "moderation/actions/message", {"ip": "203.0.113.8"}),
        ("POST", "moderation/actions/<str:action>/start"): (
            "moderation/actions/message/start", {"ip": "203.0.113.8"}),
        ("POST", "moderation/actions/<str:action>/release"): (
            "moderation/actions/message/release", {"slot": "x"}),
        ("DELETE", "users/<uuid:user_id>/second-factors"): (f"{user}/second-factors", None),
        ("PATCH", "branding"): ("branding", {"name": "Other"}),
        ("POST", "audit-events/<int:seq>/undo"): (f"audit-events/{made_rule.seq}/undo", {}),
        ("POST", "apps"): ("apps", {"name": "new", "url": "https://new.example.com"}),
        ("PATCH", "apps/<uuid:app_id>"): (f"apps/{app.pk}", {"name": "Other"}),
        ("DELETE", "apps/<uuid:app_id>"): (f"apps/{app.pk}", None),
        ("POST", "apps/<uuid:app_id>/secrets"): (f"apps/{app.pk}/secrets", {}),
        ("DELETE", "apps/<uuid:app_id>/secrets/<uuid:secret_id>"): (
            f"apps/{app.pk}/secrets/{secret.pk}", None),
        ("POST", "openid-scopes"): ("openid-scopes", {"name": "new", "description": "x"}),
        ("PATCH", "openid-scopes/<uuid:scope_id>"): (
            f"openid-scopes/{scope.pk}", {"description": "Other"}),
        ("DELETE", "openid-scopes/<uuid:scope_id>"): (f"openid-scopes/{scope.pk}", None),
        ("POST", "access-reviews"): (
            "access-reviews", {"name": "x", "due_at": "2999-01-01T00:00:00Z"}),
        ("POST", "access-reviews/<uuid:review_id>/items/<uuid:item_id>/decide"): (
            f"{review}/items/{item.pk}/decide",
            {"decision": "confirm", "seen": item.first_access.fingerprint}),
        ("POST", "access-reviews/<uuid:review_id>/close"): (f"{review}/close", {"reason": "x"}),
        ("GET", "access-reviews/<uuid:review_id>/export"): (f"{review}/export", None),
        ("POST", "groups"): ("groups", {"name": "new"}),
        ("PATCH", "groups/<str:group>"): ("groups/finance", {"name": "new"}),
        ("DELETE", "groups/<str:group>"): ("groups/finance", None),
        ("POST", "groups/<str:group>/members"): (
            "groups/finance/members", {"user_ids": [str(viewer.pk)]}),
        ("POST", "access-rules"): ("access-rules", {"name": "new", "effect": "public"}),
        ("PATCH", "access-rules/<uuid:rule_id>"): (
            f"access-rules/{rule.pk}", {"effect": "public"}),
        ("DELETE", "access-rules/<uuid:rule_id>"): (f"access-rules/{rule.pk}", None),
        ("POST", "access-rules/<uuid:rule_id>/move"): (
            f"access-rules/{rule.pk}/move", {"position": 2}),
        ("POST", "webhooks"): ("webhooks", {"name": "new", "url": "https://new.example.com/"}),
        ("PATCH", "webhooks/<uuid:webhook_id>"): (
            f"webhooks/{webhook.pk}", {"url": "https://new.example.com/"}),
        ("POST", "webhooks/<uuid:webhook_id>/rotate-secret"): (
            f"webhooks/{webhook.pk}/rotate-secret", {}),
        ("DELETE", "webhooks/<uuid:webhook_id>"): (f"webhooks/{webhook.pk}", None),
        ("POST", "approvals/<uuid:approval_id>/confirm"): (f"approvals/{approval}/confirm", None),
        ("GET", "me/export"): ("me/export", None),
        ("DELETE", "me"): ("me", {"password": PASSWORD}),
    }  # fmt: skip


@pytest.fixture
def acts(owner: User, viewer: User) -> dict[tuple[str, str], tuple[str, Any]]:
    banned = ban(actor=owner, user=viewer, duration=None, reason="spam")
    set_up_app(owner)  # so that the own password is no proof by itself
    set_up_app(viewer)
    rule, _other = (
        create_rule(actor=owner, rule=AccessRule(name=name, effect="deny")) for name in "ab"
    )
    create_group(actor=owner, name="finance")
    webhook = create_endpoint(actor=owner, values={"name": "a", "url": "https://a.example/"})
    app = create_app(actor=owner, app=App(name="Wiki", url="https://wiki.example.com"))
    key = made(owner).key
    due = timezone.now() + timedelta(days=9)
    wanted = ReviewRequest("Quarter", due, reviewers=[owner.pk])
    review = start_review(actor=owner, wanted=wanted)
    item = review.items.get(user_id=owner.pk)
    secret = create_secret(actor=owner, app=app).secret
    scope = create_scope(actor=owner, values={"name": "books", "description": "read books"})
    approval = request_to_disable(viewer).pk
    return _acts(viewer, banned, key, rule, webhook.endpoint, app, item, secret, scope, approval)


@pytest.fixture
def token(owner: User, browser_of: BrowserOf) -> tuple[Client, str]:
    """A browser of an owner who has just signed in, and an access token made from its session."""
    browser = browser_of(owner)
    answer = call(browser, "POST", "auth/token/session", {})
    assert answer.status_code == 200, answer.content
    return browser, answer.json()["access"]


def _everything() -> list[Any]:
    kinds = (
        *(User, Invitation, LoginLink, ApiKey, Ban, Violation, AuditEvent),
        *(
            App,
            AccessRule,
            ApprovalRequest,
            Authenticator,
            WebhookEndpoint,
            AccessReview,
            ReviewItem,
        ),
    )
    return [list(kind._base_manager.order_by("pk").values()) for kind in kinds]


def _by_token(access: str, method: str, path: str, body: Any) -> Any:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {access}"}
    return Client().generic(
        method, f"{API}/{path}", content, content_type="application/json", headers=headers
    )


def _without_time(rows: list[Any]) -> list[Any]:
    return [[{**row, "last_used_at": None} for row in table] for table in rows]


def test_a_session_and_its_token_need_recent_authentication(
    token: tuple[Client, str], acts: dict[tuple[str, str], tuple[str, Any]], at_time: AtTime
) -> None:
    browser, _access = token
    pair = call(browser, "POST", "auth/token/session", {}).json()
    at_time(LATE)
    renewed = post("auth/token/refresh", {"refresh": pair["refresh"]}).json()["access"]
    before = _everything()

    assert acts.keys() == {key for key, is_asked in ASKED.items() if is_asked}
    for (method, _pattern), (path, body) in acts.items():
        assert problem(call(browser, method, path, body)) == REFUSED, path
        assert problem(_by_token(renewed, method, path, body)) == REFUSED, path
    assert _without_time(_everything()) == _without_time(before)


def test_reauthentication_allows_them_for_the_session_and_its_token(
    owner: User, viewer: User, token: tuple[Client, str], at_time: AtTime
) -> None:
    browser, access = token
    at_time(timedelta(minutes=14))
    assert _by_token(access, "POST", f"users/{viewer.pk}/magic-link", {}).status_code == 201
    pair = call(browser, "POST", "auth/token/session", {}).json()
    at_time(LATE)
    assert problem(call(browser, "GET", "me/export")) == REFUSED

    assert browser.post("/confirm", {"password": PASSWORD}).status_code == 303

    assert call(browser, "GET", "me/export").status_code == 200
    assert call(browser, "PATCH", f"users/{viewer.pk}", {"role": "editor"}).status_code == 200
    assert _by_token(pair["access"], "GET", "me/export", None).status_code == 200
    viewer.refresh_from_db()
    assert viewer.role == "editor"


def test_issuing_tokens_from_a_session_needs_recent_authentication(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    assert problem(call(browser, "POST", "auth/token/session", {})) == REFUSED
    assert TokenFamily.objects.count() == 0
    browser.post("/confirm", {"password": PASSWORD})
    assert call(browser, "POST", "auth/token/session", {}).status_code == 200


def test_keys_and_password_tokens_need_no_reauthentication(
    owner: User, viewer: User, at_time: AtTime
) -> None:
    key = made(owner, scopes=["read", "write", "users"]).text
    access = sign_in(owner)["access"]
    at_time(timedelta(minutes=14))
    late_pair = sign_in(owner)
    at_time(timedelta(minutes=31))
    renewed = post("auth/token/refresh", {"refresh": late_pair["refresh"]}).json()["access"]

    assert call_with(key, "PATCH", f"users/{viewer.pk}", {"name": "By key"}).status_code == 200
    changed = _by_token(renewed, "PATCH", f"users/{viewer.pk}", {"role": "editor"})
    assert changed.status_code == 200
    assert problem(_by_token(access, "GET", "me", None)) == (401, "token_expired")
    viewer.refresh_from_db()
    assert (viewer.name, viewer.role) == ("By key", "editor")


def test_a_key_beside_a_session_token_does_not_replace_reauthentication(
    owner: User, viewer: User, token: tuple[Client, str], at_time: AtTime
) -> None:
    browser, access = token
    pair = call(browser, "POST", "auth/token/session", {}).json()
    key = made(owner, scopes=["users"]).text
    path = f"users/{viewer.pk}/magic-link"
    both = call_with(key, "POST", path, {}, HTTP_AUTHORIZATION=f"Bearer {access}")
    assert both.status_code == 201
    at_time(LATE)
    refreshed = post("auth/token/refresh", {"refresh": pair["refresh"]}).json()["access"]

    late = call_with(key, "POST", path, {}, HTTP_AUTHORIZATION=f"Bearer {refreshed}")

    assert problem(late) == REFUSED
    assert LoginLink.objects.count() == 1


def test_disabling_an_account_needs_no_reauthentication(
    admin: User, viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(admin)
    at_time(LATE)
    path = f"users/{viewer.pk}"

    assert problem(call(browser, "PATCH", path, {"is_active": False, "name": "X"})) == REFUSED
    assert call(browser, "PATCH", path, {"is_active": False}).status_code == 200
    assert problem(call(browser, "PATCH", path, {"is_active": True})) == REFUSED
    assert call(browser, "DELETE", f"{path}/sessions").status_code == 204
    viewer.refresh_from_db()
    assert (viewer.is_active, viewer.name) == (False, "Vera Viewer")


def test_without_a_second_factor_the_password_is_enough(
    viewer: User, browser_of: BrowserOf, at_time: AtTime
) -> None:
    browser = browser_of(viewer)
    at_time(LATE)

    wrong = call(browser, "DELETE", "me", {"password": "wrong"})
    assert problem(wrong) == (401, "bad_credentials")
    assert call(browser, "DELETE", "me", {"password": PASSWORD}).status_code == 204
    assert not User.objects.exists()


def test_a_sign_in_in_a_trusted_browser_is_not_recent_authentication(
    owner: User, viewer: User, stranger: Client
) -> None:
    app = set_up_app(owner)
    form = {"login": owner.email, "password": PASSWORD}
    stranger.post("/sign-in", form)
    stranger.post("/second-factor", {"code": app.code(), "remember": "on"})
    stranger.post("/sign-out")
    stranger.post("/sign-in", form)

    assert call(stranger, "GET", "me").status_code == 200
    assert problem(call(stranger, "POST", f"users/{viewer.pk}/magic-link", {})) == REFUSED
    assert LoginLink.objects.count() == 0


def test_the_openapi_description_names_it_for_each_operation() -> None:
    descriptions = {}
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            said = "confirmation_needed" in operation["description"]
            if "x-recent-authentication" in operation:
                assert said == operation["x-recent-authentication"], (method, path)
            descriptions[method.upper(), path.removeprefix(f"{API}/")] = said

    asked = {
        (method, re.sub(r"<\w+:(\w+)>", r"{\1}", path)): is_asked
        for (method, path), is_asked in ASKED.items()
    }
    assert {key: descriptions[key] for key in asked} == asked
    assert descriptions["POST", "auth/token/session"]


def test_the_documentation_names_it_for_each_path() -> None:
    text = Path("docs/api.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z]+ [^`]+)` \| (yes|no)", text, re.MULTILINE))
    asked = {
        f"{method} {re.sub('<[a-z]+:', '<', path)}": "yes" if is_asked else "no"
        for (method, path), is_asked in ASKED.items()
    }

    assert rows == asked | {"POST auth/token/session": "yes"}


def test_users_without_the_permission_are_not_asked_to_reauthenticate(
    make_user: Callable[..., User], browser_of: BrowserOf, viewer: User, at_time: AtTime
) -> None:
    browser = browser_of(make_user(Role.EDITOR))
    at_time(LATE)

    answer = call(browser, "POST", f"users/{viewer.pk}/magic-link", {})
    assert problem(answer) == (403, "forbidden")
