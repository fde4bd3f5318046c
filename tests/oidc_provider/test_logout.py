"""RP-initiated logout, module by module of OpenID's plan, and what may not sign anyone out."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import BrowserSession, User
from tests.oidc_provider.relying_party import AFTER, RelyingParty, answer_of, make_client
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
END = "/openid/end-session"


def confirm(browser: Client, page: Any) -> Any:
    assert page.status_code == 200, page.content
    return browser.post(
        "/openid/sign-out", {"request": read(page.content).input("request")["value"]}
    )


def test_a_user_signs_out_here_and_returns_to_the_app(
    party: RelyingParty, browser: Client, viewer: User
) -> None:
    """oidcc-rp-initiated-logout."""
    tokens = party.sign_in(browser)
    asked = {
        "id_token_hint": tokens["id_token"],
        "post_logout_redirect_uri": AFTER,
        "state": "a state",
    }
    page = browser.get(END, asked)
    assert b"Wiki" in page.content
    assert BrowserSession.objects.filter(user=viewer).exists()

    done = confirm(browser, page)

    assert answer_of(done, AFTER) == {"state": "a state"}
    assert not BrowserSession.objects.filter(user=viewer).exists()
    assert party.userinfo(tokens["access_token"]).status_code == 401
    # Sent again, as by a double click, and asked again without a session: back to the app.
    assert answer_of(confirm(browser, page), AFTER) == {"state": "a state"}
    assert browser.get(END, asked)["Location"] == f"{AFTER}?state=a+state"


@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": f"{AFTER}/"},  # -bad-post-logout-redirect-uri
        {"post_logout_redirect_uri": f"{AFTER}?more=1"},  # -query-added-to-…
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"id_token_hint": None},  # -no-id-token-hint
        {"id_token_hint": "a.b.c"},  # -modified-id-token-hint, -bad-id-token-hint
        {"client_id": "app_other"},
        {"state": "s" * 17_000},
    ],
)
def test_nobody_is_sent_to_an_address_without_proof(
    party: RelyingParty, browser: Client, changes: dict[str, Any]
) -> None:
    hint = party.sign_in(browser)["id_token"]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, **changes}
    given = {name: value for name, value in asked.items() if value is not None}

    assert browser.get(END, given).status_code == 400
    assert browser.get("/account/").status_code == 200


def test_without_an_address_a_user_stays_here(
    party: RelyingParty, browser: Client, stranger: Client
) -> None:
    """-only-state, -no-params, -no-post-logout-redirect-uri; a POST by the app goes on as a GET."""
    for asked in ({}, {"state": "x"}, {"client_id": party.app.client_id}):
        assert browser.get(END, asked).status_code == 200
    assert stranger.get(END)["Location"] == "/sign-in?notice=signed-out"
    strict = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    moved = strict.post(END, {"client_id": party.app.client_id})
    assert moved["Location"] == f"{END}?client_id={party.app.client_id}"
    assert strict.post("/openid/sign-out", {}).status_code == 403
    assert browser.get("/account/").status_code == 200

    done = confirm(browser, browser.get(END))

    assert done["Location"] == "/sign-in?notice=signed-out"
    assert browser.get("/account/").status_code == 302


def test_the_client_id_is_enough_for_an_address(browser: Client) -> None:
    party = RelyingParty(make_client())
    asked = {"client_id": party.app.client_id, "post_logout_redirect_uri": AFTER}

    assert answer_of(confirm(browser, browser.get(END, asked)), AFTER) == {}
