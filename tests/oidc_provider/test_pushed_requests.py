"""Pushed authorization requests: RFC 9126."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from accounts.models import User
from config import worker
from oidc_provider.models import AuthorizationCode, PushedRequest
from oidc_provider.services.pushed_requests import PREFIX
from tests.conftest import PASSWORD
from tests.oidc_provider.relying_party import (
    AUTHORIZE,
    CALLBACK,
    RelyingParty,
    answer_of,
    decide,
    make_client,
)
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
PAR = "/openid/par"
AtTime = Callable[[timedelta], Any]


def push(party: RelyingParty, **changes: Any) -> Any:
    proof = {"client_secret": party.secret or None}
    return party.post(PAR, party.parameters(**proof, **changes))


def pushed(party: RelyingParty, **changes: Any) -> dict[str, str]:
    """What the browser brings afterwards."""
    answer = push(party, **changes)
    assert answer.status_code == 201, answer.content
    return {"client_id": party.app.client_id, "request_uri": answer.json()["request_uri"]}


@pytest.fixture
def web(owner: User) -> RelyingParty:
    """A web app that has to push its requests."""
    return RelyingParty(make_client("web", requires_pushed_requests=True), owner)


def test_an_app_pushes_its_request_and_the_browser_brings_its_name(
    web: RelyingParty, party: RelyingParty, browser: Client
) -> None:
    """With and without a secret. What the browser adds is not read."""
    for each in (web, party):
        answer = push(each)
        assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
        given = answer.json()
        assert given["expires_in"] == 90
        assert given["request_uri"].startswith(PREFIX)
        row = PushedRequest.objects.latest("created_at")
        assert given["request_uri"].removeprefix(PREFIX) not in str(vars(row))
        assert "client_secret" not in row.parameters
        brought = {"client_id": each.app.client_id, "request_uri": given["request_uri"]}
        added = {"redirect_uri": "https://evil.example", "scope": "openid offline_access"}
        code = answer_of(browser.get(AUTHORIZE, {**brought, **added}))
        assert (code["state"], code["iss"]) == ("a state", "http://localhost:8000")
        tokens = each.redeem(code["code"]).json()
        assert tokens["scope"] == "openid profile email groups"
        # It was answered.
        assert browser.get(AUTHORIZE, brought).status_code == 400


def test_a_request_that_was_not_pushed_is_refused_if_the_app_has_to(
    web: RelyingParty, browser: Client
) -> None:
    assert answer_of(web.authorize(browser))["error"] == "invalid_request"
    other = {"request_uri": "https://wiki.example.com/request"}
    assert answer_of(web.authorize(browser, **other))["error"] == "invalid_request"
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_secret": "gths_wrong"}, (401, "invalid_client")),
        ({"client_id": None}, (401, "invalid_client")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"redirect_uri": f"{CALLBACK}/"}, (400, "invalid_request")),
        ({"request_uri": f"{PREFIX}x"}, (400, "invalid_request")),
        ({"request": "a.b.c"}, (400, "request_not_supported")),
        ({"response_type": "token"}, (400, "unsupported_response_type")),
        ({"scope": "email"}, (400, "invalid_scope")),
        ({"code_challenge": "short"}, (400, "invalid_request")),
        ({"prompt": "dance"}, (400, "invalid_request")),
        ({"login_hint": "x" * 33_000}, (413, "invalid_request")),
    ],
)
def test_a_wrong_request_is_not_stored(
    web: RelyingParty, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    """RFC 9126, section 2.3."""
    answer = web.post(PAR, {**web.parameters(client_secret=web.secret), **changes})

    assert (answer.status_code, answer.json()["error"]) == expected
    assert not PushedRequest.objects.exists()


def test_the_endpoint_takes_one_form_by_post_from_apps_that_sign_people_in(
    party: RelyingParty, owner: User
) -> None:
    got = party.http.get(PAR)
    assert (got.status_code, got["Allow"]) == (405, "POST")
    twice = party.http.post(
        PAR, f"client_id={party.app.client_id}&scope=openid&scope=email",
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    program = push(RelyingParty(make_client("service"), owner))
    assert (program.status_code, program.json()["error"]) == (400, "unauthorized_client")


@pytest.mark.parametrize(
    "changes",
    [{"request_uri": f"{PREFIX}unknown"}, {"client_id": "app_other"}, {"client_id": None}],
)
def test_a_name_that_is_not_the_apps_leads_nowhere(
    party: RelyingParty, web: RelyingParty, browser: Client, changes: dict[str, Any]
) -> None:
    brought = {name: value for name, value in (pushed(party) | changes).items() if value}

    answer = browser.get(AUTHORIZE, brought)

    assert answer.status_code == 400
    assert "Location" not in answer
    other = browser.get(AUTHORIZE, pushed(party) | {"client_id": web.app.client_id})
    assert other.status_code == 400


def test_it_has_to_be_opened_in_time_and_the_sign_in_may_take_longer(
    party: RelyingParty, browser: Client, stranger: Client, viewer: User, at_time: AtTime
) -> None:
    late, slow = pushed(party), pushed(party)
    first = stranger.get(AUTHORIZE, slow)
    assert urlsplit(first["Location"]).path == "/sign-in"
    assert "redirect_uri" not in first["Location"]
    at_time(timedelta(seconds=91))
    assert browser.get(AUTHORIZE, late).status_code == 400
    assert browser.get(AUTHORIZE, slow).status_code == 400
    # A mark of another request is none.
    (back,) = parse_qs(urlsplit(first["Location"]).query)["next"]
    mark = parse_qs(urlsplit(back).query)["gatehouse_step"][0]
    assert browser.get(AUTHORIZE, late | {"gatehouse_step": mark}).status_code == 400

    at_time(timedelta(minutes=30))
    done = stranger.post("/sign-in", {"login": viewer.email, "password": PASSWORD, "next": back})
    assert "code" in answer_of(stranger.get(done["Location"]))
    assert stranger.get(done["Location"]).status_code == 400


def test_an_answer_by_the_page_of_consent_uses_it_up(browser: Client, at_time: AtTime) -> None:
    """Whatever the answer is. Looking at the page twice is no answer."""
    party = RelyingParty(make_client(is_trusted=False))
    for choice, member in (("deny", "error"), ("allow", "code")):
        at_time(timedelta())
        brought = pushed(party)
        page = browser.get(AUTHORIZE, brought)
        page = browser.get(AUTHORIZE, brought)
        at_time(timedelta(minutes=10))
        assert member in answer_of(decide(browser, page, choice))
        assert decide(browser, page, choice).status_code == 400
    silent = pushed(party, prompt="none", scope="openid offline_access")
    assert answer_of(browser.get(AUTHORIZE, silent))["error"] == "consent_required"
    assert browser.get(AUTHORIZE, silent).status_code == 400


def test_a_double_click_on_the_page_of_consent_gets_the_same_answer(browser: Client) -> None:
    party = RelyingParty(make_client(is_trusted=False))
    page = read(browser.get(AUTHORIZE, pushed(party)).content)
    form = {name: page.input(name)["value"] for name in ("request", "account")}
    form |= {"csrfmiddlewaretoken": "t" * 64, "choice": "allow"}

    first, second = (browser.post("/openid/consent", form) for _click in range(2))

    assert answer_of(first) == answer_of(second)
    assert AuthorizationCode.objects.count() == 1
    assert party.redeem(answer_of(second)["code"]).status_code == 200


def test_a_refused_user_uses_it_up_with_the_way_back(browser: Client, at_time: AtTime) -> None:
    party = RelyingParty(make_client(openid_role="owner"))
    page = browser.get(AUTHORIZE, pushed(party))
    assert page.status_code == 403
    at_time(timedelta(minutes=10))
    assert answer_of(decide(browser, page, "deny"))["error"] == "access_denied"
    assert decide(browser, page, "deny").status_code == 400


def test_old_requests_are_purged(party: RelyingParty, at_time: AtTime) -> None:
    pushed(party)
    at_time(timedelta(minutes=59))
    worker.purge()
    assert PushedRequest.objects.count() == 1
    at_time(timedelta(minutes=61))
    worker.purge()
    assert not PushedRequest.objects.exists()
