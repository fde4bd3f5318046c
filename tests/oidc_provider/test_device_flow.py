"""Devices without a browser sign people in by a code: RFC 8628."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.sessions import end_sessions
from applications.models import App
from audit.models import AuditEvent
from config import worker
from moderation.services.bans import ban
from oidc_provider.models import DeviceCode, Grant, PushedRequest
from oidc_provider.services import device_codes
from tests.oidc_provider.relying_party import CALLBACK, TOKEN, RelyingParty, make_client
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
START, PAGE = "/openid/device-authorization", "/openid/device"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
AtTime = Callable[[timedelta], Any]


@pytest.fixture
def tv() -> RelyingParty:
    """A trusted app on a device, without a secret and without an address to return to."""
    return RelyingParty(make_client("native", redirect_uris=[], allows_device_flow=True))


def start(party: RelyingParty, **changes: Any) -> Any:
    form = {"client_id": party.app.client_id, "scope": "openid email", **changes}
    return party.post(START, form)


def poll(party: RelyingParty, code: str, **changes: Any) -> Any:
    form = {"grant_type": GRANT, "client_id": party.app.client_id, "device_code": code}
    return party.post(TOKEN, form | changes)


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def choose(browser: Client, code: str, choice: str) -> Any:
    return browser.post(PAGE, {"user_code": code, "choice": choice})


def test_a_user_signs_a_device_in(
    tv: RelyingParty, browser: Client, viewer: User, at_time: AtTime
) -> None:
    """The page names the app, the account, the network of the device, and what the app learns."""
    begun = start(tv)
    assert (begun.status_code, begun["Cache-Control"]) == (200, "no-store")
    given = begun.json()
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", given["user_code"])
    assert given["verification_uri"] == f"http://localhost:8000{PAGE}"
    assert given["verification_uri_complete"] == (
        f"http://localhost:8000{PAGE}?user_code={given['user_code']}"
    )
    assert (given["expires_in"], given["interval"]) == (600, 5)
    row = DeviceCode.objects.get()
    for secret in (given["device_code"], given["user_code"], given["user_code"].replace("-", "")):
        assert secret not in str(vars(row))
    assert error_of(poll(tv, given["device_code"])) == (400, "authorization_pending")

    # The complete address only fills in the code.
    page = browser.get(PAGE, {"user_code": given["user_code"]})
    assert read(page.content).input("user_code")["value"] == given["user_code"]
    typed = f" {given['user_code'].lower().replace('-', ' ')} "
    shown = browser.post(PAGE, {"user_code": typed})
    for text in (
        b"Wiki",
        b"viewer@example.com",
        b"127.0.0.1",
        b"your own network",
        b"see your email",
    ):
        assert text in shown.content
    assert b"see your role" not in shown.content
    done = choose(browser, read(shown.content).input("user_code")["value"], "allow")
    assert (done.status_code, done["Location"]) == (303, "/account/?notice=device-allowed")
    assert b"Your device is being signed in" in browser.get(done["Location"]).content
    event = AuditEvent.objects.get(action="openid:sign-in:start")
    assert (event.actor_id, event.result) == (viewer.pk, "success")

    at_time(timedelta(seconds=6))
    tokens = poll(tv, given["device_code"]).json()
    assert tv.userinfo(tokens["access_token"]).json() == {
        "sub": str(viewer.pk), "email": "viewer@example.com", "email_verified": True,
    }  # fmt: skip
    assert Grant.objects.get().methods == ["pwd"]
    assert tv.refresh(tokens["refresh_token"]).status_code == 200
    # A second redemption ends what the first gave.
    assert error_of(poll(tv, given["device_code"])) == (400, "invalid_grant")
    assert tv.userinfo(tokens["access_token"]).status_code == 401


def test_a_device_that_asks_too_often_has_to_wait_longer(tv: RelyingParty, at_time: AtTime) -> None:
    code = start(tv).json()["device_code"]
    for seconds, error in (
        (0, "authorization_pending"),
        (2, "slow_down"),  # from now on 10 seconds
        (8, "slow_down"),  # 15
        (24, "authorization_pending"),
        (601, "expired_token"),
    ):
        at_time(timedelta(seconds=seconds))
        assert error_of(poll(tv, code)) == (400, error), seconds


def test_a_device_never_waits_longer_than_its_code_lives(tv: RelyingParty) -> None:
    """However often it asks: the column has an end."""
    code = start(tv).json()["device_code"]
    DeviceCode.objects.update(interval=32767)
    assert error_of(poll(tv, code)) == (400, "authorization_pending")
    assert error_of(poll(tv, code)) == (400, "slow_down")
    assert DeviceCode.objects.get().interval == 600


def test_an_app_that_may_not_use_codes_any_more_gets_nothing_for_open_ones(
    tv: RelyingParty, browser: Client
) -> None:
    """Who switches the flow off because of phishing ends what was sent, and what was allowed."""
    waiting, allowed = start(tv).json(), start(tv).json()
    assert choose(browser, allowed["user_code"], "allow").status_code == 303

    App.objects.update(allows_device_flow=False)

    assert browser.post(PAGE, {"user_code": waiting["user_code"]}).status_code == 400
    assert choose(browser, waiting["user_code"], "allow").status_code == 400
    for given in (waiting, allowed):
        assert error_of(poll(tv, given["device_code"])) == (400, "unauthorized_client")
    assert not Grant.objects.exists()


def test_a_denied_device_gets_nothing(tv: RelyingParty, browser: Client) -> None:
    given = start(tv).json()
    done = choose(browser, given["user_code"], "deny")
    assert done["Location"] == "/account/?notice=device-denied"

    assert error_of(poll(tv, given["device_code"])) == (400, "access_denied")
    # Decided is decided.
    assert choose(browser, given["user_code"], "allow").status_code == 400
    assert not AuditEvent.objects.filter(action="openid:sign-in:start").exists()
    assert not Grant.objects.exists()


def test_what_a_device_may_not_ask_for(tv: RelyingParty, party: RelyingParty, owner: User) -> None:
    """RFC 8628, sections 3.1 and 3.5."""
    web = RelyingParty(make_client("web", allows_device_flow=True), owner)
    for answer, expected in (
        (start(party), (400, "unauthorized_client")),
        (start(RelyingParty(make_client("service")), client_secret="x"), (401, "invalid_client")),
        (start(web), (401, "invalid_client")),
        (start(tv, client_id=None), (401, "invalid_client")),
        (start(tv, scope="email"), (400, "invalid_scope")),
        (start(tv, scope=None), (400, "invalid_scope")),
        (poll(tv, "unknown"), (400, "invalid_grant")),
        (poll(tv, ""), (400, "invalid_grant")),
    ):
        assert error_of(answer) == expected
    assert start(web, client_secret=web.secret).status_code == 200
    code = start(tv).json()["device_code"]
    assert error_of(poll(party, code)) == (400, "invalid_grant")
    assert tv.http.get(START).status_code == 405


@pytest.mark.parametrize("typed", ["", "BCDF-GHJK", "B" * 41, "\0", "' OR 1=1 --"])
def test_an_unknown_code_is_an_error_beside_the_field(browser: Client, typed: str) -> None:
    answer = browser.post(PAGE, {"user_code": typed})

    assert answer.status_code == 400
    assert b'class="error"' in answer.content
    assert choose(browser, typed, "allow").status_code == 400


def test_codes_cannot_be_guessed(tv: RelyingParty, browser: Client, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "device-code": (2, timedelta(minutes=10))}
    given = start(tv).json()
    statuses = [browser.post(PAGE, {"user_code": "BCDF-GHJK"}).status_code for _try in range(3)]
    assert statuses == [400, 400, 429]
    assert choose(browser, given["user_code"], "allow").status_code == 429
    assert error_of(poll(tv, given["device_code"])) == (400, "authorization_pending")


def test_strangers_fill_the_table_in_bounds(tv: RelyingParty, owner: User, settings: Any) -> None:
    """Anyone can ask in the name of an app without a secret; one with a secret is not limited."""
    settings.LIMITS = {**settings.LIMITS, "app-requests": (2, timedelta(minutes=10))}
    web = RelyingParty(make_client("web", allows_device_flow=True), owner)

    assert [start(tv).status_code for _try in range(3)] == [200, 200, 429]
    assert tv.post("/openid/par", pushed_by(tv)).status_code == 429
    assert start(web, client_secret=web.secret).status_code == 200

    assert (DeviceCode.objects.count(), PushedRequest.objects.count()) == (3, 0)


def pushed_by(party: RelyingParty) -> dict[str, Any]:
    party.app.redirect_uris = [CALLBACK]
    party.app.save(update_fields=["redirect_uris"])
    return party.parameters()


def test_the_user_signs_in_on_the_way_and_may_not_enter_every_app(
    browser: Client, stranger: Client
) -> None:
    closed = RelyingParty(
        make_client("native", redirect_uris=[], allows_device_flow=True, openid_role="owner")
    )
    given = start(closed).json()
    moved = stranger.get(PAGE, {"user_code": given["user_code"]})
    assert moved["Location"].startswith("/sign-in?next=%2Fopenid%2Fdevice%3Fuser_code%3D")
    assert stranger.post(PAGE, {"user_code": "x", "choice": "allow"}).status_code == 303

    for answer in (
        browser.post(PAGE, {"user_code": given["user_code"]}),
        choose(browser, given["user_code"], "allow"),
    ):
        assert answer.status_code == 403
        assert b"needs the role" in answer.content
    assert error_of(poll(closed, given["device_code"])) == (400, "authorization_pending")


@pytest.mark.parametrize(
    "end",
    [
        lambda owner, user: ban(actor=owner, user=user, duration=None, reason="x"),
        lambda owner, user: end_sessions(actor=owner, user=user),
    ],
    ids=["ban", "sign-out everywhere"],
)
def test_what_ends_the_access_ends_an_allowed_code(
    tv: RelyingParty, browser: Client, owner: User, viewer: User, end: Callable[..., object]
) -> None:
    given = start(tv, scope="openid offline_access").json()
    assert choose(browser, given["user_code"], "allow").status_code == 303

    end(owner, viewer)

    assert error_of(poll(tv, given["device_code"])) == (400, "invalid_grant")


def test_a_form_that_is_sent_twice_gets_the_same_answer(tv: RelyingParty, browser: Client) -> None:
    given = start(tv).json()
    form = {"user_code": given["user_code"], "choice": "allow", "csrfmiddlewaretoken": "t" * 64}

    answers = [browser.post(PAGE, form) for _click in range(2)]

    assert [answer["Location"] for answer in answers] == ["/account/?notice=device-allowed"] * 2


def test_codes_expire_and_are_purged(tv: RelyingParty, browser: Client, at_time: AtTime) -> None:
    given = start(tv).json()
    at_time(timedelta(minutes=11))
    assert browser.post(PAGE, {"user_code": given["user_code"]}).status_code == 400
    worker.purge()
    assert DeviceCode.objects.count() == 1
    at_time(timedelta(hours=2))
    assert device_codes.purge_device_codes() == 1
