"""Every form is sent twice, as by a double click, and handled once.

A new address that takes a POST belongs into CASES, or with its reason into WITHOUT_CASE.
"""

import base64
import copy
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import get_resolver
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.actors import SYSTEM
from accounts.admin.site import site
from accounts.models import (
    AccountToken,
    BrowserSession,
    Group,
    Invitation,
    Membership,
    SavedView,
    SentForm,
    User,
)
from accounts.sent_forms import DOUBLE_CLICK, KEEP, SHOWN_AGAIN, purge_sent_forms
from accounts.services.first_run import ensure_owner, issue_setup_link
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.invitations import invite
from accounts.services.passwords import handle_reset_requests, start_reset
from accounts.services.saved_views import save_view
from accounts.services.service_accounts import create_service_account
from accounts.services.signup import handle_sign_up_requests
from accounts.services.users import create_user, disable_user
from accounts.services.verification import mail_verification
from accounts.sessions.resumption import RESUME_WINDOW
from api.models import ApiKey, TokenFamily
from api.tokens.refresh_tokens import start_by_password
from applications.models import App as WebApp
from applications.models import AppSecret, CustomScope
from applications.services.apps import create_app
from applications.services.custom_scopes import create_scope
from applications.services.secrets import create_secret
from audit.models import AuditEvent
from core.models import Branding
from federation.models import ExternalIdentity, PausedProvider
from federation.providers import Provider, SignInSource
from forward_auth.models import AccessRule
from forward_auth.services.rules import create_rule
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests, issue_link
from mail.models import OutboxMail
from mfa import totp
from mfa.models import Authenticator, TrustedBrowser
from moderation.models import Ban
from moderation.services.bans import ban
from oidc_provider.models import Consent, InitialAccessToken
from oidc_provider.services.registration import create_token
from operations.models import SetUpStep
from tests.accounts.approval_helpers import request_to_disable
from tests.api.keys import made
from tests.conftest import PASSWORD, path_in
from tests.mfa.authenticator import App, set_up_app
from tests.oidc_provider.relying_party import make_client
from webhooks.models import NoticeChoice, WebhookDelivery, WebhookEndpoint
from webhooks.services.endpoints import create_endpoint
from webhooks.services.sending import send_test

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], Any]
NEW = "seven quiet rivers under glass"
EMAIL = "new@example.com"
USERS = "/admin/accounts/user/"
WIKI = {"name": "Wiki", "url": "https://wiki.example.com", "proxy": "nginx", "upstream": "a:80"}
APPROVALS = "/admin/accounts/approvalrequest/"
REVIEWS = "/admin/access_reviews/accessreview/"
RULE = {"name": "Shop", "effect": "public", "role": "viewer", "host": "a.b", "is_enabled": "on"}


@dataclass(frozen=True, slots=True)
class CaseContext:
    owner: User
    viewer: User
    client: Client


Form = tuple[str, dict[str, Any]]


def strict(browser: Client | None = None) -> Client:
    """A browser whose forms are checked, with the cookies of `browser`."""
    client = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    if browser is not None:
        client.cookies = browser.cookies
    return client


def token_for(client: Client, path: str = "/account/") -> str:
    """The token of a page that was just opened."""
    page = client.get(path, follow=True).content
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None, page
    return found[1].decode()


