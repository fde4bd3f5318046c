"""OpenID's certification plans, module by module; docs/openid-conformance.md has the lists.

The official suite cannot run here. Its modules of the basic plan run in the plan of form_post, too:
so does each test here, by redirect and by form. The app has a secret, as in these plans.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from django.test import Client

from accounts.models import User
from oidc_provider.models import AuthorizationCode
from oidc_provider.scopes import OPENID
from tests.api.calls import call
from tests.conftest import PASSWORD
from tests.oidc_provider.relying_party import (
    AFTER,
    AUTHORIZE,
    CALLBACK,
    CHALLENGE,
    TOKEN,
    VERIFIER,
    RelyingParty,
    answer_of,
    make_client,
)
from tests.oidc_provider.test_logout import END, confirm
from tests.oidc_provider.test_sign_in import ISSUER, verified

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], Any]
# What each scope opens, of the viewer of these tests.
OPENS: dict[str, dict[str, Any]] = {
    "profile": {"name": "Vera Viewer", "preferred_username": "vera", "locale": "en"},
    "email": {"email": "viewer@example.com", "email_verified": True},
}
PKCE = {"code_challenge": CHALLENGE.decode(), "code_challenge_method": "S256"}
ESSENTIAL = json.dumps({"userinfo": {"name": {"essential": True}}})
# The parameters that a module changes in a request that succeeds. Scopes that are not known here
# are left out of the answer (RFC 6749, section 3.3).
SUCCEEDS: dict[str, dict[str, Any]] = {
    "oidcc-server": {},
    "oidcc-idtoken-signature": {},
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow": {"nonce": None},
    "oidcc-scope-profile": {"scope": "openid profile"},
    "oidcc-scope-email": {"scope": "openid email"},
    "oidcc-scope-address": {"scope": "openid address"},
    "oidcc-scope-phone": {"scope": "openid phone"},
    "oidcc-scope-all": {"scope": "openid profile email address phone"},
    "oidcc-alternate-happy-flow": {"scope": "email openid"},
    "oidcc-display-page": {"display": "page"},
    "oidcc-display-popup": {"display": "popup"},
    "oidcc-ensure-request-with-unknown-parameter-succeeds": {"extra": "foobar"},
    "oidcc-login-hint": {"login_hint": "viewer@example.com"},
    "oidcc-ui-locales": {"ui_locales": "se"},
    "oidcc-claims-locales": {"claims_locales": "se"},
    "oidcc-ensure-request-with-acr-values-succeeds": {"acr_values": "1 2"},
    "oidcc-ensure-request-with-valid-pkce-succeeds": PKCE,
}
# The error of a request that a module expects to be refused, and the parameters that it changes.
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "oidcc-response-type-missing": ("invalid_request", {"response_type": None}),
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported": (
        "request_uri_not_supported",
        {"request_uri": "https://wiki.example.com/request.jwt"},
    ),
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": (
        "request_not_supported",
        {"request": "eyJhbGciOiJub25lIn0.e30."},
    ),
    "oidcc-ensure-request-object-with-redirect-uri": (
        "request_not_supported",
        {"request": "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9."},
    ),
}
# The second request of a module, answered without a question about the first sign-in.
SILENT: dict[str, dict[str, Any]] = {
    "oidcc-prompt-none-logged-in": {"prompt": "none"},
    "oidcc-id-token-hint": {"prompt": "none", "id_token_hint": "of the first"},
    "oidcc-max-age-10000": {"max_age": "10000"},
}
ASKED_AGAIN = {"oidcc-prompt-login": {"prompt": "login"}, "oidcc-max-age-1": {"max_age": "1"}}
# What an app sends to sign its user out, and what it gets back.
RETURNS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "oidcc-rp-initiated-logout": ({"state": "s"}, {"state": "s"}),
    "oidcc-rp-initiated-logout-no-state": ({}, {}),
}
STAYS = {
    "oidcc-rp-initiated-logout-no-params": (),
    "oidcc-rp-initiated-logout-only-state": ("state",),
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": ("state", "id_token_hint"),
}
LEADS_NOWHERE = {
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": (
        "post_logout_redirect_uri", lambda _party, _hint: f"{AFTER}/bad",
    ),
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": (
        "post_logout_redirect_uri", lambda _party, _hint: f"{AFTER}?foo=bar",
    ),
    "oidcc-rp-initiated-logout-modified-id-token-hint": (
        "id_token_hint", lambda _party, hint: without_signature(hint),
    ),
    "oidcc-rp-initiated-logout-bad-id-token-hint": (
        "id_token_hint", lambda party, hint: signed_by_the_app(party, hint),
    ),
    "oidcc-rp-initiated-logout-no-id-token-hint": ("id_token_hint", lambda _party, _hint: None),
}  # fmt: skip


class Suite:
    """The app of a plan, and the browser of its user. mode: by which answers come back."""

    def __init__(self, party: RelyingParty, browser: Client, mode: str) -> None:
        self.party, self.browser, self.mode = party, browser, mode

    def ask(self, browser: Client | None = None, **changes: Any) -> Any:
        """The page or redirect after a request; without PKCE, which these plans do not send."""
        given = {"scope": "openid", "code_challenge": None, "code_challenge_method": None}
        mode = {} if self.mode == "query" else {"response_mode": self.mode}
        return self.party.authorize(browser or self.browser, **{**given, **mode, **changes})

    def told(self, page: Any) -> dict[str, str]:
        """The answer, which comes in the way that was asked for."""
        assert page.status_code == (303 if self.mode == "query" else 200)
        answer = answer_of(page)
        assert (answer.pop("state"), answer.pop("iss")) == ("a state", ISSUER)
        return answer

    def tokens(self, page: Any, **more: str) -> dict[str, Any]:
        """What the code of an answer is worth, with the secret as Basic."""
        answer = answer_of(page)
        assert sorted(answer) == ["code", "iss", "state"]
        given = self.party.post(
            TOKEN,
            {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": CALLBACK,
             **more},
            authorization=basic(self.party),
        )  # fmt: skip
        assert (given.status_code, given["Cache-Control"]) == (200, "no-store"), given.content
        tokens: dict[str, Any] = given.json()
        assert tokens["token_type"] == "Bearer"
        return tokens

    def sign_in(self, **changes: Any) -> dict[str, Any]:
        return self.tokens(self.ask(**changes))

    def claims(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """Of the ID token: the signature, iss, aud, exp and at_hash are right."""
        assert jwt.get_unverified_header(tokens["id_token"])["kid"]
        found = verified(self.party, tokens["id_token"])
        half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
        assert found["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        return found


def basic(party: RelyingParty) -> str:
    pair = f"{party.app.client_id}:{party.secret}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


@pytest.fixture
def web(owner: User) -> RelyingParty:
    return RelyingParty(make_client("web"), owner)


@pytest.fixture(params=["query", "form_post"])
def suite(request: pytest.FixtureRequest, web: RelyingParty, browser: Client) -> Suite:
    return Suite(web, browser, request.param)


@pytest.mark.parametrize("module", SUCCEEDS)
def test_a_request_succeeds(suite: Suite, viewer: User, module: str) -> None:
    """The answer, the tokens, the ID token and userinfo are as the request asked."""
    changes = SUCCEEDS[module]
    suite.told(suite.ask(**changes))
    verifier = {"code_verifier": VERIFIER} if "code_challenge" in changes else {}

    tokens = suite.tokens(suite.ask(**changes), **verifier)

    scopes = changes.get("scope", "openid").split()
    known = [name for name in scopes if name in (OPENID, *OPENS)]
    assert sorted(tokens["scope"].split()) == sorted(known)
    about = {"sub": str(viewer.pk)}
    for name in known:
        about |= OPENS.get(name, {})
    told = suite.party.userinfo(tokens["access_token"])
    assert (told.status_code, told.json()) == (200, about)
    claims = suite.claims(tokens)
    assert claims["sub"] == about["sub"]
    assert claims.get("nonce") == changes.get("nonce", "a nonce")


@pytest.mark.parametrize("module", REFUSED)
def test_a_request_is_refused(suite: Suite, module: str) -> None:
    error, changes = REFUSED[module]

    answer = suite.told(suite.ask(**changes))

    assert answer["error"] == error
    assert "code" not in answer
    assert not AuthorizationCode.objects.exists()


def test_oidcc_prompt_none_not_logged_in(suite: Suite, stranger: Client) -> None:
    """oidcc-prompt-none-not-logged-in"""
    assert suite.told(suite.ask(stranger, prompt="none")) == {"error": "login_required"}


@pytest.mark.parametrize("module", SILENT)
def test_a_second_request_is_answered_at_once(suite: Suite, module: str, at_time: AtTime) -> None:
    """About the same sign-in: the same sub and auth_time."""
    first = suite.sign_in(max_age="15000")
    at_time(timedelta(minutes=5))
    changes = dict(SILENT[module])
    if "id_token_hint" in changes:
        changes["id_token_hint"] = first["id_token"]

    second = suite.sign_in(**changes)

    before, after = suite.claims(first), suite.claims(second)
    assert (after["sub"], after["auth_time"]) == (before["sub"], before["auth_time"])
    assert second["access_token"] != first["access_token"]


@pytest.mark.parametrize("module", ASKED_AGAIN)
def test_the_user_authenticates_again(suite: Suite, module: str, at_time: AtTime) -> None:
    before = suite.claims(suite.sign_in())
    at_time(timedelta(minutes=1))
    asked = suite.ask(**ASKED_AGAIN[module])
    assert (asked.status_code, urlsplit(asked["Location"]).path) == (303, "/confirm")
    (back,) = parse_qs(urlsplit(asked["Location"]).query)["next"]

    done = suite.browser.post("/confirm", {"password": PASSWORD, "next": back})
    after = suite.claims(suite.tokens(suite.browser.get(done["Location"])))

    assert after["sub"] == before["sub"]
    assert 50 < after["auth_time"] - before["auth_time"] < 120


@pytest.mark.parametrize(
    "module", ["oidcc-userinfo-get", "oidcc-userinfo-post-header", "oidcc-userinfo-post-body"]
)
def test_userinfo_is_told(suite: Suite, viewer: User, module: str) -> None:
    access = suite.sign_in()["access_token"]
    header = {"authorization": f"Bearer {access}"}
    ways: dict[str, Callable[[], Any]] = {
        "get": lambda: suite.party.userinfo(access),
        "post-header": lambda: suite.party.post("/openid/userinfo", {}, **header),
        "post-body": lambda: suite.party.post("/openid/userinfo", {"access_token": access}),
    }

    told = ways[module.removeprefix("oidcc-userinfo-")]()

    assert (told.status_code, told.json()) == (200, {"sub": str(viewer.pk)})
    assert told["Content-Type"] == "application/json"


def test_oidcc_claims_essential(suite: Suite, viewer: User) -> None:
    """oidcc-claims-essential"""
    access = suite.sign_in(claims=ESSENTIAL)["access_token"]

    told = suite.party.userinfo(access).json()

    assert told == {"sub": str(viewer.pk), "name": "Vera Viewer"}


@pytest.mark.parametrize("module", ["oidcc-codereuse", "oidcc-codereuse-30seconds"])
def test_a_code_works_once(suite: Suite, module: str, at_time: AtTime) -> None:
    """The second use ends the access token of the first, also after half a minute."""
    page = suite.ask()
    access = suite.tokens(page)["access_token"]
    assert suite.party.userinfo(access).status_code == 200
    at_time(timedelta(seconds=30 if "30" in module else 0))

    again = suite.party.redeem(answer_of(page)["code"], code_verifier=None)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert suite.party.userinfo(access).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(suite: Suite) -> None:
    """oidcc-ensure-registered-redirect-uri"""
    page = suite.ask(redirect_uri=f"{CALLBACK}/XYZ")

    assert page.status_code == 400
    assert CALLBACK.encode() not in page.content


def test_oidcc_ensure_post_request_succeeds(suite: Suite, viewer: User) -> None:
    """oidcc-ensure-post-request-succeeds"""
    fields = suite.party.parameters(
        scope="openid", code_challenge=None, code_challenge_method=None, response_mode=suite.mode
    )
    moved = suite.browser.post(AUTHORIZE, fields)
    assert (moved.status_code, urlsplit(moved["Location"]).path) == (303, AUTHORIZE)

    tokens = suite.tokens(suite.browser.get(moved["Location"]))

    assert suite.claims(tokens)["sub"] == str(viewer.pk)


def test_oidcc_server_client_secret_post(suite: Suite, viewer: User) -> None:
    """oidcc-server-client-secret-post"""
    given = suite.party.redeem(answer_of(suite.ask())["code"], code_verifier=None)

    assert given.status_code == 200
    assert suite.claims(given.json())["sub"] == str(viewer.pk)


def test_oidcc_refresh_token(suite: Suite, owner: User) -> None:
    """oidcc-refresh-token: a new ID token about the same sign-in; another app gets nothing."""
    first = suite.sign_in(scope="openid offline_access")
    before = suite.claims(first)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    other = RelyingParty(make_client("web", name="Other"), owner)
    stolen = other.post(TOKEN, form, authorization=basic(other))
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")

    given = suite.party.post(TOKEN, form, authorization=basic(suite.party))

    assert given.status_code == 200
    after = suite.claims(given.json())
    for name in ("iss", "sub", "aud", "auth_time", "sid"):
        assert after[name] == before[name]
    assert "nonce" not in after
    assert suite.party.userinfo(given.json()["access_token"]).status_code == 200


def test_oidcc_idtoken_unsigned(
    web: RelyingParty, owner: User, browser_of: Callable[[User], Client]
) -> None:
    """oidcc-idtoken-unsigned: no app gets ID tokens without a signature, or with a shared key."""
    for algorithm in ("none", "HS256"):
        refused = call(
            browser_of(owner), "PATCH", f"apps/{web.app.pk}", {"id_token_algorithm": algorithm}
        )
        assert (refused.status_code, list(refused.json()["errors"])) == (
            402,
            ["id_token_algorithm"],
        )
    document = web.http.get("/.well-known/openid-configuration").json()
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]


@pytest.mark.parametrize("module", RETURNS)
def test_an_app_signs_its_user_out(suite: Suite, module: str) -> None:
    more, told = RETURNS[module]
    hint = suite.sign_in()["id_token"]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, **more}

    done = confirm(suite.browser, suite.browser.get(END, asked))

    assert answer_of(done, AFTER) == told
    assert suite.told(suite.ask(prompt="none")) == {"error": "login_required"}


@pytest.mark.parametrize("module", STAYS)
def test_a_user_signs_out_and_stays_here(suite: Suite, module: str) -> None:
    given = {"id_token_hint": suite.sign_in()["id_token"], "state": "s"}
    asked = {name: given[name] for name in STAYS[module]}

    done = confirm(suite.browser, suite.browser.get(END, asked))

    page = suite.browser.get(done["Location"]).content if done.status_code == 302 else done.content
    assert AFTER.encode() not in page
    assert suite.told(suite.ask(prompt="none")) == {"error": "login_required"}


@pytest.mark.parametrize("module", LEADS_NOWHERE)
def test_a_wrong_sign_out_leads_nowhere(suite: Suite, module: str) -> None:
    name, change = LEADS_NOWHERE[module]
    hint = suite.sign_in()["id_token"]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "s"}
    asked[name] = change(suite.party, hint)

    page = suite.browser.get(END, {key: value for key, value in asked.items() if value})

    assert page.status_code == 400
    assert AFTER.encode() not in page.content
    assert "code" in suite.told(suite.ask(prompt="none"))


def without_signature(hint: str) -> str:
    """The claims of an ID token with `alg: none`."""
    claims = jwt.decode(hint, options={"verify_signature": False})
    return jwt.encode(claims, None, algorithm="none")


def signed_by_the_app(party: RelyingParty, hint: str) -> str:
    """The claims of an ID token, signed with the secret of the app."""
    claims = jwt.decode(hint, options={"verify_signature": False})
    return jwt.encode(claims, party.secret, algorithm="HS256")


def test_oidcc_discovery_endpoint_verification(stranger: Client, settings: Any) -> None:
    """oidcc-discovery-endpoint-verification,
    oidcc-rp-initiated-logout-discovery-endpoint-verification,
    oidcc-backchannel-logout-discovery-endpoint-verification
    """
    settings.PUBLIC_URL = settings.PUBLIC_ORIGIN = "https://gate.example.com"
    answer = stranger.get("/.well-known/openid-configuration")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    document = answer.json()

    assert document["issuer"] == "https://gate.example.com"
    urls = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert {"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri",
            "end_session_endpoint"} <= urls.keys()  # fmt: skip
    assert {url[:25] for url in urls.values()} == {"https://gate.example.com/"}
    for name, value in {
        "response_types_supported": "code",
        "response_modes_supported": "form_post",
        "subject_types_supported": "public",
        "id_token_signing_alg_values_supported": "RS256",
        "scopes_supported": "openid",
        "claims_supported": "sub",
        "grant_types_supported": "authorization_code",
        "token_endpoint_auth_methods_supported": "client_secret_post",
    }.items():
        assert value in document[name]
    assert document["claims_parameter_supported"] is True
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    keys = stranger.get("/.well-known/jwks.json").json()["keys"]
    assert [key["use"] for key in keys] == ["sig"]
    # No private key, and no shared one.
    assert {"d", "k", "p", "q"}.isdisjoint(name for key in keys for name in key)
