"""Apps are told of the end of a sign-in: the plans of back-channel and front-channel logout.

The modules of OpenID's conformance suite are named where they are proven.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from django.test import Client

from accounts.models import User
from accounts.services import offboard, users
from accounts.services.passwords import set_password
from accounts.services.sessions import end_own_session, end_session, end_sessions
from applications.models import App
from applications.services.apps import edit_app
from config import worker
from core.errors import RecordInvalid
from core.http import FetchError
from core.http.guarded import AddressRefused
from moderation.services.bans import ban
from oidc_provider.models import Grant, LogoutNotice
from oidc_provider.services import logout_notices
from oidc_provider.services.grants import end_grant
from tests.oidc_provider.relying_party import AFTER, RelyingParty, answer_of, make_client
from tests.oidc_provider.test_logout import END, confirm
from tests.pages.pages import read
from tests.webhooks.receiver import Receiver, answer

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], Any]
FRONT = "https://wiki.example.com/front?tenant=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An app on this machine."""
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def told(receiver: Receiver) -> RelyingParty:
    """An app that wants logout tokens."""
    return RelyingParty(make_client(backchannel_logout_uri=receiver.url))


def tokens_at(receiver: Receiver) -> list[dict[str, Any]]:
    """What the app was told since the last call: the claims of each logout token, verified."""
    found = []
    for request in receiver.requests:
        assert request.line.startswith("POST /hook?token=in-the-path ")
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert "cookie" not in request.headers
        [text] = parse_qs(request.body, strict_parsing=True).pop("logout_token")
        assert jwt.get_unverified_header(text)["typ"] == "logout+jwt"
        found.append(text)
    receiver.requests.clear()
    keys = Client(headers={"host": "localhost:8000"}).get("/.well-known/jwks.json").json()
    key = jwt.PyJWK(keys["keys"][0])
    audience = [app.client_id for app in App.objects.all()]
    # Tests turn the clock.
    options: Any = {"verify_iat": False, "verify_exp": False}
    return [
        jwt.decode(text, key, algorithms=["ES256"], audience=audience, options=options)
        for text in found
    ]


