"""Repeated, unsolicited and erroneous answers of a provider."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from moderation.models import Ban, Score, Violation
from tests.federation.oidc.conftest import UseProviders, call_callback, leads_to, start
from tests.federation.oidc.double import CODE, Double
from tests.mfa.authenticator import set_up_app

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("as_openid")]
CALLBACK = "/oauth/openid/callback"
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}


def rejections() -> int:
    return AuditEvent.objects.filter(action="account:session:start", result="refused").count()


def assert_nothing_counts() -> None:
    assert (Violation.objects.count(), Score.objects.count(), Ban.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize("headers", [IMAGE, {}], ids=["image", "navigation"])
def test_unsolicited_answers_are_not_scored(
    as_openid: Double, stranger: Client, viewer: Any, headers: dict[str, str]
) -> None:
    sent = {"code": CODE, "state": "made-up"}

    statuses = [stranger.get(CALLBACK, sent, headers=headers).status_code for _ in range(80)]

    assert statuses == [400] * 80
    assert_nothing_counts()
    assert rejections() == 20
    assert call_callback(stranger, as_openid, start(stranger)).status_code == 302


def test_a_signed_in_user_is_neither_scored_nor_signed_out_by_them(
    browser_of: Any, viewer: Any
) -> None:
    browser = browser_of(viewer)

    for _ in range(80):
        answer = browser.get(CALLBACK, {"code": CODE, "state": "made-up"})
        assert (answer.status_code, answer["Location"]) == (303, "/account/")

    assert_nothing_counts()
    assert rejections() == 0
    assert browser.get("/account/").status_code == 200


@pytest.mark.parametrize("next_url", ["/account/password", ""])
@pytest.mark.parametrize("has_cookie", [True, False])
def test_a_repeated_answer_redirects_to_the_same_page(
    as_openid: Double, stranger: Client, settings: Any, next_url: str, has_cookie: bool
) -> None:
    url = start(stranger, next=next_url)
    assert call_callback(stranger, as_openid, url)["Location"] == (next_url or "/account/")
    if not has_cookie:
        stranger.cookies.pop(f"{settings.COOKIE_PREFIX}gatehouse_sign_in", None)

    answers = [call_callback(stranger, as_openid, url) for _ in range(40)]

    assert {answer.status_code for answer in answers} == {303}
    assert {answer["Location"] for answer in answers} == {next_url or "/account/"}
    assert_nothing_counts()
    assert AuditEvent.objects.filter(action="account:session:start").count() == 1


def test_each_of_several_repeated_answers_redirects_to_its_page(
    as_openid: Double, stranger: Client
) -> None:
    first, second = start(stranger, next="/account/keys"), start(stranger, next="/account/password")
    call_callback(stranger, as_openid, first)
    call_callback(stranger, as_openid, second)

    assert call_callback(stranger, as_openid, first)["Location"] == "/account/keys"
    assert call_callback(stranger, as_openid, second)["Location"] == "/account/password"


def test_a_repeated_answer_while_the_second_factor_is_pending(
    as_openid: Double, stranger: Client
) -> None:
    call_callback(stranger, as_openid, start(stranger))
    set_up_app(User.objects.get(email="nora@example.com"))
    browser = Client(headers={"host": "localhost:8000"})
    url = start(browser)
    waiting = call_callback(browser, as_openid, url)

    again = call_callback(browser, as_openid, url)

    assert (again.status_code, again["Location"]) == (303, waiting["Location"])
    assert browser.get("/account/").status_code == 302
    assert_nothing_counts()


def test_a_repeated_answer_in_another_browser_is_rejected(
    as_openid: Double, stranger: Client
) -> None:
    url = start(stranger, next="/account/keys")
    call_callback(stranger, as_openid, url)
    other = Client(headers={"host": "localhost:8000"})

    assert call_callback(other, as_openid, url).status_code == 400
    assert other.get("/account/").status_code == 302


@pytest.mark.parametrize("error", ["access_denied", "server_error", "temporarily_unavailable"])
def test_errors_of_a_provider_are_not_scored(
    as_openid: Double, stranger: Client, error: str
) -> None:
    for _ in range(60):
        call_callback(stranger, as_openid, start(stranger), error=error, code=None)

    assert_nothing_counts()
    assert rejections() == 60


def test_a_provider_that_is_down_is_not_scored(as_openid: Double, stranger: Client) -> None:
    as_openid.give(dict, status=503)

    for _ in range(60):
        call_callback(stranger, as_openid, start(stranger))

    assert_nothing_counts()


def test_an_unreachable_provider_is_not_scored(
    use_providers: UseProviders, as_openid: Double, stranger: Client
) -> None:
    use_providers(
        OPENID_CLIENT_ID="c", OPENID_CLIENT_SECRET="s", OPENID_ISSUER="http://127.0.0.1:9/"
    )

    codes = [stranger.post("/oauth/openid/login").status_code for _ in range(60)]

    assert codes == [503] * 60
    assert_nothing_counts()


def test_an_answer_for_another_user_connects_nothing(
    as_openid: Double, browser_of: Any, viewer: Any, editor: Any
) -> None:
    browser = browser_of(viewer)
    url = connect(browser)
    browser.post("/sign-out")
    browser.post("/sign-in", {"login": editor.email, "password": "correct horse battery staple"})

    answer = call_callback(browser, as_openid, url)

    assert answer.status_code == 400
    assert editor.identities.count() == viewer.identities.count() == 0
    assert_nothing_counts()


def connect(browser: Client) -> str:
    return leads_to(browser.post("/account/identities/openid/connect"))
