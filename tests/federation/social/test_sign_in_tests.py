"""An owner tests a sign-in: the page says what would happen, and nothing happens."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import BrowserSession, Invitation, User
from accounts.services.invitations import invite
from accounts.services.users import disable_user
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from federation.services.switching import switch_off
from mail.models import OutboxMail
from tests.federation.social.conftest import call_callback, way_to

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
PAGE = "/admin/providers/google/sign-in-test/"
TABLES = (User, ExternalIdentity, Invitation, OutboxMail, BrowserSession)


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def state_of_all() -> list[Any]:
    """Every row that a sign-in could make or change."""
    return [list(table._default_manager.order_by("pk").values()) for table in TABLES]


def events() -> list[tuple[Any, str, dict[str, Any]]]:
    rows = AuditEvent.objects.filter(action="settings:provider:test").order_by("seq")
    return [(row.actor_id, row.result, row.detail) for row in rows]


def go(panel: Client, double: Any) -> Any:
    """Go through the provider; the page to which that leads, after a look at what has changed."""
    to, answer = double.agree(way_to(panel.post(PAGE)))
    before, count = state_of_all(), AuditEvent.objects.count()

    led = call_callback(panel, to, answer)

    assert (led.status_code, led["Location"]) == (303, PAGE)
    # The session of the owner holds the result; no other row has changed.
    after = state_of_all()
    sessions = TABLES.index(BrowserSession)
    assert [len(rows) for rows in after] == [len(rows) for rows in before]
    assert after[:sessions] == before[:sessions]
    assert AuditEvent.objects.count() == count + 1
    return panel.get(PAGE)


def shown(page: Any) -> dict[str, Any]:
    test = page.context["result"]["test"]
    return {"effect": test.effect, "account": test.account, "role": test.role, "code": test.code}


@pytest.mark.parametrize("knows", ["nobody", "identity", "created in advance", "invited"])
def test_the_page_says_which_account_it_would_be_and_changes_nothing(
    panel: Client,
    owner: User,
    make_user: Callable[..., User],
    offer: Any,
    double: Any,
    knows: str,
) -> None:
    offer("google")
    anna = "anna@example.org"
    if knows == "identity":
        anna = "other@example.com"
        user = make_user("editor", email=anna)
        ExternalIdentity.objects.create(user=user, provider="google", subject="g-1", email=anna)
    elif knows == "created in advance":
        make_user("editor", email=anna, password=None, email_verified_at=None)
    elif knows == "invited":
        invite(actor=owner, email=anna, role="admin")

    page = go(panel, double)

    effects = {"identity": "signs-in", "created in advance": "connects"}
    roles = {"nobody": "viewer", "invited": "admin"}
    assert shown(page) == {
        "effect": effects.get(knows, "creates"),
        "account": "anna@example.org",  # an address that changes there changes here
        "role": roles.get(knows, "editor"),
        "code": "",
    }
    assert page.context["result"]["is_good"]
    for text in (b"g-1", b"anna@example.org", b"Anna G", b"verified_email"):
        assert text in page.content
    assert events() == [(owner.pk, "success", {"provider": "google"})]


@pytest.mark.parametrize("why", ["registration_closed", "account_exists"])
def test_a_refusal_is_shown_with_what_helps(
    panel: Client, owner: User, make_user: Callable[..., User], offer: Any, double: Any, why: str
) -> None:
    offer("google", allows_registration=False)
    if why == "account_exists":
        make_user("editor", email="anna@example.org")

    page = go(panel, double)

    assert shown(page) == {"effect": "refused", "account": "", "role": "", "code": why}
    assert page.context["result"]["hint"]
    assert b"This person would be refused." in page.content
    assert events() == [(owner.pk, "refused", {"provider": "google", "reason": why})]


def test_an_account_that_may_not_act_is_told(
    panel: Client, owner: User, make_user: Callable[..., User], offer: Any, double: Any
) -> None:
    offer("google")
    user = make_user("editor", email="other@example.com")
    ExternalIdentity.objects.create(user=user, provider="google", subject="g-1")
    disable_user(actor=owner, user=user)

    page = go(panel, double)

    assert not page.context["result"]["is_good"]
    assert b"This account is disabled." in page.content
    assert events() == [(owner.pk, "refused", {"provider": "google", "reason": "denied"})]


def test_a_provider_that_is_off_can_be_tested_and_still_lets_no_one_in(
    panel: Client, owner: User, stranger: Client, offer: Any, double: Any
) -> None:
    offer("google")
    switch_off(actor=owner, provider_id="google")

    page = go(panel, double)

    assert shown(page)["effect"] == "creates"
    assert b"Google is switched off" in page.content
    assert stranger.post("/oauth/google/login").status_code == 403


def test_a_failure_of_the_provider_is_a_result(
    panel: Client, owner: User, offer: Any, double: Any
) -> None:
    offer("google")
    to, answer = double.agree(way_to(panel.post(PAGE)))

    led = call_callback(panel, to, {"error": "access_denied", "state": answer["state"]})

    assert (led.status_code, led["Location"]) == (303, PAGE)
    page = panel.get(PAGE)
    assert shown(page) == {"effect": "failed", "account": "", "role": "", "code": "cancelled"}
    assert events() == [(owner.pk, "refused", {"provider": "google", "reason": "cancelled"})]
    assert not AuditEvent.objects.filter(action="account:session:start", result="refused").exists()


# Who may, and what a response is bound to


def test_only_owners_test(admin: User, browser_of: BrowserOf, offer: Any) -> None:
    offer("google")
    browser = browser_of(admin)

    assert browser.get(PAGE).status_code == 403
    assert browser.post(PAGE).status_code == 403
    assert PAGE.encode() not in browser.get("/admin/providers/").content


def test_an_owner_who_lost_the_role_meanwhile_sees_nothing(
    panel: Client, owner: User, make_user: Callable[..., User], offer: Any, double: Any
) -> None:
    offer("google")
    other = make_user("owner", email="second@example.com")
    to, answer = double.agree(way_to(panel.post(PAGE)))
    User.objects.filter(pk=owner.pk).update(role="admin")

    led = call_callback(panel, to, answer)

    assert led.status_code == 403
    assert events() == []
    assert other.role == "owner"


def test_a_test_asks_for_recent_authentication(
    panel: Client, offer: Any, at_time: Callable[[timedelta], Any]
) -> None:
    offer("google")
    at_time(timedelta(minutes=16))

    answer = panel.post(PAGE)

    assert answer.status_code == 303
    assert answer["Location"].startswith("/confirm")
    asked = panel.get(answer["Location"]).content
    assert b"Test a sign-in through a provider: google" in asked


@pytest.mark.parametrize("other", ["stranger", "other owner"])
def test_the_response_works_once_and_in_the_session_that_asked_alone(
    panel: Client,
    stranger: Client,
    make_user: Callable[..., User],
    browser_of: BrowserOf,
    offer: Any,
    double: Any,
    other: str,
) -> None:
    offer("google")
    to, answer = double.agree(way_to(panel.post(PAGE)))
    thief = stranger
    if other == "other owner":
        thief = browser_of(make_user("owner", email="second@example.com"))
    for name in panel.cookies:
        if "sign_in" in name:  # even with the cookie of the pending request
            thief.cookies[name] = panel.cookies[name].value

    assert call_callback(thief, to, answer).status_code == 400
    assert User.objects.filter(email="anna@example.org").count() == 0
    assert events() == []

    assert call_callback(panel, to, answer).status_code == 303
    again = call_callback(panel, to, answer)
    assert (again.status_code, again["Location"]) == (303, PAGE)
    assert len(events()) == 1


def test_the_result_is_of_one_session_and_ends(
    panel: Client,
    owner: User,
    browser_of: BrowserOf,
    offer: Any,
    double: Any,
    at_time: Callable[[timedelta], Any],
) -> None:
    offer("google", "github")
    go(panel, double)

    assert browser_of(owner).get(PAGE).context["result"] is None
    assert panel.get(PAGE.replace("google", "github")).context["result"] is None
    at_time(timedelta(minutes=11))
    assert panel.get(PAGE).context["result"] is None
