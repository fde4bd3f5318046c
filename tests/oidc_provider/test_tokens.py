"""Codes and tokens: single use, rotation, and what ends them. RFC 6749, 7009, 7636, 9700."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import BrowserSession, User
from accounts.services import users
from accounts.services.sessions import end_sessions
from applications.models import App
from audit.models import AuditEvent
from config import worker
from moderation.services.bans import ban
from oidc_provider.models import AuthorizationCode, Grant
from tests.oidc_provider.relying_party import CALLBACK, RelyingParty, make_client
from tests.oidc_provider.test_entry import never

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], Any]


@pytest.fixture
def web(owner: User) -> RelyingParty:
    """A web app with a secret."""
    return RelyingParty(make_client("web", name="Shop"), owner)


def error_of(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/json"
    return answer.status_code, answer.json()["error"]


def is_dead(party: RelyingParty, tokens: dict[str, Any]) -> bool:
    """Whether neither token works."""
    refreshed = party.refresh(tokens["refresh_token"])
    told = party.userinfo(tokens["access_token"])
    if told.status_code == 200:
        assert refreshed.status_code == 200
        return False
    assert (error_of(told), error_of(refreshed)) == ((401, "invalid_token"), (400, "invalid_grant"))
    return True


def test_a_code_is_redeemed_once_and_a_second_time_ends_what_it_gave(
    party: RelyingParty, browser: Client, viewer: User
) -> None:
    """oidcc-codereuse, oidcc-codereuse-30seconds, RFC 9700 section 4.5."""
    code = party.code(browser)
    tokens = party.redeem(code).json()
    assert party.userinfo(tokens["access_token"]).status_code == 200

    assert error_of(party.redeem(code)) == (400, "invalid_grant")

    assert is_dead(party, tokens)
    event = AuditEvent.objects.get(action="openid:grant:reuse")
    assert (event.target_id, event.result) == (viewer.pk, "refused")
    assert Grant.objects.get().end_reason == "reused"


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": f"{CALLBACK}/"},
        {"code_verifier": "w" * 43},
        {"code_verifier": None},  # RFC 9700 section 4.8: no downgrade
        {"code_verifier": "v" * 42},
    ],
)
def test_a_code_with_anything_else_wrong_is_refused_and_used_up(
    party: RelyingParty, browser: Client, changes: dict[str, Any]
) -> None:
    code = party.code(browser)

    assert error_of(party.redeem(code, **changes)) == (400, "invalid_grant")

    assert error_of(party.redeem(code)) == (400, "invalid_grant")
    assert not Grant.objects.exists()


def test_a_code_of_another_app_is_refused_and_used_up(
    party: RelyingParty, web: RelyingParty, browser: Client
) -> None:
    code = party.code(browser)

    assert error_of(web.redeem(code)) == (400, "invalid_grant")
    assert error_of(party.redeem(code)) == (400, "invalid_grant")


def test_a_code_expires(party: RelyingParty, browser: Client, at_time: AtTime) -> None:
    code = party.code(browser)
    at_time(timedelta(seconds=61))

    assert error_of(party.redeem(code)) == (400, "invalid_grant")


def test_a_verifier_without_a_challenge_is_refused(web: RelyingParty, browser: Client) -> None:
    """RFC 9700, section 4.8.2: the challenge was taken out of the request."""
    without = {"code_challenge": None, "code_challenge_method": None}
    assert error_of(web.redeem(web.code(browser, **without))) == (400, "invalid_grant")
    code = web.code(browser, **without)
    assert web.redeem(code, code_verifier=None).status_code == 200


def test_an_app_with_a_secret_has_to_send_it(web: RelyingParty, browser: Client) -> None:
    """oidcc-server-client-secret-post, client_secret_basic; RFC 6749 section 5.2."""
    basic = base64.b64encode(f"{web.app.client_id}:{web.secret}".encode()).decode()
    none: dict[str, Any] = {"client_id": None, "client_secret": None}
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": "v" * 43}
    code = web.code(browser)
    for wrong in (
        web.redeem(code, client_secret=None),
        web.redeem(code, client_secret="gths_wrong"),
        web.redeem(code, **none),
        web.post("/openid/token", {**form, "code": code}, authorization="Basic !"),
    ):
        assert error_of(wrong) == (401, "invalid_client")
        assert wrong["WWW-Authenticate"].startswith("Basic ")

    # A wrong secret has used nothing up.
    given = web.post("/openid/token", {**form, "code": code}, authorization=f"Basic {basic}")
    assert given.status_code == 200
    twice = {**form, "code": code, "client_secret": web.secret}
    both = web.post("/openid/token", twice, authorization=f"Basic {basic}")
    assert error_of(both) == (400, "invalid_request")


def test_requests_to_the_token_endpoint_have_one_form(party: RelyingParty, browser: Client) -> None:
    code = party.code(browser)
    assert error_of(party.redeem(code, grant_type="password")) == (400, "unsupported_grant_type")
    assert error_of(party.redeem("")) == (400, "invalid_request")
    nobody = party.post("/openid/token", {})
    assert error_of(nobody) == (401, "invalid_client")
    repeated = party.http.post(
        "/openid/token", f"client_id={party.app.client_id}&code=a&code=b",
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert error_of(repeated) == (400, "invalid_request")
    got = party.http.get("/openid/token")
    assert (got.status_code, got["Allow"]) == (405, "POST")
    preflight = party.http.options("/openid/userinfo", headers={"origin": "https://a.example"})
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, "*")
    assert "Authorization" in preflight["Access-Control-Allow-Headers"]


def test_refresh_tokens_rotate_and_a_used_one_ends_the_sign_in(
    party: RelyingParty, browser: Client
) -> None:
    """RFC 9700, section 4.14.2. The parent of the current token is an answer that got lost."""
    first = party.sign_in(browser)
    second = party.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert "nonce" not in second["id_token"]
    lost = party.refresh(first["refresh_token"]).json()
    assert lost["refresh_token"] == second["refresh_token"]

    third = party.refresh(second["refresh_token"]).json()
    assert error_of(party.refresh(first["refresh_token"])) == (400, "invalid_grant")

    assert is_dead(party, third)
    assert AuditEvent.objects.filter(action="openid:grant:reuse").count() == 1


def test_a_refresh_may_ask_for_less_and_never_for_more(
    party: RelyingParty, browser: Client
) -> None:
    tokens = party.sign_in(browser, scope="openid email")

    less = party.refresh(tokens["refresh_token"], scope="openid").json()
    assert less["scope"] == "openid"
    assert list(party.userinfo(less["access_token"]).json()) == ["sub"]
    for scope in ("openid profile", "openid unknown"):
        refused = party.refresh(less["refresh_token"], scope=scope)
        assert error_of(refused) == (400, "invalid_scope")
    full = party.refresh(less["refresh_token"]).json()
    assert full["scope"] == "openid email"


def test_a_token_works_for_its_app_and_as_its_kind_only(
    party: RelyingParty, web: RelyingParty, browser: Client
) -> None:
    tokens = party.sign_in(browser)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    assert error_of(web.refresh(refresh)) == (400, "invalid_grant")
    assert error_of(web.revoke(refresh)) == (400, "invalid_grant")
    assert error_of(party.refresh(access)) == (400, "invalid_grant")
    assert party.userinfo(refresh).status_code == 401
    kind, grant, number, mask, mac = access.split("_", 4)
    for forged in (
        f"{kind}_{grant}_{int(number) + 9}_{mask}_{mac}",
        f"{kind}_{grant}_{number}_31_{mac}",
        f"gtr_{grant}_1_0_{mac}",
        f"{kind}_{'0' * 32}_{number}_{mask}_{mac}",
    ):
        assert party.userinfo(forged).status_code == 401
    # Neither the API nor a proxy accepts what was made for an app.
    for token in (access, tokens["id_token"]):
        answer = party.http.get("/api/v1/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    assert party.userinfo(access).status_code == 200


def test_userinfo_says_what_is_missing(
    party: RelyingParty, browser: Client, at_time: AtTime
) -> None:
    """oidcc-userinfo; RFC 6750 section 3.1: no error without a token."""
    none = party.http.get("/openid/userinfo")
    assert (none.status_code, none["WWW-Authenticate"]) == (401, 'Bearer realm="Gatehouse"')
    wrong = party.userinfo("nothing")
    assert 'error="invalid_token"' in wrong["WWW-Authenticate"]
    access = party.sign_in(browser)["access_token"]
    in_url = party.http.get(f"/openid/userinfo?access_token={access}")
    assert in_url.status_code == 401
    both = {"authorization": f"Bearer {access}"}
    twice = party.post("/openid/userinfo", {"access_token": access}, **both)
    assert error_of(twice) == (400, "invalid_request")
    at_time(timedelta(minutes=16))
    assert party.userinfo(access).status_code == 401


def test_revocation_ends_both_tokens_and_tells_nothing(
    party: RelyingParty, browser: Client
) -> None:
    """RFC 7009: an unknown token is answered like a known one."""
    for kind in ("access_token", "refresh_token"):
        tokens = party.sign_in(browser)
        assert party.revoke(tokens[kind]).status_code == 200
        assert is_dead(party, tokens)
        assert party.revoke(tokens[kind]).status_code == 200
    assert party.revoke("gta_unknown").status_code == 200
    assert AuditEvent.objects.filter(action="openid:grant:end").count() == 2


@pytest.mark.parametrize(
    "end",
    [
        lambda owner, viewer: ban(actor=owner, user=viewer, duration=None, reason="x"),
        lambda owner, viewer: users.disable_user(actor=owner, user=viewer),
        lambda owner, viewer: users.change_role(actor=owner, user=viewer, role="editor"),
        lambda owner, viewer: end_sessions(actor=owner, user=viewer),
        lambda owner, viewer: App.objects.update(openid_role="editor"),
        lambda owner, viewer: App.objects.update(openid_people=[str(owner.pk)]),
        lambda owner, viewer: App.objects.update(openid_second_factor=True),
        lambda owner, viewer: App.objects.update(openid_group_ids=[str(viewer.pk)]),
        lambda owner, viewer: App.objects.update(openid_networks=["10.0.0.0/8"]),
        lambda owner, viewer: App.objects.update(openid_hours=[never()]),
        lambda owner, viewer: User.objects.filter(pk=viewer.pk).update(email_verified_at=None),
        lambda owner, viewer: users.delete_user(actor=owner, user=viewer),
        lambda owner, viewer: App.objects.all().delete(),
    ],
    ids=["ban", "disable", "role", "sign-out", "floor", "people", "factor", "groups",
         "networks", "hours", "address", "delete",
         "app"],
)  # fmt: skip
def test_what_ends_the_access_ends_every_token_at_once(
    party: RelyingParty, browser: Client, owner: User, viewer: User, end: Callable[..., object]
) -> None:
    """Userinfo, refresh and an unredeemed code; offline tokens, too."""
    code = party.code(browser)
    tokens = party.sign_in(browser)
    offline = party.sign_in(browser, scope="openid offline_access")
    assert not is_dead(party, offline)
    asking = RelyingParty(party.app, owner)
    texts = [tokens["access_token"], tokens["refresh_token"], offline["access_token"]]
    assert [asking.introspect(text)["active"] for text in texts] == [True] * 3

    end(owner, viewer)

    assert party.redeem(code).status_code in (400, 401)
    for given in (tokens, offline):
        assert party.userinfo(given["access_token"]).status_code == 401
        assert party.refresh(given["refresh_token"]).status_code in (400, 401)
    if App.objects.exists():
        assert [asking.introspect(text) for text in texts] == [{"active": False}] * 3


def test_introspection_tells_the_app_of_the_token_what_its_scope_opens(
    browser: Client, owner: User, viewer: User, at_time: AtTime
) -> None:
    """RFC 7662; RFC 9700, section 2.3: no other app learns anything."""
    hours = ["mon-sun 00:00-24:00"]
    web = RelyingParty(make_client("web", name="Shop", openid_hours=hours), owner)
    tokens = web.sign_in(browser, scope="openid email groups")
    grant = Grant.objects.get()

    told = web.introspect(tokens["access_token"])

    assert told == {
        "active": True,
        "token_type": "access_token",
        "iss": "http://localhost:8000",
        "sub": str(viewer.pk),
        "email": "viewer@example.com",
        "email_verified": True,
        "role": "viewer",
        "groups": [],
        "scope": "openid email groups",
        "client_id": web.app.client_id,
        "aud": web.app.client_id,
        "sid": str(grant.sid),
        "auth_time": int(grant.auth_time.timestamp()),
        "exp": told["exp"],
    }
    assert 0 < told["exp"] - grant.refreshed_at.timestamp() <= 15 * 60
    refresh = web.introspect(tokens["refresh_token"])
    assert (refresh["token_type"], refresh["exp"]) == (
        "refresh_token", int(grant.expires_at.timestamp()),
    )  # fmt: skip
    less = web.refresh(tokens["refresh_token"], scope="openid").json()
    assert {"email", "role"}.isdisjoint(web.introspect(less["access_token"]))
    other = RelyingParty(make_client("web", name="Other"), owner)
    ended = [
        # The used one; asking about it ends nothing.
        web.introspect(tokens["refresh_token"]),
        web.introspect(tokens["id_token"]),
        other.introspect(tokens["access_token"]),
        other.introspect(less["refresh_token"]),
    ]
    assert ended == [{"active": False}] * 4
    assert web.introspect(less["refresh_token"])["active"] is True
    at_time(timedelta(minutes=16))
    assert web.introspect(tokens["access_token"]) == {"active": False}


def test_tokens_end_with_the_browser_session_unless_they_are_for_offline(
    party: RelyingParty, browser: Client
) -> None:
    tokens = party.sign_in(browser)
    offline = party.sign_in(browser, scope="openid offline_access")
    code = party.code(browser)

    browser.post("/sign-out")

    assert is_dead(party, tokens)
    assert not is_dead(party, offline)
    assert error_of(party.redeem(code)) == (400, "invalid_grant")


def test_what_was_made_before_a_revocation_stays_dead_with_a_slow_clock(
    party: RelyingParty, browser: Client, viewer: User, owner: User, at_time: AtTime
) -> None:
    """A grant is as old as its code, so no redemption outlives what ended the access meanwhile."""
    at_time(timedelta(minutes=5))
    code = party.code(browser)
    at_time(timedelta())
    end_sessions(actor=owner, user=viewer)

    assert error_of(party.redeem(code)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("name", "count", "of_bans"),
    [("authorize", 12, 3), ("code", 6, 1), ("refresh", 3, 1), ("userinfo", 1, 1)],
)
def test_each_question_is_asked_once(
    web: RelyingParty, browser: Client, name: str, count: int, of_bans: int
) -> None:
    """A grant comes with its app, its user, their session and bans. Only an authorization asks
    again, under the lock of the user."""
    tokens = web.sign_in(browser)
    code = web.code(browser)
    asked = {
        "authorize": lambda: web.authorize(browser),
        "code": lambda: web.redeem(code),
        "refresh": lambda: web.refresh(tokens["refresh_token"]),
        "userinfo": lambda: web.userinfo(tokens["access_token"]),
    }[name]

    with CaptureQueriesContext(connection) as found:
        answer = asked()

    assert answer.status_code == (303 if name == "authorize" else 200)
    # Signing keys are kept for a while; SQLite needs no lock of its own.
    texts = [
        query["sql"]
        for query in found.captured_queries
        if "api_signingkey" not in query["sql"] and "FOR NO KEY UPDATE" not in query["sql"]
    ]
    assert len(texts) == count, texts
    assert len([text for text in texts if "moderation_ban" in text]) == of_bans


def test_old_codes_and_grants_are_purged(
    party: RelyingParty, browser: Client, at_time: AtTime
) -> None:
    party.sign_in(browser)
    at_time(timedelta(minutes=30))
    worker.purge()
    assert (AuthorizationCode.objects.count(), Grant.objects.count()) == (1, 1)
    at_time(timedelta(hours=2))
    worker.purge()
    assert (AuthorizationCode.objects.count(), Grant.objects.count()) == (0, 1)
    at_time(timedelta(days=200))
    worker.purge()
    assert not Grant.objects.exists()
    assert not BrowserSession.objects.exists()
