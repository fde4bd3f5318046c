"""A sign-in to an app from the first request to the claims: OpenID's basic and form_post plans.

The official suite cannot run here. Each test names the modules whose conditions it checks.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from oidc_provider.models import AuthorizationCode, Grant, PushedRequest
from tests.conftest import PASSWORD
from tests.oidc_provider.relying_party import (
    AUTHORIZE,
    CALLBACK,
    TOKEN,
    RelyingParty,
    answer_of,
    decide,
    make_client,
)

pytestmark = pytest.mark.django_db
ISSUER = "http://localhost:8000"


def verified(party: RelyingParty, text: str) -> dict[str, Any]:
    """The claims of an ID token, verified with the published keys as an app does."""
    keys = jwt.PyJWKSet.from_dict(party.http.get("/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(text)
    claims: dict[str, Any] = jwt.decode(
        text,
        keys[header["kid"]],
        algorithms=["ES256"],
        audience=party.app.client_id,
        issuer=ISSUER,
        # The clock of the tests is ahead; see at_time.
        options={"require": ["sub", "aud", "exp", "iat", "auth_time"], "verify_iat": False},
    )
    return claims


def test_a_sign_in_gives_tokens_and_claims(
    party: RelyingParty, browser: Client, viewer: User
) -> None:
    """oidcc-server, oidcc-idtoken-signature, oidcc-userinfo-get, oidcc-userinfo-post-header,
    oidcc-userinfo-post-body, oidcc-ensure-request-with-valid-pkce-succeeds, oidcc-scope-profile,
    -email, oidcc-scope-all, oidcc-ensure-request-with-unknown-parameter-succeeds,
    oidcc-ensure-other-scope-order-succeeds."""
    started = int(time.time())
    answer = answer_of(
        party.authorize(browser, scope="address groups email profile openid", extra="unknown")
    )
    assert {name: answer[name] for name in ("state", "iss")} == {"state": "a state", "iss": ISSUER}
    tokens = party.redeem(answer["code"])

    assert tokens.status_code == 200
    assert (tokens["Cache-Control"], tokens["Access-Control-Allow-Origin"]) == ("no-store", "*")
    given = tokens.json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 900)
    assert given["scope"] == "openid profile email groups"
    claims = verified(party, given["id_token"])
    assert started - 2 <= claims.pop("auth_time") <= claims.pop("iat") <= time.time()
    assert claims.pop("at_hash")
    assert claims.pop("sid")
    about = {
        "sub": str(viewer.pk),
        "name": "Vera Viewer",
        "preferred_username": "vera",
        "locale": "en",
        "email": "viewer@example.com",
        "email_verified": True,
        "groups": ["viewer"],
    }
    assert claims == {
        **about,
        "iss": ISSUER,
        "aud": party.app.client_id,
        "exp": claims["exp"],
        "nonce": "a nonce",
        "amr": ["pwd"],
        "acr": "urn:gatehouse:acr:1fa",
    }
    for told in (
        party.userinfo(given["access_token"]),
        party.post("/openid/userinfo", {}, authorization=f"Bearer {given['access_token']}"),
        party.post("/openid/userinfo", {"access_token": given["access_token"]}),
    ):
        assert (told.status_code, told.json()) == (200, about)
    event = AuditEvent.objects.get(action="openid:sign-in:start")
    assert (event.actor_id, event.detail["name"]) == (viewer.pk, "Wiki")


def test_claims_follow_the_scope_and_no_token_is_in_the_database(
    party: RelyingParty, browser: Client, viewer: User
) -> None:
    code = party.code(browser, scope="openid")
    row = AuthorizationCode.objects.get()
    assert code not in str(vars(row))

    tokens = party.redeem(code).json()

    assert party.userinfo(tokens["access_token"]).json() == {"sub": str(viewer.pk)}
    assert "email" not in verified(party, tokens["id_token"])
    grant = Grant.objects.get()
    for kind in ("access_token", "refresh_token"):
        assert tokens[kind] not in str(vars(grant))
        assert tokens[kind].split("_", 4)[4] not in str(vars(grant))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),  # oidcc-response-type-missing
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"request": "a.b.c"}, "request_not_supported"),  # oidcc-unsigned-request-object-…
        ({"request_uri": "https://a.example"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),  # RFC 7636: would mean plain
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"nonce": ["a", "b"]}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_told_to_the_app(
    party: RelyingParty, browser: Client, changes: dict[str, Any], error: str
) -> None:
    answer = answer_of(party.authorize(browser, **changes))

    assert (answer["error"], answer["state"], answer["iss"]) == (error, "a state", ISSUER)
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "app_unknown"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": f"{CALLBACK}/"},  # oidcc-ensure-registered-redirect-uri
        {"redirect_uri": f"{CALLBACK}?more=1"},  # oidcc-redirect-uri-query-added
        {"redirect_uri": CALLBACK.replace("https", "http")},
        {"redirect_uri": CALLBACK.replace("wiki.example.com", "wiki.example.com:444")},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": [CALLBACK, "https://evil.example/"]},
        {"client_id": ["app_unknown", "app_other"]},
        {"state": "s" * 8000},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_proven(
    party: RelyingParty, browser: Client, changes: dict[str, Any]
) -> None:
    """oidcc-ensure-redirect-uri-in-authorization-request, RFC 9700 section 4.1.3."""
    answer = party.authorize(browser, **changes)

    assert answer.status_code == 400
    assert "Location" not in answer
    assert b"http-equiv" not in answer.content


def test_null_characters_are_refused_before_the_database_sees_them(
    party: RelyingParty, browser: Client
) -> None:
    """PostgreSQL raises for them, also where it only compares; SQLite does not."""
    for name in ("client_id", "redirect_uri", "nonce", "state", "login_hint"):
        answer = party.authorize(browser, **{name: "x\0"})
        assert (answer.status_code, b"null character" in answer.content) == (400, True), name
    left = browser.get("/openid/end-session", {"client_id": "x\0"})
    assert (left.status_code, b"null character" in left.content) == (400, True)
    for path in ("/openid/par", TOKEN, "/openid/device-authorization", "/openid/revoke"):
        told = party.post(path, party.parameters(client_id="x\0", grant_type="refresh_token"))
        assert (told.status_code, told.json()["error"]) == (400, "invalid_request"), path
    assert not AuthorizationCode.objects.exists()
    assert not PushedRequest.objects.exists()


def test_an_app_that_is_no_client_any_more_gets_nothing(
    party: RelyingParty, browser: Client
) -> None:
    code = party.code(browser)
    tokens = party.sign_in(browser)
    party.app.openid_kind = ""
    party.app.save()

    assert party.authorize(browser).status_code == 400
    assert party.redeem(code).status_code == 401
    assert party.userinfo(tokens["access_token"]).status_code == 401


def test_the_user_signs_in_on_the_way_and_a_page_leads_back(
    party: RelyingParty, stranger: Client, viewer: User
) -> None:
    """oidcc-server, oidcc-login-hint. The CSP forbids a redirect to the app after a form."""
    first = party.authorize(stranger, login_hint="viewer@example.com")
    assert (first.status_code, urlsplit(first["Location"]).path) == (303, "/sign-in")
    page = stranger.get(first["Location"])
    assert b'value="viewer@example.com"' in page.content
    (back,) = parse_qs(urlsplit(first["Location"]).query)["next"]

    done = stranger.post("/sign-in", {"login": viewer.email, "password": PASSWORD, "next": back})
    answer = stranger.get(done["Location"])

    assert answer.status_code == 200
    assert party.redeem(answer_of(answer)["code"]).status_code == 200


def test_form_post_brings_the_answer_in_a_form(party: RelyingParty, browser: Client) -> None:
    """The plan oidcc-formpost-basic: the same answers, by POST."""
    page = party.authorize(browser, response_mode="form_post")
    answer = answer_of(page)

    assert (page.status_code, answer["state"], answer["iss"]) == (200, "a state", ISSUER)
    assert "form-action 'self' https://wiki.example.com;" in page["Content-Security-Policy"]
    assert party.redeem(answer["code"]).status_code == 200
    refused = party.authorize(browser, response_mode="form_post", prompt="none", max_age="x")
    assert answer_of(refused)["error"] == "invalid_request"


def test_a_request_by_post_goes_on_as_a_get(party: RelyingParty, browser: Client) -> None:
    """Core, section 3.1.2.1; oidcc-ensure-post-request-succeeds."""
    strict = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    moved = strict.post(AUTHORIZE, party.parameters())

    assert moved.status_code == 303
    assert "code" in answer_of(browser.get(moved["Location"]))


@pytest.mark.parametrize("path", ["/openid/authorize", "/openid/end-session"])
def test_a_request_by_post_brings_no_other_field_into_the_url(browser: Client, path: str) -> None:
    sent = {"client_id": "a", "csrfmiddlewaretoken": "secret"}

    answer = browser.post(path, sent)

    assert answer["Location"] == f"{path}?client_id=a"


def test_prompt_none_never_shows_a_page(
    party: RelyingParty, stranger: Client, browser: Client, editor: User
) -> None:
    """oidcc-prompt-none-not-logged-in, -logged-in, oidcc-id-token-hint, RFC 9700 section 4.11."""
    assert answer_of(party.authorize(stranger, prompt="none"))["error"] == "login_required"
    tokens = party.sign_in(browser, prompt="none")
    hinted = party.authorize(browser, prompt="none", id_token_hint=tokens["id_token"])
    assert "code" in answer_of(hinted)
    for hint in ("no.token.atall", tokens["access_token"]):
        other = party.authorize(browser, prompt="none", id_token_hint=hint)
        assert answer_of(other)["error"] == "login_required"
    party.app.is_trusted = False
    party.app.save()
    assert answer_of(party.authorize(browser, prompt="none"))["error"] == "consent_required"


def test_prompt_login_asks_again_and_once(
    party: RelyingParty, browser: Client, viewer: User, at_time: Callable[[timedelta], Any]
) -> None:
    """oidcc-prompt-login, oidcc-max-age-1, oidcc-max-age-10000."""
    first = verified(party, party.sign_in(browser, max_age="10000")["id_token"])
    changed = ({"prompt": "login"}, {"max_age": "1"}, {"max_age": "0"})
    for minutes, changes in enumerate(changed, start=1):
        at_time(timedelta(minutes=minutes))
        asked = party.authorize(browser, **changes)
        assert (asked.status_code, urlsplit(asked["Location"]).path) == (303, "/confirm")
        (back,) = parse_qs(urlsplit(asked["Location"]).query)["next"]
        # Whoever goes back without an authentication is asked again.
        assert browser.get(back)["Location"].startswith("/confirm?")
        silent = party.authorize(browser, prompt="none", max_age=changes.get("max_age", "0"))
        assert answer_of(silent)["error"] == "login_required"

        done = browser.post("/confirm", {"password": PASSWORD, "next": back})
        answer = answer_of(browser.get(done["Location"]))

        again = verified(party, party.redeem(answer["code"]).json()["id_token"])
        assert again["auth_time"] > first["auth_time"] + 50


def test_the_mark_of_a_sign_in_is_bound_to_its_request(
    party: RelyingParty, browser: Client
) -> None:
    """A request cannot borrow the mark of another one, nor invent one."""
    asked = party.authorize(browser, prompt="login")
    (back,) = parse_qs(urlsplit(asked["Location"]).query)["next"]
    (mark,) = parse_qs(urlsplit(back).query)["gatehouse_step"]

    for forged in (mark, "x", "eyJ:1:y"):
        answer = party.authorize(browser, prompt="login", state="other", gatehouse_step=forged)
        assert urlsplit(answer["Location"]).path == "/confirm"


def test_consent_is_asked_once_and_remembered_for_what_was_allowed(
    browser: Client, viewer: User
) -> None:
    """oidcc-prompt-consent, oidcc-user-denies-consent. Nothing is given before the form is sent."""
    party = RelyingParty(make_client(is_trusted=False))
    page = party.authorize(browser, scope="openid email")
    assert page.status_code == 200
    assert b"see your email address" in page.content
    assert b"see your name" not in page.content
    denied = answer_of(decide(browser, page, "deny"))
    assert (denied["error"], denied["state"]) == ("access_denied", "a state")
    assert not AuthorizationCode.objects.exists()

    allowed = decide(browser, page, "allow")
    assert party.redeem(answer_of(allowed)["code"]).status_code == 200

    assert party.authorize(browser, scope="openid email").status_code == 303
    assert party.authorize(browser, scope="openid").status_code == 303
    assert b"see your name" in party.authorize(browser, scope="openid profile").content
    asked = party.authorize(browser, scope="openid email", prompt="consent")
    assert b"see your email address" in asked.content


def test_the_form_of_consent_is_believed_in_nothing(
    browser: Client, viewer: User, editor: User, browser_of: Callable[[User], Client]
) -> None:
    """Changed fields, another account, another site: the question is asked anew, or refused."""
    party = RelyingParty(make_client(is_trusted=False))
    page = party.authorize(browser)
    other = browser_of(editor)
    moved = decide(other, page, "allow")
    assert (moved.status_code, urlsplit(moved["Location"]).path) == (303, AUTHORIZE)
    foreign = {"request": "client_id=app_x&redirect_uri=https://evil.example", "choice": "allow"}
    refused = browser.post("/openid/consent", {**foreign, "account": str(viewer.pk)})
    assert refused.status_code == 400
    strict = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert decide(strict, page, "allow").status_code == 403
    assert not AuthorizationCode.objects.exists()


def test_select_account_shows_who_is_signed_in(party: RelyingParty, browser: Client) -> None:
    page = party.authorize(browser, prompt="select_account", ui_locales="xx de")

    assert page.status_code == 200
    assert b"viewer@example.com" in page.content
    assert b"/sign-out?next=" in page.content
    assert b'lang="de"' in page.content
    assert "code" in answer_of(decide(browser, page, "allow"))


def test_an_answer_goes_behind_the_parameters_of_the_address(browser: Client) -> None:
    """oidcc-redirect-uri-query-OK."""
    uri = f"{CALLBACK}?tenant=1"
    party = RelyingParty(make_client(redirect_uris=[CALLBACK, uri]))

    location = party.authorize(browser, redirect_uri=uri)["Location"]

    assert location.startswith(f"{uri}&code=")


def test_a_program_takes_any_port_of_this_machine_and_its_own_scheme(browser: Client) -> None:
    """RFC 8252, sections 7.1 and 7.3. A web app gets no such port."""
    uris = ["http://127.0.0.1/back", "com.example.wiki:/back"]
    party = RelyingParty(make_client("native", redirect_uris=uris))
    for uri in ("http://127.0.0.1:49152/back", "com.example.wiki:/back"):
        assert party.authorize(browser, redirect_uri=uri)["Location"].startswith(f"{uri}?code=")
    for uri in ("http://127.0.0.1:1/other", "http://localhost:1/back", "http://127.0.0.1:x/back"):
        assert party.authorize(browser, redirect_uri=uri).status_code == 400
    page = RelyingParty(make_client("spa", redirect_uris=["http://127.0.0.1/back"]))
    assert page.authorize(browser, redirect_uri="http://127.0.0.1:9/back").status_code == 400


def test_with_a_shared_secret_nobody_signs_in_to_apps(
    party: RelyingParty, browser: Client, settings: Any
) -> None:
    settings.JWT_SECRET = "a shared secret of at least 32 characters"

    assert party.authorize(browser).status_code == 400
    assert party.http.get("/.well-known/openid-configuration").status_code == 404
