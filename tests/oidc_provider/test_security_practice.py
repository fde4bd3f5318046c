"""RFC 9700, where no test of a flow shows it; docs/openid-conformance.md has the whole list."""

from typing import Any

import jwt
import pytest
from django.test import Client

from accounts.models import User
from applications.redirect_uris import uris_of
from devtools.servers.processes import ROOT
from tests.api.calls import call
from tests.conftest import PASSWORD
from tests.oidc_provider.relying_party import (
    AUTHORIZE,
    CALLBACK,
    RelyingParty,
    answer_of,
    decide,
    make_client,
)
from tests.oidc_provider.test_logout import END, confirm

pytestmark = pytest.mark.django_db


def test_no_page_with_a_request_or_an_answer_is_framed_kept_or_told_of(
    browser: Client, stranger: Client
) -> None:
    """Sections 4.2, 4.3 and 4.16: frames, Referer and the cache of the browser."""
    party = RelyingParty(make_client(is_trusted=False))
    consent = party.authorize(browser)
    pages = {
        "consent": consent,
        "lead on": decide(browser, consent, "allow"),
        "form": party.authorize(browser, response_mode="form_post"),
        "redirect": party.authorize(browser),
        "error": party.authorize(browser, redirect_uri="https://evil.example/"),
        "sign-in": stranger.get(party.authorize(stranger)["Location"]),
        "sign-out": browser.get(END, {"client_id": party.app.client_id}),
    }
    for name, page in pages.items():
        assert page["X-Frame-Options"] == "DENY", name
        assert "frame-ancestors 'none'" in page["Content-Security-Policy"], name
        # Other origins learn nothing of our addresses, not even the host.
        assert page["Referrer-Policy"] == "same-origin", name
        assert page["Cache-Control"] == "no-store", name


def test_scripts_of_other_origins_cannot_use_the_pages_of_a_sign_in(
    party: RelyingParty, browser: Client
) -> None:
    """Section 2.6: CORS for the token endpoint, and never for the authorization endpoint."""
    foreign = {"origin": "https://wiki.example.com"}
    for page in (
        browser.get(AUTHORIZE, party.parameters(), headers=foreign),
        browser.get(END, headers=foreign),
        browser.options(AUTHORIZE, headers={**foreign, "access-control-request-method": "POST"}),
    ):
        assert [name for name in page.headers if name.startswith("Access-Control-")] == []
    token = party.http.options("/openid/token", headers=foreign)
    assert token["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in token


def test_no_redirect_sends_a_form_with_a_password_again(
    party: RelyingParty, browser: Client, stranger: Client, viewer: User
) -> None:
    """Section 4.12: never 307 or 308, with which browsers repeat the body."""
    on_the_way = party.authorize(stranger)
    back = on_the_way["Location"]
    again = party.authorize(browser, prompt="login")["Location"]
    asked = browser.get(END, {"client_id": party.app.client_id})
    answers: dict[str, Any] = {
        "authorize": browser.post(AUTHORIZE, party.parameters()),
        "sign-in": stranger.post(
            "/sign-in", {"login": viewer.email, "password": PASSWORD, "next": back}
        ),
        "confirm": browser.post("/confirm", {"password": PASSWORD, "next": again}),
        "sign-out": confirm(browser, asked),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "authorize": 303,
        "sign-in": 302,
        "confirm": 303,
        "sign-out": 303,
    }


def test_codes_are_sent_over_plain_http_to_this_machine_only(settings: Any) -> None:
    """Section 2.6."""
    settings.IS_HTTPS = True
    local = ["http://127.0.0.1/back", "http://localhost:3000/back", "http://[::1]:8080/back"]
    assert uris_of(local) == local
    for uri in (
        "http://wiki.example.com/callback",
        "http://127.0.0.1.evil.example/",
        "http://localhost@evil.example/",
    ):
        with pytest.raises(ValueError, match=r"https://|without a user name"):
            uris_of([uri])


def test_an_address_with_a_wildcard_cannot_be_registered() -> None:
    """Section 4.1: no pattern, no fragment, no script."""
    for uri in (
        "https://*.example.com/callback",
        "https://wiki.example.com/*",
        "https://wiki.example.com/callback#x",
        "javascript:alert(1)",
        "data:text/html,x",
    ):
        with pytest.raises(ValueError, match=r"no address|has to start with"):
            uris_of([uri])


def test_an_app_cannot_choose_an_id_that_looks_like_a_person(
    owner: User, browser_of: Any, viewer: User
) -> None:
    """Section 4.15: ids of apps are made here, and look like no id of a person."""
    given = {"name": "Wiki", "url": "https://wiki.example.com", "client_id": str(viewer.pk)}
    browser = browser_of(owner)

    refused = call(browser, "POST", "apps", given)

    assert (refused.status_code, list(refused.json()["errors"])) == (402, ["client_id"])
    del given["client_id"]
    made = call(browser, "POST", "apps", given).json()["client_id"]
    assert made.startswith("app_")


def test_no_script_sends_messages_to_other_windows() -> None:
    """Section 4.17: an answer comes by redirect or form only."""
    files = [*(ROOT / "static").glob("*.js"), *(ROOT / "templates").rglob("*.html")]
    assert [
        file.name
        for file in files
        for word in ("postMessage", "BroadcastChannel", "window.opener")
        if word in file.read_text()
    ] == []
    assert len(files) > 50


def test_a_code_is_worth_nothing_in_another_session_of_the_app(
    owner: User, browser: Client, viewer: User
) -> None:
    """Section 4.5: a stolen code, sent into the app by somebody else.

    By PKCE it is refused here. An app without PKCE finds the nonce of another session.
    """
    party = RelyingParty(make_client("web"), owner)
    stolen = party.code(browser, nonce="of the victim")
    refused = party.redeem(stolen, code_verifier="a" * 43)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    without = {"code_challenge": None, "code_challenge_method": None}
    page = party.authorize(browser, nonce="of the victim", **without)
    assert page["Location"].startswith(CALLBACK)
    tokens = party.redeem(answer_of(page)["code"], code_verifier=None).json()
    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert (claims["nonce"], claims["sub"]) == ("of the victim", str(viewer.pk))
