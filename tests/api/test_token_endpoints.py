"""Signing in by tokens over HTTP: password, second factor, session, cookie, sign-out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, User
from accounts.services import sessions, users
from api.models import TokenFamily
from api.tokens import password_grant, signing_keys
from audit.models import AuditEvent
from mail.models import OutboxMail
from tests.api.calls import call
from tests.api.keys import made
from tests.api.tokens import API, bearer, me, outcome, post, refreshed, sign_in
from tests.conftest import PASSWORD, MakeUser
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
BrowserOf = Callable[[User], Client]
COOKIE = "gatehouse_refresh"


def grant(**body: Any) -> Any:
    return post("auth/token", body)


def test_a_password_is_exchanged_for_a_pair_of_tokens(viewer: User) -> None:
    answer = grant(email="Viewer@Example.com ", password=PASSWORD)

    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {
        *("access", "refresh", "token_type", "expires_in", "refresh_expires_in", "user")
    }
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert body["refresh_expires_in"] == 7 * 24 * 3600
    assert body["user"]["id"] == str(viewer.pk)
    assert answer["Cache-Control"] == "no-store"
    assert answer.cookies == {}
    assert me(body["access"]).json()["email"] == "viewer@example.com"


def test_the_claims_are_those_of_the_documentation(viewer: User) -> None:
    body = sign_in(viewer)
    header = jwt.get_unverified_header(body["access"])
    key = jwt.PyJWKSet.from_dict(Client().get("/.well-known/jwks.json").json())[header["kid"]]
    claims = jwt.decode(body["access"], key, algorithms=["ES256"], audience="http://localhost:8000")

    family = TokenFamily.objects.get()
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": header["kid"]}
    assert claims.keys() == {
        "groups",
        *("iss", "sub", "aud", "exp", "iat", "jti", "sid", "role", "email", "client_id"),
    }
    assert claims["iss"] == "http://localhost:8000"
    assert (claims["sub"], claims["sid"]) == (str(viewer.pk), str(family.pk))
    assert (claims["role"], claims["email"]) == ("viewer", "viewer@example.com")
    assert claims["client_id"] == "gatehouse"
    assert claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize("name", ["email", "username", "login"])
def test_the_user_name_signs_in_too(viewer: User, name: str) -> None:
    assert grant(**{name: "Vera", "password": PASSWORD}).status_code == 200


def test_a_sign_in_is_audited(viewer: User) -> None:
    sign_in(viewer)

    (event,) = AuditEvent.objects.filter(action="account:session:start")
    assert (event.actor_id, event.target_id) == (viewer.pk, viewer.pk)
    assert event.detail == {"methods": ["password"]}
    viewer.refresh_from_db()
    assert viewer.last_login is not None


@pytest.mark.parametrize(
    "body",
    [
        {"email": "viewer@example.com", "password": "wrong"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "not an address", "password": PASSWORD},
        {"email": "nolink@example.com", "password": "!"},
    ],
)
def test_a_failed_sign_in_does_not_reveal_what_was_wrong(
    viewer: User, make_user: MakeUser, body: dict[str, str]
) -> None:
    make_user(email="nolink@example.com", password=None)
    answer = post("auth/token", body)

    assert outcome(answer) == (401, "bad_credentials")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["detail"] == "The email address or password is incorrect."
    assert TokenFamily.objects.count() == 0
    (event,) = AuditEvent.objects.filter(action="account:session:start")
    assert (event.result, event.detail) == ("refused", {"methods": ["password"]})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "viewer@example.com"}, "password"),
        ({"email": "viewer@example.com", "password": ["x"]}, "password"),
        ({"email": {"$ne": ""}, "password": PASSWORD}, "email"),
        ({"email": "viewer@example.com", "password": PASSWORD, "refresh_cookie": "?"},
         "refresh_cookie"),
    ],
)  # fmt: skip
def test_an_incomplete_sign_in_names_the_field(viewer: User, body: Any, field: str) -> None:
    answer = post("auth/token", body)

    assert outcome(answer) == (402, "record_invalid")
    assert list(answer.json()["errors"]) == [field]


def test_attempts_are_limited_for_known_and_unknown_logins_alike(
    viewer: User, settings: Any
) -> None:
    settings.LIMITS = {**settings.LIMITS, "sign-in": (2, timedelta(minutes=5))}
    for email in ("viewer@example.com", "nobody@example.com"):
        outcomes = [outcome(grant(email=email, password="wrong")) for _ in range(2)]
        blocked = grant(email=email, password=PASSWORD)

        assert outcomes == [(401, "bad_credentials")] * 2
        assert outcome(blocked) == (429, "rate_limited")
        assert 1 <= int(blocked["Retry-After"]) <= 300


def test_password_sign_in_can_be_switched_off(viewer: User, settings: Any) -> None:
    settings.ALLOW_EMAIL_LOGIN = False
    answer = grant(email=viewer.email, password=PASSWORD)

    assert outcome(answer) == (403, "forbidden")
    assert answer.json()["detail"] == "Sign-in with a password is switched off here."


def test_a_disabled_account_is_reported_only_after_the_right_password(viewer: User) -> None:
    users.disable_user(actor=SYSTEM, user=viewer)

    wrong = grant(email=viewer.email, password="wrong")
    right = grant(email=viewer.email, password=PASSWORD)
    assert (outcome(wrong), outcome(right)) == (
        (401, "bad_credentials"),
        (403, "account_disabled"),
    )


def test_an_unfinished_account_gets_no_tokens(make_user: MakeUser) -> None:
    user = make_user(setup_completed=False)

    answer = grant(email=user.email, password=PASSWORD)
    assert outcome(answer) == (403, "setup_pending")


def test_an_unverified_address_gets_a_mail_and_no_tokens(
    make_user: MakeUser, mails: Callable[[], list[OutboxMail]], settings: Any
) -> None:
    user = make_user(is_verified=False)
    answer = grant(email=user.email, password=PASSWORD)

    assert outcome(answer) == (403, "email_unverified")
    assert [mail.kind for mail in mails()] == ["verify-email"]
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    assert grant(email=user.email, password=PASSWORD).status_code == 200


def test_a_second_factor_is_asked_for_before_any_token(viewer: User, editor: User) -> None:
    app = set_up_app(editor)
    who = {"email": editor.email, "password": PASSWORD}

    assert outcome(grant(**who)) == (401, "otp_required")
    assert outcome(grant(**who, otp=app.wrong_code())) == (401, "otp_invalid")
    assert outcome(grant(**{**who, "password": "wrong"}, otp=app.code())) == (
        401,
        "bad_credentials",
    )
    assert TokenFamily.objects.count() == 0
    assert grant(**who, otp=app.code()).status_code == 200
    assert grant(email=viewer.email, password=PASSWORD).status_code == 200
    events = AuditEvent.objects.filter(action="account:session:start").order_by("seq")
    assert [(event.result, event.detail["methods"]) for event in events] == [
        ("refused", ["password", "otp"]),
        ("refused", ["password"]),
        ("success", ["password", "totp"]),
        ("success", ["password"]),
    ]


def test_a_recovery_code_gives_tokens_once(editor: User) -> None:
    code = set_up_app(editor).recovery_codes[0]
    who = {"email": editor.email, "password": PASSWORD, "otp": code}

    assert grant(**who).status_code == 200
    assert outcome(grant(**who)) == (401, "otp_invalid")


def test_code_guesses_are_limited_to_five_from_all_networks(editor: User) -> None:
    app = set_up_app(editor)
    who = {"email": editor.email, "password": PASSWORD}
    wrong = [outcome(grant(**who, otp=app.wrong_code())) for _try in range(6)]

    assert wrong == [(401, "otp_invalid")] * 5 + [(429, "rate_limited")]
    assert outcome(grant(**who, otp=app.code())) == (429, "rate_limited")


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_without_a_required_second_factor_there_are_no_tokens(
    make_user: MakeUser, role: str, settings: Any
) -> None:
    settings.MFA_REQUIRED_ROLES = ("owner", "admin")
    user = make_user(role)

    answer = grant(email=user.email, password=PASSWORD)

    assert outcome(answer) == (403, "second_factor_setup_required")
    assert TokenFamily.objects.count() == 0


def test_older_tokens_are_rejected_until_the_required_factor_exists(
    admin: User, settings: Any
) -> None:
    pair = grant(email=admin.email, password=PASSWORD).json()
    settings.MFA_REQUIRED_ROLES = ("admin",)
    refused = (403, "second_factor_setup_required")

    assert outcome(me(pair["access"])) == refused
    assert outcome(post("auth/token/refresh", {"refresh": pair["refresh"]})) == refused

    set_up_app(admin)
    assert me(pair["access"]).status_code == 200


def test_a_password_changed_in_the_same_moment_gives_no_tokens(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = password_grant.find_by_credentials

    def find_and_change(*credentials: Any) -> Any:
        found = find(*credentials)
        sessions.revoke_credentials(User.objects.get(pk=viewer.pk), "password changed")
        return found

    monkeypatch.setattr(password_grant, "find_by_credentials", find_and_change)

    assert outcome(grant(email=viewer.email, password=PASSWORD)) == (401, "bad_credentials")
    assert TokenFamily.objects.count() == 0


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Basic dXNlcjpwdw==", "Token {}", "{}", "Bearer  {}"),
        *(
            "Bearer {} {}",
            "Bearer {},Bearer {}",
            "Bearer {}, Bearer {}",
            "Bearer {}\t",
            "Bearer\t{}",
        ),
    ],
)
def test_anything_else_than_one_bearer_token_is_refused(viewer: User, header: str) -> None:
    access = sign_in(viewer)["access"]
    answer = bearer(header.replace("{}", access))

    assert outcome(answer) == (401, "token_invalid")
    assert answer["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(viewer: User, scheme: str) -> None:
    assert bearer(f"{scheme} {sign_in(viewer)['access']}").status_code == 200


def test_a_token_in_url_cookie_or_body_is_ignored(viewer: User) -> None:
    access = sign_in(viewer)["access"]
    client = Client()
    client.cookies["access"] = access

    assert outcome(client.get(f"{API}/me?access_token={access}")) == (401, "not_authenticated")


def test_role_and_address_are_read_from_the_database(viewer: User) -> None:
    access = sign_in(viewer)["access"]
    User.objects.filter(pk=viewer.pk).update(role="admin", email="new@example.com")

    assert me(access).json()["role"] == "admin"
    assert me(access).json()["email"] == "new@example.com"
    assert (
        Client().get(f"{API}/users", headers={"authorization": f"Bearer {access}"}).status_code
        == 200
    )


def test_a_token_needs_no_csrf_token(viewer: User) -> None:
    access = sign_in(viewer)["access"]
    answer = Client(enforce_csrf_checks=True).patch(
        f"{API}/me",
        '{"name": "Vera"}',
        content_type="application/json",
        headers={"authorization": f"Bearer {access}"},
    )

    assert (answer.status_code, answer.json()["name"]) == (200, "Vera")


def test_key_and_token_of_one_user_allow_what_both_allow(viewer: User, editor: User) -> None:
    access = sign_in(editor)["access"]
    key = made(editor).text

    def change(key: str, access: str) -> tuple[int, str]:
        headers = {"x-api-key": key, "authorization": f"Bearer {access}"}
        return outcome(
            Client().patch(f"{API}/me", "{}", content_type="application/json", headers=headers)
        )

    assert change(key, access) == (403, "forbidden")
    assert change(made(editor, scopes=["read", "write"]).text, access) == (200, "")
    assert change(made(viewer).text, access) == (401, "token_invalid")
    assert change(key, "wrong") == (401, "token_invalid")
    assert change("wrong", access) == (403, "api_key_invalid")


def test_a_token_beside_the_session_of_another_user_is_rejected(
    viewer: User, editor: User, browser_of: BrowserOf
) -> None:
    headers = {"authorization": f"Bearer {sign_in(viewer)['access']}"}

    assert browser_of(viewer).get(f"{API}/me", headers=headers).status_code == 200
    answer = browser_of(editor).get(f"{API}/me", headers=headers)
    assert outcome(answer) == (401, "token_invalid")


def test_both_credentials_can_be_required(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True
    browser = browser_of(viewer)
    access, key = sign_in(viewer)["access"], made(viewer).text
    with_token, with_key = {"authorization": f"Bearer {access}"}, {"x-api-key": key}

    for headers in ({}, with_token, with_key):
        answer = Client().get(f"{API}/me", headers=headers)
        assert outcome(answer) == (401, "not_authenticated")
    assert outcome(browser.get(f"{API}/me")) == (401, "not_authenticated")
    assert Client().get(f"{API}/me", headers={**with_token, **with_key}).status_code == 200


def test_the_refresh_token_can_be_a_cookie(viewer: User, settings: Any) -> None:
    client = Client()
    fields = {"email": viewer.email, "password": PASSWORD, "refresh_cookie": True}
    first = post("auth/token", fields, client)

    cookie = first.cookies[COOKIE]
    assert "refresh" not in first.json()
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert (cookie["secure"], cookie["max-age"]) == ("", 7 * 24 * 3600)
    second = post("auth/token/refresh", {}, client)
    assert second.status_code == 200
    assert "refresh" not in second.json()
    assert second.cookies[COOKIE].value != cookie.value
    settings.IS_HTTPS = True
    assert post("auth/token/refresh", {}, client).cookies[COOKIE]["secure"] is True


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (200, "")),
        ({"origin": "http://localhost:8000"}, (200, "")),
        ({"origin": "http://localhost:8000", "sec_fetch_site": "same-origin"}, (200, "")),
        ({"sec_fetch_site": "same-origin"}, (200, "")),
        ({"origin": "https://app.example.com", "sec_fetch_site": "same-site"}, (200, "")),
        ({"origin": "https://evil.example"}, (403, "csrf_failed")),
        ({"origin": "null"}, (403, "csrf_failed")),
        ({"origin": ""}, (403, "csrf_failed")),
        ({"origin": "http://localhost:8000.evil.example"}, (403, "csrf_failed")),
        ({"origin": "http://localhost:8001"}, (403, "csrf_failed")),
        ({"sec_fetch_site": "same-site"}, (403, "csrf_failed")),
        ({"sec_fetch_site": "cross-site"}, (403, "csrf_failed")),
        ({"sec_fetch_site": "none"}, (403, "csrf_failed")),
    ],
)
def test_the_cookie_is_accepted_only_from_the_same_origin(
    viewer: User, settings: Any, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["http://localhost:8000", "https://app.example.com"]
    client = Client()
    client.cookies[COOKIE] = sign_in(viewer)["refresh"]

    for path, right in (("refresh", expected), ("revoke", expected)):
        answer = post(f"auth/token/{path}", {}, client, **headers)
        assert outcome(answer) == (right if path == "refresh" or right[0] == 403 else (204, ""))


def test_a_cross_site_form_cannot_use_the_cookie(viewer: User) -> None:
    client = Client()
    client.cookies[COOKIE] = sign_in(viewer)["refresh"]
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.generic("POST", f"{API}/auth/token/refresh", b"", content_type=kind)
        assert outcome(answer) == (415, "unsupported_media_type")


def test_a_refresh_without_any_token_is_asked_to_sign_in() -> None:
    assert outcome(post("auth/token/refresh", {})) == (401, "not_authenticated")
    assert outcome(post("auth/token/revoke", {})) == (401, "not_authenticated")


@pytest.mark.parametrize("by", ["body", "bearer", "cookie", "spent"])
def test_signing_out_ends_the_family_at_once(viewer: User, by: str) -> None:
    other = sign_in(viewer)
    body = sign_in(viewer)
    client = Client()
    match by:
        case "body":
            answer = post("auth/token/revoke", {"refresh": body["refresh"]})
        case "spent":
            refreshed(body["refresh"])
            answer = post("auth/token/revoke", {"refresh": body["refresh"]})
        case "bearer":
            answer = post("auth/token/revoke", {}, authorization=f"Bearer {body['access']}")
        case "cookie":
            client.cookies[COOKIE] = body["refresh"]
            answer = post("auth/token/revoke", {}, client)
            assert client.cookies[COOKIE].value == ""

    assert (answer.status_code, answer.content) == (204, b"")
    assert outcome(me(body["access"])) == (401, "token_invalid")
    assert outcome(refreshed(body["refresh"])) == (401, "token_invalid")
    assert me(other["access"]).status_code == 200
    (event,) = AuditEvent.objects.filter(action="api:token:end")
    assert event.target_id == viewer.pk


def test_signing_out_with_an_invalid_token_is_no_error(viewer: User, at_time: AtTime) -> None:
    body = sign_in(viewer)
    for wrong in ("x", "", body["refresh"][:-4] + "AAAA", "a" * 9000):
        answer = post("auth/token/revoke", {"refresh": wrong or "-"})
        assert answer.status_code == (402 if len(wrong) > 8192 else 204)
    assert post("auth/token/revoke", {}, authorization="Bearer wrong").status_code == 204
    for _ in range(2):
        assert post("auth/token/revoke", {"refresh": body["refresh"]}).status_code == 204
    at_time(timedelta(days=8))
    assert post("auth/token/revoke", {"refresh": body["refresh"]}).status_code == 204
    assert AuditEvent.objects.filter(action="api:token:end").count() == 1


def test_signing_out_everywhere_ends_browsers_and_programs(
    viewer: User, browser_of: BrowserOf
) -> None:
    browser, first, second = browser_of(viewer), sign_in(viewer), sign_in(viewer)
    key = made(viewer).text

    answer = post("auth/token/revoke", {"refresh": first["refresh"], "everywhere": True})

    assert answer.status_code == 204
    assert BrowserSession.objects.count() == 0
    assert outcome(browser.get(f"{API}/me")) == (401, "not_authenticated")
    for body in (first, second):
        assert outcome(me(body["access"])) == (401, "token_invalid")
        assert outcome(refreshed(body["refresh"])) == (401, "token_invalid")
    answer = Client().get(f"{API}/me", headers={"x-api-key": key})
    assert answer.status_code == 200  # a script is no device; docs/api-keys.md


def test_signing_out_everywhere_needs_a_valid_credential(
    viewer: User, browser_of: BrowserOf
) -> None:
    body = sign_in(viewer)
    everywhere = {"everywhere": True}

    assert outcome(post("auth/token/revoke", everywhere)) == (401, "not_authenticated")
    assert outcome(post("auth/token/revoke", {**everywhere, "refresh": "x"})) == (
        401,
        "token_invalid",
    )
    key = made(viewer).text
    assert outcome(post("auth/token/revoke", everywhere, x_api_key=key)) == (403, "forbidden")
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = browser_of(viewer).cookies
    assert outcome(post("auth/token/revoke", everywhere, browser)) == (403, "csrf_failed")
    assert me(body["access"]).status_code == 200
    assert (
        post("auth/token/revoke", everywhere, authorization=f"Bearer {body['access']}").status_code
        == 204
    )
    assert outcome(me(body["access"])) == (401, "token_invalid")


def test_a_browser_session_gets_tokens_that_end_with_it(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    browser = browser_of(viewer)
    answer = call(browser, "POST", "auth/token/session", {})

    assert answer.status_code == 200
    body = answer.json()
    session = BrowserSession.objects.get()
    assert TokenFamily.objects.get().session_id == session.public_id
    assert body["refresh_expires_in"] <= settings.SESSION_ABSOLUTE_TIMEOUT.total_seconds()
    assert me(body["access"]).status_code == 200
    second = refreshed(body["refresh"]).json()
    sessions.end_own_session(viewer, session.public_id)
    for access in (body["access"], second["access"]):
        assert outcome(me(access)) == (401, "token_invalid")
    assert outcome(refreshed(second["refresh"])) == (401, "token_invalid")


def test_tokens_of_a_session_share_its_timeouts(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.REFRESH_TOKEN_EXPIRY = timedelta(days=300)
    body = call(browser_of(viewer), "POST", "auth/token/session", {}).json()
    family = TokenFamily.objects.get()
    session = BrowserSession.objects.get()

    assert family.expires_at == session.created_at + settings.SESSION_ABSOLUTE_TIMEOUT
    BrowserSession.objects.update(expire_date=timezone.now())
    assert outcome(me(body["access"])) == (401, "token_invalid")


def test_session_tokens_need_the_session_and_a_csrf_token(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True
    access, key = sign_in(viewer)["access"], made(viewer).text
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser_of(viewer).cookies

    for headers in ({}, {"authorization": f"Bearer {access}"}, {"x_api_key": key}):
        answer = post("auth/token/session", {}, **headers)
        assert outcome(answer) == (401, "not_authenticated")
    assert outcome(post("auth/token/session", {}, strict)) == (403, "csrf_failed")


def test_a_browser_gets_tokens_even_if_both_credentials_are_required(
    viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    browser = browser_of(viewer)
    settings.REQUIRE_API_KEY_AND_TOKEN = True

    answer = post("auth/token/session", {"refresh_cookie": True}, browser)

    assert answer.status_code == 200
    assert COOKIE in answer.cookies
    assert "refresh" not in answer.json()


def test_the_key_set_is_public_and_cacheable(stranger: Client, settings: Any) -> None:
    answer = stranger.get("/.well-known/jwks.json")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "public, max-age=300"
    assert answer["Access-Control-Allow-Origin"] == "*"
    (key,) = answer.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    again = stranger.get("/.well-known/jwks.json", headers={"if-none-match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = stranger.head("/.well-known/jwks.json")
    assert (head.status_code, head["ETag"]) == (200, answer["ETag"])
    wrong = stranger.post("/.well-known/jwks.json")
    assert (outcome(wrong), wrong["Allow"]) == ((405, "method_not_allowed"), "GET, HEAD")
    signing_keys.rotate(actor=SYSTEM)
    after = stranger.get("/.well-known/jwks.json", headers={"if-none-match": answer["ETag"]})
    assert (after.status_code, len(after.json()["keys"])) == (200, 2)
    settings.JWT_SECRET = "a-secret-for-tests-of-hs256-only-0123456789"
    assert stranger.get("/.well-known/jwks.json").json() == {"keys": []}