def own(path: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    return lambda _context: (path, fields)


def _path(url: str) -> str:
    return url.removeprefix("http://localhost:8000")


def _rotation(context: CaseContext) -> Form:
    return f"/account/keys/{made(context.owner, 'old').key.pk}/rotate", {"overlap": "24"}


def _revocation(context: CaseContext) -> Form:
    return f"/account/keys/{made(context.owner, 'old').key.pk}/revoke", {}


def _service(context: CaseContext) -> User:
    return create_service_account(actor=SYSTEM, username="bot", responsible=context.owner)


def _key_of_program(context: CaseContext) -> Form:
    return f"/account/service-accounts/{_service(context).pk}", KEY


def _revocation_of_program(context: CaseContext) -> Form:
    service = _service(context)
    return f"/account/service-accounts/{service.pk}/keys/{made(service, 'old').key.pk}/revoke", {}


def _program(context: CaseContext) -> Form:
    start_by_password(context.owner, timezone.now())
    return f"/account/keys/programs/{TokenFamily.objects.get().pk}/end", {}


def _app(context: CaseContext) -> Form:
    page = context.client.get("/account/authenticator/set-up").content.decode()
    found = re.search(r'<p class="qr-key"><code id="totp-key">([A-Z2-7 ]+)</code>', page)
    assert found is not None
    app = App(totp.from_text(found[1].replace(" ", "")))
    return "/account/authenticator/set-up", {"code": app.code(), "name": "Phone"}


def with_app(path: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    def make(context: CaseContext) -> Form:
        set_up_app(context.owner)
        return path, fields

    return make


def _passkey(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    def make(context: CaseContext) -> Form:
        row = Authenticator.objects.create(
            user=context.owner, kind="passkey", name="Old", credential_id="x"
        )
        return f"/account/passkeys/{row.pk}/{page}", fields

    return make


def _browser_of(user: User) -> TrustedBrowser:
    return TrustedBrowser.objects.create(
        user=user, digest="d" * 64, expires_at=timezone.now() + timedelta(days=1)
    )


def _app_access_of(user: User) -> Consent:
    """What the user has allowed an app."""
    return Consent.objects.create(user=user, app=make_client(), scope="openid")


def _browser(context: CaseContext) -> Form:
    return f"/account/browsers/{_browser_of(context.owner).pk}/forget", {}


def _session(context: CaseContext) -> Form:
    other = Client()
    other.post("/sign-in", {"login": context.owner.email, "password": PASSWORD})
    row = BrowserSession.objects.filter(user=context.owner).order_by("-created_at").first()
    assert row is not None
    return f"/account/sessions/{row.public_id}/end", {}


def _identity_of(user: User) -> ExternalIdentity:
    return ExternalIdentity.objects.create(user=user, provider="github", subject="1")


def _identity(context: CaseContext) -> Form:
    return f"/account/identities/{_identity_of(context.owner).pk}/disconnect", {}


def _unverified(context: CaseContext) -> Form:
    User.objects.filter(pk=context.owner.pk).update(email_verified_at=None)
    return "/verify-email/", {}


def _deletion(_context: CaseContext) -> Form:
    create_user(actor=SYSTEM, email="other@example.com", role="owner", verified=True)
    return "/account/delete", {"proof": PASSWORD}


def _other_session(context: CaseContext) -> Any:
    Client().post("/sign-in", {"login": context.viewer.email, "password": PASSWORD})
    return BrowserSession.objects.get(user=context.viewer).public_id


def _dead_mail(context: CaseContext) -> Any:
    mail_verification(context.viewer, binding="", language="en")
    OutboxMail.objects.update(status="dead")
    return OutboxMail.objects.get().pk


def person(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    """A button of the page of `viewer`."""
    return lambda context: (f"{USERS}{context.viewer.pk}/{page}/", fields)


def ticked(action: str, **fields: Any) -> Callable[[CaseContext], Form]:
    """An action on `viewer` in the list of people."""
    return lambda context: (
        USERS,
        {"action": action, "_selected_action": [str(context.viewer.pk)], **fields},
    )


def _file_of_users(context: CaseContext) -> Form:
    packed = base64.b64encode(zlib.compress(f"email\n{EMAIL}\n".encode(), 9)).decode()
    fields = {"content": packed, "role": "viewer", "map_email": "email"}
    page = context.client.post(
        f"{USERS}import/", fields | {"csrfmiddlewaretoken": token_for(context.client)}
    )
    found = re.search(r'name="checked" value="([^"]+)"', page.content.decode())
    assert found is not None
    return f"{USERS}import/run/", {**fields, "checked": found[1]}


def _list_of_people(context: CaseContext) -> Form:
    fields = {"people": EMAIL, "role": "viewer", "days": "7"}
    page = context.client.post(
        "/admin/accounts/invitation/many/",
        fields | {"csrfmiddlewaretoken": token_for(context.client)},
    )
    found = re.search(r'name="checked" value="([^"]+)"', page.content.decode())
    assert found is not None
    return "/admin/accounts/invitation/many/send/", {**fields, "checked": found[1]}


def _rule(context: CaseContext) -> AccessRule:
    return create_rule(
        actor=context.owner, rule=AccessRule(name="Shop", effect="public", host="a.b")
    )


SCOPES = "/admin/applications/customscope/"
BOOKS = {"name": "books:read", "description": "read your books"}


def _web_app(context: CaseContext) -> WebApp:
    return create_app(actor=context.owner, app=WebApp(name="Wiki", url="https://wiki.example.com"))


def _app_secret(context: CaseContext) -> Form:
    app = _web_app(context)
    secret = create_secret(actor=context.owner, app=app).secret
    return f"/admin/applications/app/{app.pk}/secret/{secret.pk}/revoke/", {}


def web_app(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    return lambda context: (f"/admin/applications/app/{_web_app(context).pk}/{page}/", fields)


def custom_scope(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    def make(context: CaseContext) -> Form:
        row = create_scope(actor=context.owner, values=BOOKS)
        return f"{SCOPES}{row.pk}/{page}/", fields

    return make


TOKENS = "/admin/oidc_provider/initialaccesstoken/"


def _registration_token(context: CaseContext) -> Form:
    values = {"name": "CI", "openid_role": "viewer", "max_uses": 1}
    made = create_token(actor=context.owner, values=values, lifetime=timedelta(days=1))
    return f"{TOKENS}{made.token.pk}/delete/", {"post": "yes"}


def rule(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    return lambda context: (f"/admin/forward_auth/accessrule/{_rule(context).pk}/{page}/", fields)


GROUPS = "/admin/accounts/group/"


def group(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    """A button of the page of a group."""

    def make(context: CaseContext) -> Form:
        row = create_group(actor=context.owner, name="finance")
        return f"{GROUPS}{row.pk}/{page}/", fields

    return make


def _joining(context: CaseContext) -> Form:
    path, _fields = group("add")(context)
    return path, {"people": context.viewer.email, "until": ""}


def _member(context: CaseContext) -> Group:
    row = create_group(actor=context.owner, name="finance")
    add_member(actor=context.owner, user=context.viewer, group=row)
    return row


def _removing(context: CaseContext) -> Form:
    return f"{GROUPS}{_member(context).pk}/remove/{context.viewer.pk}/", {}


def _joining_from_person(context: CaseContext) -> Form:
    row = create_group(actor=context.owner, name="finance")
    return f"{USERS}{context.viewer.pk}/join-group/", {"group": str(row.pk), "until": ""}


def _leaving(context: CaseContext) -> Form:
    return f"{USERS}{context.viewer.pk}/leave-group/{_member(context).pk}/", {}


WEBHOOKS = "/admin/webhooks/webhookendpoint/"
WEBHOOK = {"name": "Chat", "url": "https://chat.example.com/", "is_enabled": "on"}


def _webhook(context: CaseContext) -> WebhookEndpoint:
    values = {"name": "Chat", "url": "https://chat.example.com/"}
    return create_endpoint(actor=context.owner, values=values).endpoint


def webhook(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    return lambda context: (f"{WEBHOOKS}{_webhook(context).pk}/{page}/", fields)


def _delivery(context: CaseContext) -> WebhookDelivery:
    endpoint = _webhook(context)
    send_test(actor=context.owner, endpoint=endpoint)
    WebhookDelivery.objects.update(status="failed")
    return WebhookDelivery.objects.get()


def _moved(context: CaseContext) -> Form:
    for _number in range(3):
        row = _rule(context)
    return f"/admin/forward_auth/accessrule/{row.pk}/move/up/", {}


def _item(context: CaseContext) -> ReviewItem:
    """That of `viewer` in a new review."""
    due = timezone.now() + timedelta(days=9)
    wanted = ReviewRequest("Quarter", due, reviewers=[context.owner.pk])
    review = start_review(actor=context.owner, wanted=wanted)
    return ReviewItem.objects.get(review=review, user_id=context.viewer.pk)


def review(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    return lambda context: (f"{REVIEWS}{_item(context).review_id}/{page}/", fields)


def _decision(context: CaseContext) -> Form:
    item = _item(context)
    fields = {
        "decision": "take-away",
        "change": "disable",
        "seen": item.first_access.fingerprint,
        "note": "",
    }
    return f"{REVIEWS}{item.review_id}/accounts/{item.pk}/", fields


def _confirmation(context: CaseContext) -> Form:
    item = _item(context)
    seen = [f"{item.pk}:{item.first_access.fingerprint}"]
    return f"{REVIEWS}{item.review_id}/confirm/", {"seen_item": seen, "note": ""}


def _disabled(context: CaseContext) -> Form:
    disable_user(actor=context.owner, user=context.viewer)
    return f"/admin/audit/auditevent/{AuditEvent.objects.latest('seq').seq}/undo/", {}


def approval(page: str, /, *, is_own: bool = False) -> Callable[[CaseContext], Form]:
    """A button of a request to disable `viewer`, by another owner or by oneself."""

    def make(context: CaseContext) -> Form:
        row = request_to_disable(context.viewer, context.owner if is_own else None)
        return f"{APPROVALS}{row.pk}/{page}/", {}

    return make


def _ban(context: CaseContext) -> Ban:
    return ban(actor=context.owner, user=context.viewer, duration=None, reason="Spam")


def _family(context: CaseContext) -> TokenFamily:
    start_by_password(context.viewer, timezone.now())
    return TokenFamily.objects.get(user=context.viewer)


SERVICES = "/admin/accounts/serviceaccount/"
SERVICE = {"name": "Backup", "responsible": "owner@example.com", "role": "viewer"}


def service(page: str, /, **fields: Any) -> Callable[[CaseContext], Form]:
    def make(context: CaseContext) -> Form:
        row = create_service_account(
            actor=context.owner, username="backup", responsible=context.owner
        )
        if page == "enable":
            disable_user(actor=context.owner, user=row)
        return f"{SERVICES}{row.pk}/{page}/", fields

    return make


def _live_link(context: CaseContext) -> LoginLink:
    issue_link(context.viewer, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
    return LoginLink.objects.get(user=context.viewer)


def facts(
    path: str, action: str, key: Callable[[CaseContext], Any]
) -> Callable[[CaseContext], Form]:
    """An action on one row of another list."""
    return lambda context: (path, {"action": action, "_selected_action": [str(key(context))]})


def count(*models: Any) -> Callable[[], list[int]]:
    return lambda: [model.objects.count() for model in models]


def _saved_view(context: CaseContext) -> Form:
    view = save_view(user=context.owner, table="accounts.user", name="Viewers", query="role=viewer")
    return f"/admin/views/{view.pk}/remove/", {}


@dataclass(frozen=True, slots=True)
class Case:
    """A form, what it has made after one sending, and what the second is answered.

    second: status, and the place it leads to or a text of its page. What the audit log tells of
    both stands in AUDIT.
    """

    make: Callable[[CaseContext], Form]
    rows: Callable[[], list[int]]
    expected: list[int]
    second: tuple[int, str]


KEY = {"name": "backup script", "scopes": ["read"], "life": "30"}
CASES: dict[str, Case] = {
    # What a person makes
    "apikeys:list": Case(own("/account/keys", **KEY), count(ApiKey), [1], (200, "gth_")),
    "serviceaccounts:keys": Case(_key_of_program, count(ApiKey), [1], (200, "gth_")),
    "serviceaccounts:revoke": Case(
        _revocation_of_program,
        count(),
        [],
        (303, "/account/service-accounts?notice=key-revoked"),
    ),
    "apikeys:rotate": Case(_rotation, count(ApiKey), [2], (200, "gth_")),
    "mfa:recovery-codes": Case(
        with_app("/account/recovery-codes"),
        count(),
        [],
        (303, "/account/recovery-codes"),
    ),
    "mfa:app-set-up": Case(_app, count(Authenticator), [1], (303, "/account/recovery-codes")),
    "accounts:change-email": Case(
        own("/account/email", email=EMAIL, password=PASSWORD),
        count(AccountToken, OutboxMail),
        [1, 1],
        (200, EMAIL),
    ),
    "accounts:verify-resend": Case(_unverified, count(OutboxMail), [1], (200, "owner@example.com")),
    # What a person changes or takes away
    "apikeys:revoke": Case(_revocation, count(), [], (303, "/account/keys?notice=key-revoked")),
    "apikeys:end-program": Case(_program, count(), [], (303, "/account/keys?notice=program-ended")),
    "accounts:profile": Case(
        own("/account/", name="Olga New", username=""),
        count(),
        [],
        (303, "/account/?notice=saved"),
    ),
    "accounts:change-password": Case(
        own("/account/password", current_password=PASSWORD, password=NEW),
        count(),
        [],
        (303, "/account/?notice=password-changed"),
    ),
    "accounts:end-other-sessions": Case(
        own("/account/sessions/end"),
        count(),
        [],
        (303, "/account/?notice=sessions-ended"),
    ),
    "oidc_provider:end-access": Case(
        lambda context: (f"/account/apps/{_app_access_of(context.owner).app_id}/end", {}),
        count(Consent),
        [0],
        (303, "/account/apps?notice=app-ended"),
    ),
    "oidc_provider:end-all-access": Case(
        lambda context: (_app_access_of(context.owner) and "/account/apps/end", {}),
        count(Consent),
        [0],
        (303, "/account/apps?notice=apps-ended"),
    ),
    "admin:accounts_user_end-app-access": Case(
        lambda context: (
            f"{USERS}{context.viewer.pk}/end-app-access/{_app_access_of(context.viewer).app_id}/",
            {},
        ),
        count(Consent),
        [0],
        (302, USERS),
    ),
    "accounts:end-session": Case(
        _session, count(BrowserSession), [1], (303, "/account/?notice=session-ended")
    ),
    "mfa:passkey-rename": Case(
        _passkey("rename", name="New"),
        count(),
        [],
        (303, "/account/?notice=passkey-renamed"),
    ),
    "mfa:passkey-remove": Case(
        _passkey("remove"), count(Authenticator), [0], (303, "/account/?notice=passkey-removed")
    ),
    "mfa:app-rename": Case(
        with_app("/account/authenticator/rename", name="New"),
        count(),
        [],
        (303, "/account/?notice=saved"),
    ),
    "mfa:app-remove": Case(
        with_app("/account/authenticator/remove"),
        count(Authenticator),
        [0],
        (303, "/account/?notice=factor-removed"),
    ),
    "mfa:browser-forget": Case(
        _browser, count(TrustedBrowser), [0], (303, "/account/?notice=browser-forgotten")
    ),
    "federation:disconnect": Case(
        _identity, count(ExternalIdentity), [0], (303, "/account/?notice=disconnected")
    ),
    "mfa:confirm": Case(own("/confirm", password=PASSWORD), count(), [], (303, "/account/")),
    "accounts:export": Case(own("/account/export"), count(User), [3], (200, "owner@example.com")),
    "account_logout": Case(
        own("/sign-out"), count(BrowserSession), [0], (303, "/sign-in?notice=signed-out")
    ),
    "accounts:delete": Case(_deletion, count(User), [3], (302, "/sign-in?next=/account/delete")),
    # Rows that an administrator creates
    "admin:accounts_user_add": Case(
        own(f"{USERS}add/", email=EMAIL, name="", username="", role="viewer"),
        count(User),
        [4],
        (302, "/admin/accounts/user/"),
    ),
    "admin:accounts_serviceaccount_add": Case(
        own(f"{SERVICES}add/", **SERVICE, username="backup"), count(User), [4], (302, SERVICES)
    ),
    "admin:accounts_serviceaccount_change": Case(
        service("change", **SERVICE), count(User), [4], (302, SERVICES)
    ),
    "admin:accounts_serviceaccount_new-key": Case(
        service("new-key", name="cron", scopes="read", life="30", date="", networks=""),
        count(ApiKey),
        [1],
        (200, "gth_"),
    ),
    "admin:accounts_serviceaccount_disable": Case(
        service("disable"), count(User), [4], (302, SERVICES)
    ),
    "admin:accounts_serviceaccount_enable": Case(
        service("enable"), count(User), [4], (302, SERVICES)
    ),
    "admin:accounts_serviceaccount_delete": Case(
        service("delete", post="yes"), count(User), [3], (302, SERVICES)
    ),
    "admin:accounts_invitation_add": Case(
        own("/admin/accounts/invitation/add/", email=EMAIL, name="", role="viewer", days="7"),
        count(Invitation, OutboxMail),
        [1, 1],
        (200, "/invitation/"),
    ),
    "admin:moderation_ban_add": Case(
        own("/admin/moderation/ban/add/", network="198.51.100.9", duration="1h", reason="Spam"),
        count(Ban),
        [1],
        (302, "/admin/moderation/ban/"),
    ),
    "admin:core_branding_edit": Case(
        own("/admin/core/branding/edit/", name="Example"),
        count(Branding),
        [1],
        (302, "/admin/core/branding/"),
    ),
    "admin:forward_auth_accessrule_add": Case(
        own("/admin/forward_auth/accessrule/add/", **RULE),
        count(AccessRule),
        [1],
        (302, "/admin/forward_auth/accessrule/"),
    ),
    "admin:set-up": Case(own("/admin/set-up/"), count(SetUpStep), [5], (302, "/admin/")),
    "admin:set-up-step": Case(
        own("/admin/set-up/mail/", do="done"),
        count(SetUpStep),
        [1],
        (302, "/admin/set-up/sign-in/"),
    ),
    "admin:provider-switch": Case(
        own("/admin/providers/github/switch/", state="off"),
        count(PausedProvider),
        [1],
        (302, "/admin/providers/"),
    ),
    "admin:accounts_group_add": Case(
        own(f"{GROUPS}add/", name="finance", label="", description=""),
        count(Group),
        [1],
        (302, GROUPS),
    ),
    "admin:accounts_group_change": Case(
        group("change", name="money", label="", description=""), count(Group), [1], (302, GROUPS)
    ),
    "admin:accounts_group_delete": Case(
        group("delete", post="yes"), count(Group), [0], (302, GROUPS)
    ),
    "admin:accounts_group_join": Case(_joining, count(Membership), [1], (302, GROUPS)),
    "admin:accounts_group_remove": Case(_removing, count(Membership), [0], (302, GROUPS)),
    "admin:accounts_user_join-group": Case(
        _joining_from_person, count(Membership), [1], (302, USERS)
    ),
    "admin:accounts_user_leave-group": Case(_leaving, count(Membership), [0], (302, USERS)),
    "admin:webhooks_webhookendpoint_add": Case(
        own(f"{WEBHOOKS}add/", **WEBHOOK), count(WebhookEndpoint), [1], (200, "whsec_")
    ),
    "admin:webhooks_webhookendpoint_change": Case(
        webhook("change", **WEBHOOK | {"name": "Other"}),
        count(WebhookEndpoint),
        [1],
        (302, WEBHOOKS),
    ),
    "admin:webhooks_webhookendpoint_delete": Case(
        webhook("delete", post="yes"), count(WebhookEndpoint), [0], (302, WEBHOOKS)
    ),
    "admin:webhooks_webhookendpoint_rotate": Case(
        webhook("rotate", overlap_hours="24"), count(WebhookEndpoint), [1], (200, "whsec_")
    ),
    "admin:webhooks_webhookendpoint_test": Case(
        webhook("test"),
        count(WebhookDelivery),
        [1],
        (302, "/admin/webhooks/webhookdelivery/"),
    ),
    "admin:webhooks_webhookendpoint_notices": Case(
        own(f"{WEBHOOKS}notices/", groups=["bans"]),
        count(NoticeChoice),
        [1],
        (302, f"{WEBHOOKS}notices/"),
    ),
    "admin:mail_outboxmail_test": Case(
        own("/admin/mail/outboxmail/test/", email=EMAIL),
        count(),
        [],
        (200, EMAIL),
    ),
    "admin:view_save": Case(
        lambda _context: (
            "/admin/views/save/",
            {"table": "accounts.user", "name": "Viewers", "query": "role=viewer"},
        ),
        count(SavedView),
        [1],
        (302, f"{USERS}?role=viewer"),
    ),
    "admin:view_remove": Case(_saved_view, count(SavedView), [0], (302, USERS)),
    "admin:accounts_user_reset": Case(
        person("reset"), count(AccountToken), [1], (200, "/password/reset/")
    ),
    "get_login_url": Case(ticked("get_login_url"), count(LoginLink), [1], (200, "/magic-link/")),
    "start_reset_of_people": Case(
        ticked("start_reset_of_people", confirmed="yes"),
        count(AccountToken),
        [1],
        (200, "/password/reset/"),
    ),
    "ban_people": Case(
        ticked("ban_people", confirmed="yes", duration="1h", reason="Spam"),
        count(Ban),
        [1],
        (302, USERS),
    ),
    # Rows that an administrator changes or removes
    "admin:accounts_user_change": Case(
        person("change", email="viewer@example.com", name="New", username="", role="viewer"),
        count(),
        [],
        (302, USERS),
    ),
    "admin:accounts_user_delete": Case(
        person("delete", post="yes"), count(User), [2], (302, USERS)
    ),
    "admin:accounts_user_disable": Case(person("disable"), count(), [], (302, USERS)),
    "admin:accounts_user_enable": Case(person("enable"), count(), [], (302, USERS)),
    "admin:accounts_user_end-sessions": Case(person("end-sessions"), count(), [], (302, USERS)),
    "admin:accounts_user_verify": Case(person("verify"), count(), [], (302, USERS)),
    "admin:accounts_user_reset-factors": Case(
        person("reset-factors", confirmed="yes"), count(), [], (302, USERS)
    ),
    "admin:accounts_user_offboard": Case(
        person("offboard", confirmed="yes", reason="Left"), count(), [], (302, USERS)
    ),
    "admin:accounts_user_forget-browser": Case(
        lambda context: (
            f"{USERS}{context.viewer.pk}/forget-browser/{_browser_of(context.viewer).pk}/",
            {},
        ),
        count(TrustedBrowser),
        [0],
        (302, USERS),
    ),
    "admin:accounts_user_disconnect": Case(
        lambda context: (
            f"{USERS}{context.viewer.pk}/disconnect/{_identity_of(context.viewer).pk}/",
            {},
        ),
        count(ExternalIdentity),
        [0],
        (302, USERS),
    ),
    "forget_browsers_of_people": Case(
        lambda context: (
            (_browser_of(context.viewer) and None)
            or ticked("forget_browsers_of_people", confirmed="yes")(context)
        ),
        count(TrustedBrowser),
        [0],
        (302, USERS),
    ),
    "change_role_of_people": Case(
        ticked("change_role_of_people", confirmed="yes", role="editor"), count(), [], (302, USERS)
    ),
    "set_end_of_people": Case(
        ticked("set_end_of_people", confirmed="yes", expires_at="2999-01-01T12:00"),
        count(),
        [],
        (302, USERS),
    ),
    "reset_factors_of_people": Case(
        ticked("reset_factors_of_people", confirmed="yes"), count(), [], (302, USERS)
    ),
    "disable_people": Case(ticked("disable_people", confirmed="yes"), count(), [], (302, USERS)),
    "enable_people": Case(ticked("enable_people", confirmed="yes"), count(), [], (302, USERS)),
    "end_sessions_people": Case(
        ticked("end_sessions_people", confirmed="yes"), count(), [], (302, USERS)
    ),
    "verify_people": Case(ticked("verify_people", confirmed="yes"), count(), [], (302, USERS)),
    "delete_selected": Case(
        ticked("delete_selected", confirmed="yes"), count(User), [2], (302, USERS)
    ),
    "lift_bans_of_people": Case(
        lambda context: (
            (_ban(context) and None) or ticked("lift_bans_of_people", confirmed="yes")(context)
        ),
        count(),
        [],
        (302, USERS),
    ),
    "admin:moderation_ban_lift": Case(
        lambda context: (f"/admin/moderation/ban/{_ban(context).pk}/lift/", {}),
        count(),
        [],
        (302, "/admin/moderation/ban/"),
    ),
    "lift_chosen": Case(
        facts("/admin/moderation/ban/", "lift_chosen", lambda context: _ban(context).pk),
        count(),
        [],
        (302, "/admin/moderation/ban/"),
    ),
    "withdraw_chosen": Case(
        facts(
            "/admin/accounts/invitation/",
            "withdraw_chosen",
            lambda context: invite(actor=context.owner, email=EMAIL).invitation.pk,
        ),
        count(),
        [],
        (302, "/admin/accounts/invitation/"),
    ),
    "send_chosen_again": Case(
        facts(
            "/admin/accounts/invitation/",
            "send_chosen_again",
            lambda context: invite(actor=context.owner, email=EMAIL).invitation.pk,
        ),
        count(Invitation),
        [2],
        (200, EMAIL),
    ),
    "admin:accounts_invitation_send-many": Case(
        _list_of_people, count(Invitation, OutboxMail), [1, 1], (200, EMAIL)
    ),
    "admin:accounts_user_run-import": Case(_file_of_users, count(User), [4], (302, USERS)),
    "revoke_chosen": Case(
        facts("/admin/api/apikey/", "revoke_chosen", lambda context: made(context.viewer).key.pk),
        count(),
        [],
        (302, "/admin/api/apikey/"),
    ),
    "end_programs": Case(
        facts("/admin/api/tokenfamily/", "end_programs", lambda context: _family(context).pk),
        count(TokenFamily),
        [1],
        (302, "/admin/api/tokenfamily/"),
    ),
    "withdraw_links": Case(
        facts(
            "/admin/magiclinks/loginlink/", "withdraw_links", lambda context: _live_link(context).pk
        ),
        count(LoginLink),
        [1],
        (302, "/admin/magiclinks/loginlink/"),
    ),
    "end_chosen": Case(
        facts(
            "/admin/accounts/browsersession/", "end_chosen", lambda context: _other_session(context)
        ),
        count(BrowserSession),
        [1],
        (302, "/admin/accounts/browsersession/"),
    ),
    "send_events_again": Case(
        facts(
            "/admin/webhooks/webhookdelivery/",
            "send_events_again",
            lambda context: _delivery(context).pk,
        ),
        count(WebhookDelivery),
        [2],
        (302, "/admin/webhooks/webhookdelivery/"),
    ),
    "send_again": Case(
        facts("/admin/mail/outboxmail/", "send_again", lambda context: _dead_mail(context)),
        count(OutboxMail),
        [1],
        (302, "/admin/mail/outboxmail/"),
    ),
    "admin:applications_app_protect": Case(
        own("/admin/applications/app/protect/", **WIKI, step="proxy", role="viewer"),
        count(WebApp, AccessRule),
        [1, 1],
        (302, "/admin/applications/app/"),
    ),
    "admin:applications_app_change": Case(
        web_app("change", **WIKI | {"name": "Other"}, position="10", slug="wiki"),
        count(WebApp),
        [1],
        (302, "/admin/applications/app/"),
    ),
    "admin:applications_app_rotate": Case(web_app("secret"), count(AppSecret), [1], (200, "gths_")),
    "admin:applications_app_revoke": Case(
        _app_secret,
        lambda: [AppSecret.objects.filter(revoked_at=None).count()],
        [0],
        (302, "/admin/applications/app/"),
    ),
    "admin:applications_app_delete": Case(
        web_app("delete", post="yes"), count(WebApp), [0], (302, "/admin/applications/app/")
    ),
    "admin:applications_customscope_add": Case(
        own(f"{SCOPES}add/", **BOOKS), count(CustomScope), [1], (302, SCOPES)
    ),
    "admin:applications_customscope_change": Case(
        custom_scope("change", description="x"), count(CustomScope), [1], (302, SCOPES)
    ),
    "admin:applications_customscope_delete": Case(
        custom_scope("delete", post="yes"), count(CustomScope), [0], (302, SCOPES)
    ),
    "admin:oidc_provider_initialaccesstoken_add": Case(
        own(f"{TOKENS}add/", name="CI", openid_role="viewer", max_uses="1", days="1"),
        count(InitialAccessToken),
        [1],
        (200, "gtia_"),
    ),
    "admin:oidc_provider_initialaccesstoken_delete": Case(
        _registration_token, count(InitialAccessToken), [0], (302, TOKENS)
    ),
    "admin:access_reviews_accessreview_add": Case(
        lambda context: (
            f"{REVIEWS}add/",
            {
                "name": "Quarter",
                "scope": "all",
                "due_at": "2999-01-01T12:00",
                "reviewers": [str(context.owner.pk)],
            },
        ),
        count(AccessReview),
        [1],
        (302, REVIEWS),
    ),
    "admin:access_reviews_accessreview_item": Case(
        _decision, count(AccessReview), [1], (302, REVIEWS)
    ),
    "admin:access_reviews_accessreview_confirm": Case(
        _confirmation, count(AccessReview), [1], (302, REVIEWS)
    ),
    "admin:access_reviews_accessreview_close": Case(
        review("close", reason="Enough"), count(AccessReview), [1], (302, REVIEWS)
    ),
    "admin:accounts_approvalrequest_confirm": Case(
        approval("confirm"), count(), [], (302, APPROVALS)
    ),
    "admin:accounts_approvalrequest_decline": Case(
        approval("decline"), count(), [], (302, APPROVALS)
    ),
    "admin:accounts_approvalrequest_withdraw": Case(
        approval("withdraw", is_own=True), count(), [], (302, APPROVALS)
    ),
    "admin:audit_auditevent_undo": Case(_disabled, count(), [], (302, "/admin/audit/auditevent/")),
    "admin:forward_auth_accessrule_move": Case(
        _moved, count(AccessRule), [3], (302, "/admin/forward_auth/accessrule/")
    ),
    "admin:forward_auth_accessrule_switch": Case(
        rule("switch/off"), count(), [], (302, "/admin/forward_auth/accessrule/")
    ),
    "admin:forward_auth_accessrule_change": Case(
        rule("change", **RULE | {"name": "Other"}),
        count(AccessRule),
        [1],
        (302, "/admin/forward_auth/accessrule/"),
    ),
    "admin:forward_auth_accessrule_delete": Case(
        rule("delete", post="yes"), count(AccessRule), [0], (302, "/admin/forward_auth/accessrule/")
    ),
}

# What both sendings have written together; nothing for those that change nothing.
AUDIT = {
    "account_logout": ["account:session:end"],
    "mfa:app-remove": ["account:factor:remove"],
    "mfa:app-rename": ["account:factor:rename"],
    "mfa:app-set-up": ["account:factor:add", "account:recovery-codes:make"],
    "admin:accounts_user_forget-browser": ["account:factor:forget-browser"],
    "admin:accounts_user_disconnect": ["account:identity:disconnect"],
    "forget_browsers_of_people": ["account:factor:forget-browsers"],
    "mfa:browser-forget": ["account:factor:forget-browser"],
    "accounts:change-email": ["account:email:change-request"],
    "accounts:change-password": ["account:password:change", "account:session:start"],
    "mfa:confirm": ["account:confirm:done"],
    "accounts:delete": ["account:user:delete"],
    "federation:disconnect": ["account:identity:disconnect", "account:session:start"],
    "accounts:end-other-sessions": ["account:session:end-all", "account:session:start"],
    "oidc_provider:end-access": ["openid:access:end"],
    "oidc_provider:end-all-access": ["openid:access:end"],
    "admin:accounts_user_end-app-access": ["openid:access:end"],
    "accounts:end-session": ["account:session:end"],
    # It makes nothing: each is a copy that was handed out.
    "accounts:export": ["account:data:export", "account:data:export"],
    "mfa:passkey-remove": ["account:passkey:remove"],
    "mfa:passkey-rename": ["account:passkey:rename"],
    "accounts:profile": ["account:user:edit"],
    "mfa:recovery-codes": ["account:recovery-codes:make"],
    "admin:accounts_serviceaccount_add": ["account:service:create"],
    "admin:accounts_serviceaccount_change": ["account:user:edit"],
    "admin:accounts_serviceaccount_new-key": ["api:key:create"],
    "admin:accounts_serviceaccount_disable": ["account:user:disable"],
    "admin:accounts_serviceaccount_enable": ["account:user:enable"],
    "admin:accounts_serviceaccount_delete": ["account:user:delete"],
    "admin:accounts_invitation_add": ["account:invitation:issue"],
    "admin:accounts_invitation_send-many": ["account:invitation:issue"],
    "admin:accounts_user_run-import": ["account:user:create", "account:user:import"],
    "send_chosen_again": ["account:invitation:issue"],
    # Progress of the assistant is no act.
    "admin:set-up": [],
    "admin:set-up-step": [],
    "admin:provider-switch": ["settings:provider:switch-off"],
    "admin:mail_outboxmail_test": ["mail:test:send"],
    "admin:accounts_group_add": ["account:group:create"],
    "admin:accounts_group_change": ["account:group:change"],
    "admin:accounts_group_delete": ["account:group:delete"],
    "admin:accounts_group_join": ["account:membership:add"],
    "admin:accounts_group_remove": ["account:membership:remove"],
    "admin:accounts_user_join-group": ["account:membership:add"],
    "admin:accounts_user_leave-group": ["account:membership:remove"],
    "admin:webhooks_webhookendpoint_add": ["webhook:endpoint:create"],
    "admin:webhooks_webhookendpoint_change": ["webhook:endpoint:change"],
    "admin:webhooks_webhookendpoint_delete": ["webhook:endpoint:delete"],
    "admin:webhooks_webhookendpoint_notices": ["account:notices:choose"],
    "admin:webhooks_webhookendpoint_rotate": ["webhook:endpoint:rotate"],
    "admin:webhooks_webhookendpoint_test": ["webhook:endpoint:test"],
    "admin:accounts_user_add": ["account:user:create"],
    "admin:accounts_user_change": ["account:user:edit"],
    "admin:accounts_user_delete": ["account:user:delete"],
    "admin:accounts_user_disable": ["account:user:disable"],
    "admin:accounts_user_end-sessions": ["account:session:end-all"],
    "admin:accounts_user_offboard": [
        "account:user:disable",
        "account:user:offboard",
        "account:offboarding:verify",
    ],
    "admin:accounts_user_reset": ["account:password:reset-start"],
    "admin:accounts_approvalrequest_confirm": [
        "account:user:disable",
        "account:approval:confirm",
    ],
    "admin:accounts_approvalrequest_decline": ["account:approval:decline"],
    "admin:accounts_approvalrequest_withdraw": ["account:approval:withdraw"],
    "admin:audit_auditevent_undo": ["account:user:enable"],
    "admin:moderation_ban_add": ["moderation:ban:start"],
    "admin:moderation_ban_lift": ["moderation:ban:lift"],
    "admin:access_reviews_accessreview_add": ["review:access:start"],
    "admin:access_reviews_accessreview_close": ["review:access:close"],
    "admin:access_reviews_accessreview_confirm": ["review:item:confirm"],
    "admin:access_reviews_accessreview_item": ["account:user:disable", "review:item:take-away"],
    "admin:core_branding_edit": ["instance:branding:change"],
    "admin:applications_app_protect": ["sso:app:create", "sso:rule:create"],
    "admin:applications_app_change": ["sso:app:change"],
    "admin:applications_app_delete": ["sso:app:delete"],
    "admin:applications_customscope_add": ["openid:scope:create"],
    "admin:applications_customscope_change": ["openid:scope:change"],
    "admin:applications_customscope_delete": ["openid:scope:delete"],
    "admin:oidc_provider_initialaccesstoken_add": ["openid:registration-token:create"],
    "admin:oidc_provider_initialaccesstoken_delete": ["openid:registration-token:delete"],
    "admin:applications_app_rotate": ["sso:app:secret-create"],
    "admin:applications_app_revoke": ["sso:app:secret-revoke"],
    "admin:forward_auth_accessrule_add": ["sso:rule:create"],
    "admin:forward_auth_accessrule_change": ["sso:rule:change"],
    "admin:forward_auth_accessrule_delete": ["sso:rule:delete"],
    "admin:forward_auth_accessrule_move": ["sso:rule:move"],
    "admin:forward_auth_accessrule_switch": ["sso:rule:change"],
    "serviceaccounts:keys": ["api:key:create"],
    "serviceaccounts:revoke": ["api:key:revoke"],
    "apikeys:end-program": ["api:token:end"],
    "apikeys:list": ["api:key:create"],
    "apikeys:revoke": ["api:key:revoke"],
    "apikeys:rotate": ["api:key:rotate"],
    "ban_people": ["moderation:ban:start"],
    "change_role_of_people": ["account:role:change"],
    "delete_selected": ["account:user:delete"],
    "disable_people": ["account:user:disable"],
    "end_chosen": ["account:session:end"],
    "end_programs": ["api:token:end"],
    "end_sessions_people": ["account:session:end-all"],
    "get_login_url": ["link:login:issue"],
    "lift_bans_of_people": ["moderation:ban:lift"],
    "lift_chosen": ["moderation:ban:lift"],
    "revoke_chosen": ["api:key:revoke"],
    "send_again": ["mail:outbox:retry"],
    "send_events_again": ["webhook:delivery:resend"],
    "set_end_of_people": ["account:expiry:set"],
    "start_reset_of_people": ["account:password:reset-start"],
    "withdraw_chosen": ["account:invitation:withdraw"],
    "withdraw_links": ["link:login:withdraw"],
}


# Strangers, and links: both sendings by one browser, one after the other
def _invitation(context: CaseContext) -> Form:
    url = invite(actor=context.owner, email=EMAIL, role="editor").url
    return _path(url), {"name": "Nina", "password": NEW}


def _reset(context: CaseContext) -> Form:
    return _path(start_reset(actor=SYSTEM, user=context.viewer)), {"password": NEW}


def _verification(context: CaseContext) -> Form:
    User.objects.filter(pk=context.viewer.pk).update(email_verified_at=None)
    mail_verification(context.viewer, binding="", language="en")
    return path_in(OutboxMail.objects.get()), {"password": PASSWORD}


def _magic(context: CaseContext) -> Form:
    hour = timedelta(hours=1)
    return _path(issue_link(context.viewer, actor=SYSTEM, lifetime=hour, source="command").url), {}


def _work() -> None:
    handle_link_requests()
    handle_reset_requests()
    handle_sign_up_requests()


STRANGERS: dict[str, Case] = {
    "account_login": Case(
        own("/sign-in", login="viewer@example.com", password=PASSWORD),
        count(BrowserSession),
        [2],
        (302, "/account/"),
    ),
    "account_signup": Case(
        own("/sign-up", email=EMAIL, name="Nina", password=NEW),
        count(User, OutboxMail),
        [4, 1],
        (200, EMAIL),
    ),
    "account_reset_password": Case(
        own("/password/forgot", email="viewer@example.com"),
        count(AccountToken, OutboxMail),
        [1, 1],
        (200, "viewer@example.com"),
    ),
    "magiclinks:request": Case(
        own("/magic-link", email="viewer@example.com"),
        count(LoginLink, OutboxMail),
        [1, 1],
        (200, "viewer@example.com"),
    ),
    "magiclinks:open": Case(_magic, count(BrowserSession), [2], (303, "/account/")),
    "accounts:invitation": Case(
        _invitation, count(User, BrowserSession), [4, 2], (303, "/account/")
    ),
    "accounts:reset-password": Case(_reset, count(User), [3], (303, "/sign-in?notice=reset-used")),
    "accounts:verify-email": Case(
        _verification, count(User), [3], (303, "/sign-in?notice=verify-used")
    ),
    "mfa:second-factor-cancel": Case(
        own("/second-factor/cancel"),
        count(BrowserSession),
        [1],
        (303, "/sign-in?notice=signed-out"),
    ),
}


@pytest.fixture
def context(owner: User, viewer: User, editor: User, browser_of: BrowserOf) -> CaseContext:
    return CaseContext(owner, viewer, strict(browser_of(owner)))


@pytest.fixture
def _github(settings: Any) -> None:
    """A provider that can be switched off."""
    source = SignInSource("github", "GitHub")
    settings.SIGN_IN_PROVIDERS = (Provider(source, kind="github", client_id="x"),)


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize("name", CASES)
def test_a_form_sent_twice_is_handled_once(context: CaseContext, name: str) -> None:
    case = CASES[name]
    path, fields = case.make(context)
    sent = fields | {"csrfmiddlewaretoken": token_for(context.client)}

    base = AuditEvent.objects.latest("seq").seq
    first = context.client.post(path, sent)
    second = context.client.post(path, sent)

    assert first.status_code in (200, 302, 303)
    assert case.rows() == case.expected
    written = AuditEvent.objects.filter(seq__gt=base).order_by("seq")
    assert list(written.values_list("action", flat=True)) == AUDIT.get(name, [])
    status, text = case.second
    assert second.status_code == status
    assert text in (second.get("Location") or second.content.decode())


@pytest.mark.parametrize("name", STRANGERS)
def test_a_public_form_sent_twice_is_handled_once(context: CaseContext, name: str) -> None:
    case = STRANGERS[name]
    path, fields = case.make(context)
    stranger = strict()
    sent = fields | {"csrfmiddlewaretoken": token_for(stranger, "/sign-in")}

    stranger.post(path, sent)
    second = stranger.post(path, sent)
    _work()

    assert case.rows() == case.expected
    status, text = case.second
    assert second.status_code == status
    assert text in (second.get("Location") or second.content.decode())


# The first response is lost: a browser drops it, and its cookies, after a double click
SIGNED_OUT_AFTER = {"account_logout", "accounts:delete"}


def _send_and_lose(client: Client, path: str, sent: dict[str, Any]) -> Any:
    """Send a form, and forget the cookies of the response."""
    before = copy.deepcopy(client.cookies)
    response = client.post(path, sent)
    client.cookies = before
    return response


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize("name", sorted(CASES.keys() - SIGNED_OUT_AFTER))
def test_a_form_whose_first_response_is_lost_keeps_the_user_signed_in(
    context: CaseContext, name: str
) -> None:
    case = CASES[name]
    path, fields = case.make(context)
    sent = fields | {"csrfmiddlewaretoken": token_for(context.client)}
    _send_and_lose(context.client, path, sent)

    second = context.client.post(path, sent)

    status, text = case.second
    assert second.status_code == status
    assert text in (second.get("Location") or second.content.decode())
    assert case.rows() == case.expected
    assert context.client.get("/account/").status_code == 200


def _changed_password(context: CaseContext) -> tuple[str, dict[str, Any]]:
    """The form that has changed the password of the owner, whose response was lost."""
    path = "/account/password"
    fields = {"current_password": PASSWORD, "password": NEW}
    sent = fields | {"csrfmiddlewaretoken": token_for(context.client)}
    assert _send_and_lose(context.client, path, sent).status_code == 303
    return path, sent


def _assert_not_resumed(client: Client, path: str, sent: dict[str, Any]) -> None:
    answer = client.post(path, sent)

    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={path}")
    assert client.get("/account/").status_code == 302


def test_a_lost_session_is_resumed_only_with_the_form_of_the_same_page(
    context: CaseContext,
) -> None:
    path, sent = _changed_password(context)

    _assert_not_resumed(context.client, path, sent | {"csrfmiddlewaretoken": "c" * 64})
    other_page = {"csrfmiddlewaretoken": token_for(context.client, "/sign-in")}
    _assert_not_resumed(context.client, path, sent | other_page)
    _assert_not_resumed(context.client, path, sent | {"current_password": "wrong"})


def test_a_lost_session_is_not_resumed_without_the_cookie_of_the_page(context: CaseContext) -> None:
    path, sent = _changed_password(context)
    thief = strict()
    thief.get("/sign-in")

    _assert_not_resumed(thief, path, sent)


def test_a_lost_session_is_not_resumed_after_a_minute(
    context: CaseContext, at_time: AtTime
) -> None:
    path, sent = _changed_password(context)
    at_time(RESUME_WINDOW + timedelta(seconds=1))

    _assert_not_resumed(context.client, path, sent)


def test_a_lost_session_is_not_resumed_once_it_has_ended(context: CaseContext) -> None:
    path, sent = _changed_password(context)
    BrowserSession.objects.all().delete()

    _assert_not_resumed(context.client, path, sent)


def test_a_lost_session_is_not_resumed_by_a_banned_user(context: CaseContext) -> None:
    other = create_user(actor=SYSTEM, email="other@example.com", role="owner", verified=True)
    path, sent = _changed_password(context)
    ban(actor=other, user=context.owner, duration=None, reason="Spam")

    _assert_not_resumed(context.client, path, sent)


def test_a_sign_in_by_link_is_never_resumed(context: CaseContext) -> None:
    path, fields = _magic(context)
    browser = strict()
    sent = fields | {"csrfmiddlewaretoken": token_for(browser, "/sign-in")}
    assert _send_and_lose(browser, path, sent).status_code == 302

    second = browser.post(path, sent)

    assert (second.status_code, second["Location"]) == (303, "/sign-in?notice=link-used")
    assert browser.get("/account/").status_code == 302
    assert not SentForm.objects.exclude(sealed_session="").exists()


def test_the_key_of_a_renewed_session_is_stored_encrypted_and_for_a_minute(
    context: CaseContext,
) -> None:
    _changed_password(context)
    row = SentForm.objects.exclude(sealed_session="").get()

    assert BrowserSession.objects.get().session_key not in row.sealed_session
    assert purge_sent_forms(timezone.now() + RESUME_WINDOW - timedelta(seconds=5)) == 0
    assert purge_sent_forms(timezone.now() + RESUME_WINDOW + timedelta(seconds=5)) == 1


# No address is forgotten

WITHOUT_CASE = {
    "mfa:recovery-codes-file": "returns the codes of the form as a file, and makes nothing",
    "set_language": "chooses a language, and makes nothing",
    "mfa:passkeys": "takes the answer to a question that is asked once",
    "mfa:passkey-options": "asks the question of a passkey anew",
    "mfa:passkey-sign-in": "takes the answer to a question that is asked once",
    "mfa:passkey-sign-in-options": "asks the question of a passkey anew",
    "mfa:second-factor": "see test_a_code_that_is_sent_twice_lets_in",
    "mfa:second-factor-set-up": "see test_the_first_factor_sent_twice_is_one",
    "accounts:set-up": "see test_the_set_up_sent_twice_makes_one_owner",
    "federation:connect": "leads to the provider, each time with a question of its own",
    "federation:provider-start": "leads to the provider, each time with a question of its own",
    "federation:provider-callback": "tests/federation/oidc/test_replays.py",
    "federation:provider-callback-other": "tests/federation/oidc/test_replays.py",
    "forward_auth:check": "a question of a proxy",
    "oidc_provider:authorize": "goes on as a GET, and makes nothing",
    "oidc_provider:decide": "makes a code again; the first is worth nothing to anyone else",
    "oidc_provider:device-authorization": "asked by apps; tests/oidc_provider/test_device_flow.py",
    "oidc_provider:device": "tests/oidc_provider/test_device_flow.py",
    "oidc_provider:par": "asked by apps; tests/oidc_provider/test_pushed_requests.py",
    "oidc_provider:registration": "asked by apps; tests/oidc_provider/test_registration.py",
    "oidc_provider:token": "asked by apps; tests/oidc_provider/test_tokens.py",
    "oidc_provider:userinfo": "asked by apps, and makes nothing",
    "oidc_provider:revoke": "asked by apps; tests/oidc_provider/test_tokens.py",
    "oidc_provider:end-session": "goes on as a GET, and makes nothing",
    "oidc_provider:sign-out": "tests/oidc_provider/test_logout.py",
    "openid-configuration": "refuses a POST; tests/oidc_provider/test_metadata.py",
    "oauth-authorization-server": "refuses a POST; tests/oidc_provider/test_metadata.py",
    "forward_auth:forward": "a question of a proxy",
    "admin:forward_auth_try": "shows what would happen",
    "admin:health": "looks again, and makes nothing; see tests/operations/test_checks.py",
    "admin:provider-sign-in-test": "leads to the provider, each time with a question of its own",
    "admin:provider-test": "looks again, and makes nothing",
    "admin:applications_app_setup": "asks the app each time, and makes nothing",
    "admin:applications_app_file": "a file to download",
    "admin:applications_app_add": "leads to the wizard",
    "admin:accounts_user_export": "downloads a file, each time as it is then",
    "admin:access_reviews_accessreview_export": "downloads a file, each time as it is then",
    "admin:access_reviews_accessreview_preview": "shows what would happen",
    "admin:accounts_user_import": "shows what would happen",
    "admin:accounts_invitation_many": "shows what would happen",
}
SITE_PAGES = {"index", "login", "logout", "password_change", "password_change_done", "app_list"}
ARGUMENTS = {
    "str:token": "x", "uuid:": "01a2218c-acd6-73e3-85f9-eb136df537e0", "slug:provider": "github",
    "slug:way": "up", "str:key_id": "x", "path:": "x",
}  # fmt: skip


def _addresses(patterns: Any, path: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Name and path of all pages, without the API, whose endpoints are no forms."""
    for pattern in patterns:
        here = f"{path}{pattern.pattern}"
        if hasattr(pattern, "url_patterns"):
            below = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _addresses(pattern.url_patterns, here, below)
        elif not here.startswith(("api/v1/", "scim/v2/")):
            yield f"{space}{pattern.name or ''}", here


def _filled(path: str) -> str:
    for start, value in ARGUMENTS.items():
        path = re.sub(rf"<{start}[^>]*>", value, path)
    return f"/{path}"


def _names_of_cases() -> set[str]:
    return {*CASES, *STRANGERS, *WITHOUT_CASE}


def test_every_url_that_accepts_post_has_a_case(
    owner: User, browser_of: BrowserOf, stranger: Client
) -> None:
    browser = browser_of(owner)
    missing = []
    for name, path in _addresses(get_resolver().url_patterns):
        if name in _names_of_cases() or "(?P<" in path or name.endswith("_changelist"):
            continue
        if name.startswith("admin:") and name.removeprefix("admin:") in SITE_PAGES:
            continue
        before = AuditEvent.objects.count()
        statuses = {one.post(_filled(path)).status_code for one in (browser, stranger)}
        # 302: anonymous clients to the sign-in page, and old URLs of the admin.
        if not statuses <= {302, 403, 404, 405} or AuditEvent.objects.count() != before:
            missing.append((name, statuses))

    assert missing == []


def test_every_admin_action_has_a_case(owner: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = owner
    request.may_use_admin = True
    actions = {name for table in site._registry.values() for name in table.get_actions(request)}

    assert actions <= _names_of_cases()
    assert {"get_login_url", "ban_people", "send_again"} <= actions


# What counts as the same form


def _make_key(context: CaseContext, token: str, **changes: Any) -> Any:
    return context.client.post("/account/keys", KEY | changes | {"csrfmiddlewaretoken": token})


def test_other_fields_or_a_new_page_are_another_request(context: CaseContext) -> None:
    token = token_for(context.client)
    for answer in (
        _make_key(context, token),
        _make_key(context, token, name="other"),
        _make_key(context, token_for(context.client)),
    ):
        assert answer.status_code == 200

    assert ApiKey.objects.count() == 3


def test_the_second_click_shows_the_same_key(context: CaseContext) -> None:
    token = token_for(context.client)

    first, second = _make_key(context, token), _make_key(context, token)

    assert first.content == second.content
    assert second["Cache-Control"] == "no-store"
    assert second["Referrer-Policy"] == "strict-origin"


def test_a_key_is_not_shown_again_later(context: CaseContext, at_time: AtTime) -> None:
    token = token_for(context.client)
    first = _make_key(context, token)
    at_time(SHOWN_AGAIN + timedelta(seconds=1))

    second = _make_key(context, token)

    assert (second.status_code, second["Location"]) == (303, "/account/keys?notice=sent-already")
    page = context.client.get(second["Location"]).content.decode()
    assert "This form was sent twice and processed once" in page
    found = re.search(r"gth_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}", first.content.decode())
    assert found is not None
    assert found[0] not in page
    assert ApiKey.objects.count() == 1


def test_an_invitation_link_is_not_shown_again_later(context: CaseContext, at_time: AtTime) -> None:
    path, fields = CASES["admin:accounts_invitation_add"].make(context)
    sent = fields | {"csrfmiddlewaretoken": token_for(context.client)}
    context.client.post(path, sent)
    at_time(SHOWN_AGAIN + timedelta(seconds=1))

    second = context.client.post(path, sent, follow=True)

    assert second.redirect_chain == [("/admin/accounts/invitation/", 302)]
    assert "This form was sent twice and processed once" in second.content.decode()
    assert Invitation.objects.count() == 1


def test_a_rejected_form_can_be_sent_again(context: CaseContext) -> None:
    token = token_for(context.client)

    for _turn in range(2):
        assert _make_key(context, token, name="").status_code == 400

    assert not SentForm.objects.exists()


def test_a_failed_form_can_be_sent_again(
    context: CaseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_for(context.client)
    with monkeypatch.context() as broken:
        broken.setattr("api.apikeys.services.create_key", lambda **_fields: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            _make_key(context, token)

    assert _make_key(context, token).status_code == 200
    assert ApiKey.objects.count() == 1


def test_no_other_browser_gets_the_response(context: CaseContext, browser_of: BrowserOf) -> None:
    token = token_for(context.client)
    first = _make_key(context, token)
    other = browser_of(context.viewer)

    second = other.post("/account/keys", KEY | {"csrfmiddlewaretoken": token})

    assert second.content != first.content
    assert ApiKey.objects.filter(user=context.viewer).count() == 1


def test_devices_can_be_signed_out_again_by_the_same_page_after_a_minute(
    context: CaseContext, at_time: AtTime
) -> None:
    sent = {"csrfmiddlewaretoken": token_for(context.client)}
    path = f"{USERS}{context.viewer.pk}/end-sessions/"
    context.client.post(path, sent)
    at_time(DOUBLE_CLICK + timedelta(seconds=1))

    context.client.post(path, sent)

    assert AuditEvent.objects.filter(action="account:session:end-all").count() == 2


def test_a_form_still_being_handled_is_not_handled_again(
    context: CaseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_for(context.client)
    _make_key(context, token)
    SentForm.objects.update(sealed_url="", sealed_page="")
    monkeypatch.setattr("accounts.sent_forms.WAIT_SECONDS", 0.0)

    second = _make_key(context, token)

    assert (second.status_code, second["Location"]) == (303, "/account/keys?notice=sent-already")
    assert ApiKey.objects.count() == 1


def test_old_forms_are_purged(context: CaseContext, at_time: AtTime) -> None:
    _make_key(context, token_for(context.client))
    row = SentForm.objects.get()
    assert "gth_" not in row.sealed_page
    purge_sent_forms(timezone.now())
    assert SentForm.objects.get().sealed_page == row.sealed_page

    purge_sent_forms(at_time(SHOWN_AGAIN + timedelta(seconds=1)))
    row.refresh_from_db()
    assert (row.sealed_page, bool(row.sealed_url)) == ("", True)

    assert purge_sent_forms(at_time(KEEP + timedelta(seconds=1))) == 1
    assert not SentForm.objects.exists()


# Signing in


def test_a_code_sent_twice_signs_in(context: CaseContext) -> None:
    app = set_up_app(context.viewer)
    browser = strict()
    form = {"login": context.viewer.email, "password": PASSWORD}
    browser.post("/sign-in", form | {"csrfmiddlewaretoken": token_for(browser, "/sign-in")})
    code = {"code": app.code(), "csrfmiddlewaretoken": token_for(browser, "/second-factor")}
    assert browser.post("/second-factor", code)["Location"] == "/account/"

    second = browser.post("/second-factor", code)

    assert (second.status_code, second["Location"]) == (303, "/account/")
    assert BrowserSession.objects.filter(user=context.viewer).count() == 1


def test_the_first_factor_sent_twice_is_created_once(context: CaseContext, settings: Any) -> None:
    settings.MFA_REQUIRED_ROLES = frozenset({"viewer"})
    browser = strict()
    form = {"login": context.viewer.email, "password": PASSWORD}
    browser.post("/sign-in", form | {"csrfmiddlewaretoken": token_for(browser, "/sign-in")})
    page = browser.get("/second-factor/set-up").content.decode()
    found = re.search(r'<p class="qr-key"><code id="totp-key">([A-Z2-7 ]+)</code>', page)
    assert found is not None
    app = App(totp.from_text(found[1].replace(" ", "")))
    code = {"code": app.code(), "name": "", "csrfmiddlewaretoken": token_for(
        browser, "/second-factor/set-up")}  # fmt: skip
    assert browser.post("/second-factor/set-up", code).status_code == 303

    second = browser.post("/second-factor/set-up", code)

    assert (second.status_code, second["Location"]) == (303, "/account/")
    assert Authenticator.objects.filter(user=context.viewer).count() == 1


def test_the_set_up_sent_twice_creates_one_owner(stranger: Client) -> None:
    issued = issue_setup_link(ensure_owner())
    assert issued is not None
    browser, path = strict(), _path(issued.url)
    form = {"email": EMAIL, "name": "", "password": NEW}
    sent = form | {"csrfmiddlewaretoken": token_for(browser, path)}
    assert browser.post(path, sent)["Location"] == "/admin/set-up/"

    second = browser.post(path, sent)

    assert (second.status_code, second["Location"]) == (303, "/account/")
    assert User.objects.filter(role="owner").count() == 1