def test_a_logout_token_says_which_sign_in_has_ended(
    told: RelyingParty, browser: Client, viewer: User, receiver: Receiver
) -> None:
    """oidcc-backchannel-rp-initiated-logout: the claims of section 2.4, and no nonce."""
    tokens = told.sign_in(browser)
    told.sign_in(browser)
    sign_in = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert logout_notices.send_due() == 0

    done = confirm(browser, browser.get(END, {"id_token_hint": tokens["id_token"],
                                              "post_logout_redirect_uri": AFTER}))  # fmt: skip

    assert answer_of(done, AFTER) == {}
    assert logout_notices.send_due() == 1
    [claims] = tokens_at(receiver)
    assert claims.pop("exp") - claims.pop("iat") == 120
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": told.app.client_id,
        "sub": str(viewer.pk),
        "sid": sign_in["sid"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    # Once for two sign-ins of one session, and never again.
    assert logout_notices.send_due() == 0
    assert receiver.requests == []
    # No token of another kind: neither an ID token as a hint nor an access token.
    assert told.userinfo(tokens["id_token"]).status_code == 401


@pytest.mark.parametrize(
    "end",
    [
        lambda owner, viewer: end_own_session(viewer, viewer.sessions.get().public_id),
        lambda owner, viewer: end_session(actor=owner, session=viewer.sessions.get()),
        lambda owner, viewer: end_sessions(actor=owner, user=viewer),
        lambda owner, viewer: ban(actor=owner, user=viewer, duration=None, reason="x"),
        lambda owner, viewer: users.disable_user(actor=owner, user=viewer),
        lambda owner, viewer: users.change_role(actor=owner, user=viewer, role="editor"),
        lambda owner, viewer: set_password(
            actor=owner, user=viewer, new="another horse battery staple"
        ),
        lambda owner, viewer: offboard.offboard(actor=owner, user=viewer),
        lambda owner, viewer: users.delete_user(actor=owner, user=viewer),
        lambda owner, viewer: end_grant(Grant.objects.get().pk, "ended"),
        lambda owner, viewer: viewer.sessions.update(expire_date=viewer.created_at),
    ],
    ids=["own-session", "session", "sessions", "ban", "disable", "role", "password", "offboard",
         "delete", "app", "expiry"],
)  # fmt: skip
def test_whoever_ends_a_sign_in_the_app_is_told(
    told: RelyingParty,
    browser: Client,
    viewer: User,
    owner: User,
    receiver: Receiver,
    end: Callable[..., object],
) -> None:
    """Of an offline sign-in, too: its tokens may go on, its session does not."""
    told.sign_in(browser, scope="openid offline_access")
    other = RelyingParty(make_client(name="Silent"))
    other.sign_in(browser)
    sid, key = str(Grant.objects.filter(app=told.app).get().sid), str(viewer.pk)
    Grant.objects.filter(app=other.app).delete()

    end(owner, viewer)

    assert logout_notices.send_due() == 1
    [claims] = tokens_at(receiver)
    assert (claims["sub"], claims["sid"], claims["aud"]) == (key, sid, told.app.client_id)


def test_an_app_that_ends_a_sign_in_itself_is_not_told_until_the_session_ends(
    told: RelyingParty, browser: Client, receiver: Receiver
) -> None:
    tokens = told.sign_in(browser)
    told.revoke(tokens["refresh_token"])
    assert logout_notices.send_due() == 0

    browser.post("/sign-out")

    assert logout_notices.send_due() == 1


def test_a_notice_is_sent_again_until_the_app_answers(
    told: RelyingParty, browser: Client, receiver: Receiver, at_time: AtTime, caplog: Any
) -> None:
    """With a new token each time. An owner sees on the page of the app how it went."""
    receiver.replies = [answer(500, "gth_secret"), answer(302, location="http://127.0.0.1/")]
    told.sign_in(browser)
    browser.post("/sign-out")

    assert logout_notices.send_due() == 0
    assert LogoutNotice.objects.get().last_error == "The app answered with status 500."
    assert logout_notices.send_due() == 0
    at_time(timedelta(minutes=1))
    assert logout_notices.send_due() == 0
    at_time(timedelta(minutes=3))
    assert logout_notices.send_due() == 1

    first, second, third = tokens_at(receiver)
    assert len({first["jti"], second["jti"], third["jti"]}) == 3
    row = LogoutNotice.objects.get()
    assert (row.status, row.attempts, row.last_error) == ("done", 3, "")
    assert "eyJ" not in caplog.text
    at_time(timedelta(days=31))
    worker.purge()
    assert not LogoutNotice.objects.exists()


def test_a_notice_is_given_up(
    told: RelyingParty, browser: Client, at_time: AtTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_of_request: Any, **_options: Any) -> None:
        raise FetchError("refused") from AddressRefused("169.254.169.254")

    monkeypatch.setattr(logout_notices, "send_guarded", refuse)
    told.sign_in(browser)
    browser.post("/sign-out")
    for attempt in range(logout_notices.MAX_ATTEMPTS + 1):
        at_time(timedelta(hours=2 * attempt))
        assert logout_notices.send_due() == 0

    row = LogoutNotice.objects.get()
    assert (row.status, row.attempts) == ("failed", logout_notices.MAX_ATTEMPTS)
    assert row.last_error == "The address is in a network that no app can be in."


def leads_to(page: Any) -> str:
    """Where the one link goes that the script follows once the frames are loaded."""
    [url] = [
        each.attributes["href"]
        for each in read(page.content).all("a")
        if "data-lead-on" in each.attributes
    ]
    return url


def test_apps_are_loaded_in_frames_when_their_user_signs_out(browser: Client) -> None:
    """oidcc-frontchannel-rp-initiated-logout: iss and sid behind the parameters of the address."""
    front = RelyingParty(make_client(name="Front", frontchannel_logout_uri=FRONT))
    other = RelyingParty(make_client(name="Never opened", frontchannel_logout_uri=AFTER))
    hint = front.sign_in(browser)["id_token"]
    sid = Grant.objects.get().sid
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "s"}

    moved = confirm(browser, browser.get(END, asked))["Location"]

    assert moved.startswith("/openid/signed-out?to=")
    page = Client(headers={"host": "localhost:8000"}).get(moved)
    text = page.content.decode()
    [source] = re.findall(r'<iframe hidden title="Front" src="([^"]+)"', text)
    assert source == f"{FRONT}&amp;iss=http%3A%2F%2Flocalhost%3A8000&amp;sid={sid}"
    policy = page["Content-Security-Policy"]
    assert "frame-src https://wiki.example.com;" in f"{policy};"
    assert "frame-ancestors 'none'" in policy
    assert leads_to(page) == f"{AFTER}?state=s"
    assert "refresh" not in text
    assert other.app.name not in text
    # Nobody makes such a page for other addresses.
    assert browser.get(f"{moved}x").status_code == 400
    assert browser.get("/openid/signed-out").status_code == 400


def test_sign_out_goes_where_it_went_without_frames(
    party: RelyingParty, browser: Client, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    party.sign_in(browser)
    assert browser.post("/sign-out")["Location"] == "/sign-in?notice=signed-out"
    App.objects.update(frontchannel_logout_uri=FRONT)
    again = browser_of(viewer)
    party.sign_in(again)

    moved = again.post("/sign-out")["Location"]

    assert urlsplit(moved).path == "/openid/signed-out"
    assert leads_to(again.get(moved)) == "/sign-in?notice=signed-out"


@pytest.mark.parametrize("name", ["backchannel_logout_uri", "frontchannel_logout_uri"])
@pytest.mark.parametrize(
    "uri", ["https://a.example/out#x", "ftp://a.example/", "com.example.app:/out", "http://a b/",
            "https://u:p@a.example/"],
)  # fmt: skip
def test_an_address_for_notices_is_https_without_a_fragment(
    owner: User, name: str, uri: str
) -> None:
    app = make_client()
    with pytest.raises(RecordInvalid) as raised:
        edit_app(actor=owner, app=app, changes={name: uri})
    assert {*raised.value.errors} == {name}
    edit_app(actor=owner, app=app, changes={name: "https://a.example/out?tenant=1"})


def test_plain_http_is_for_this_machine_only(owner: User, settings: Any) -> None:
    settings.IS_HTTPS = True
    app = make_client()
    with pytest.raises(RecordInvalid):
        edit_app(actor=owner, app=app, changes={"backchannel_logout_uri": "http://wiki.lan/out"})
    edit_app(actor=owner, app=app, changes={"backchannel_logout_uri": "http://127.0.0.1:3000/out"})
