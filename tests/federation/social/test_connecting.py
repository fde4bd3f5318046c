"""Sign-in methods on the account page: connecting, disconnecting, never the last one."""

from datetime import timedelta

import pytest

from accounts.models import User
from accounts.services.privacy import export_own_data
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from tests.federation.social.conftest import call_callback, is_signed_in, sign_in, way_to
from tests.pages.pages import read

pytestmark = pytest.mark.django_db


def connect(browser, double, kind: str):
    """From the click on the account page to the answer of the callback."""
    url = way_to(browser.post(f"/account/identities/{kind}/connect"))
    to, answer = double.agree(url)
    return call_callback(browser, to, answer, kind)


@pytest.fixture
def linked(viewer, db) -> ExternalIdentity:
    """The identity of `viewer` at Google."""
    return ExternalIdentity.objects.create(
        user=viewer, provider="google", subject="g-1", email="vera@gmail.example"
    )


@pytest.fixture
def bare(make_user) -> User:
    """A user without a password."""
    return make_user(email="bare@example.com", password=None)


@pytest.mark.parametrize("kind", ["google", "apple"])
def test_a_signed_in_user_connects_and_then_signs_in_by_it(
    kind, offer, double, browser_of, viewer, stranger, mails
) -> None:
    offer(kind, allows_registration=False)
    browser = browser_of(viewer)
    answer = connect(browser, double, kind)

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=connected")
    assert b"It is connected." in browser.get(answer["Location"]).content
    assert [(each.provider, each.user) for each in ExternalIdentity.objects.all()] == [
        (kind, viewer)
    ]
    event = AuditEvent.objects.get(action="account:identity:connect")
    assert (event.result, event.actor_id) == ("success", viewer.pk)
    sign_in(stranger, double, kind)
    assert b"viewer@example.com" in stranger.get("/account/").content


def test_an_identity_of_another_user_is_not_taken(
    offer, double, browser_of, editor, linked, viewer
) -> None:
    offer("google")
    shown = connect(browser_of(editor), double, "google")
    assert shown.status_code == 403
    assert b"This Google account is taken" in shown.content
    assert b'href="/account/"' in shown.content
    assert ExternalIdentity.objects.get().user == viewer


def test_connecting_needs_reauthentication(offer, double, browser_of, viewer, at_time) -> None:
    offer("google")
    browser = browser_of(viewer)
    at_time(timedelta(minutes=16))
    answer = browser.post("/account/identities/google/connect")
    assert answer.status_code == 303
    assert answer["Location"].startswith("/confirm?next=")
    assert ExternalIdentity.objects.count() == 0


def test_a_connection_started_by_one_user_is_not_completed_by_another(
    offer, double, browser_of, viewer, editor
) -> None:
    offer("google")
    browser = browser_of(viewer)
    to, answer = double.agree(way_to(browser.post("/account/identities/google/connect")))
    browser.post("/sign-out")
    browser.post("/sign-in", {"login": editor.email, "password": "correct horse battery staple"})
    shown = call_callback(browser, to, answer)
    assert (shown.status_code, ExternalIdentity.objects.count()) == (400, 0)
    browser.post("/sign-out")
    assert call_callback(browser, to, answer).status_code == 400


def test_anonymous_clients_connect_nothing(offer, stranger, owner) -> None:
    offer("google")
    answer = stranger.post("/account/identities/google/connect")
    assert (answer.status_code, answer["Location"][:14]) == (302, "/sign-in?next=")


def test_an_unknown_provider_is_not_connected(offer, browser_of, viewer) -> None:
    offer("google")
    assert browser_of(viewer).post("/account/identities/github/connect").status_code == 404


def test_the_account_page_shows_what_is_connected_and_offers_the_others(
    offer, browser_of, viewer, linked
) -> None:
    offer("google", "github")
    content = browser_of(viewer).get("/account/").content
    actions = [form.attributes.get("action") for form in read(content).all("form")]
    assert b"vera@gmail.example" in content
    assert f"/account/identities/{linked.pk}/disconnect".encode() in content
    assert [each for each in actions if each and "identities" in each] == [
        "/account/identities/github/connect"
    ]


def test_there_is_no_section_without_providers(browser_of, viewer, settings) -> None:
    settings.SIGN_IN_PROVIDERS = ()
    assert b"sign-in-methods" not in browser_of(viewer).get("/account/").content


def test_an_identity_of_a_removed_provider_can_be_disconnected(
    offer, browser_of, viewer, linked
) -> None:
    offer("github")
    browser = browser_of(viewer)
    assert b"switched off on this server" in browser.get("/account/").content
    assert browser.post(f"/account/identities/{linked.pk}/disconnect").status_code == 303
    assert ExternalIdentity.objects.count() == 0


def test_a_user_disconnects_and_stays_signed_in_on_this_device_only(
    offer, browser_of, viewer, linked
) -> None:
    offer("google")
    browser, other = browser_of(viewer), browser_of(viewer)
    asked = browser.get(f"/account/identities/{linked.pk}/disconnect")
    assert (asked.status_code, ExternalIdentity.objects.count()) == (200, 1)
    answer = browser.post(f"/account/identities/{linked.pk}/disconnect")

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=disconnected")
    assert b"It is disconnected." in browser.get(answer["Location"]).content
    assert ExternalIdentity.objects.count() == 0
    assert (is_signed_in(browser), is_signed_in(other)) == (True, False)
    event = AuditEvent.objects.get(action="account:identity:disconnect")
    assert (event.result, event.detail["provider"]) == ("success", "google")


@pytest.mark.parametrize("path", ["{}/disconnect"])
def test_an_identity_of_another_user_is_not_disconnected(
    path, offer, browser_of, editor, linked
) -> None:
    offer("google")
    browser = browser_of(editor)
    url = f"/account/identities/{path.format(linked.pk)}"
    assert (browser.get(url).status_code, browser.post(url).status_code) == (404, 404)
    assert ExternalIdentity.objects.count() == 1


def test_the_last_sign_in_method_cannot_be_removed(
    offer, double, stranger, bare, settings, owner
) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    offer("google")
    identity = ExternalIdentity.objects.create(user=bare, provider="google", subject="g-1")
    sign_in(stranger, double, "google")
    assert b"Your only way to sign in" in stranger.get("/account/").content
    url = f"/account/identities/{identity.pk}/disconnect"
    asked, answer = stranger.get(url), stranger.post(url)

    assert (asked.status_code, answer.status_code) == (200, 403)
    assert b"This is your only way to sign in" in asked.content
    assert b"<form" not in asked.content.partition(b"<main")[2].partition(b"</main")[0]
    assert ExternalIdentity.objects.count() == 1
    assert is_signed_in(stranger)


def test_of_two_sign_in_methods_only_one_can_be_removed(
    offer, double, stranger, bare, settings, owner
) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    offer("google", "github")
    google = ExternalIdentity.objects.create(user=bare, provider="google", subject="g-1")
    github = ExternalIdentity.objects.create(user=bare, provider="github", subject="4711")
    sign_in(stranger, double, "google")
    assert stranger.post(f"/account/identities/{google.pk}/disconnect").status_code == 303
    assert stranger.post(f"/account/identities/{github.pk}/disconnect").status_code == 403


def test_the_data_export_lists_the_identities(viewer, linked) -> None:
    (found,) = export_own_data(viewer)["identities"]
    assert found == {
        "provider": "google",
        "subject": "g-1",
        "email": "vera@gmail.example",
        "connected_at": linked.created_at.isoformat(),
        "last_used_at": None,
        "role_reason": "",
    }


def _closed(settings) -> None:
    """What SSO_ONLY=true makes of the settings."""
    for name in ("EMAIL_LOGIN", "MAGIC_LINK_LOGIN", "REGISTRATION", "PASSWORD_RESET"):
        setattr(settings, f"ALLOW_{name}", False)


def test_with_only_providers_only_their_buttons_are_shown(offer, stranger, owner, settings) -> None:
    _closed(settings)
    offer("google")
    page = read(stranger.get("/sign-in").content)
    names = {each.attributes.get("name") for each in page.all("input")}
    assert not names & {"login", "password", "email"}
    assert "/oauth/google/login" in [form.attributes["action"] for form in page.all("form")]
    assert b"Every way to sign in here" not in stranger.get("/sign-in").content


def test_with_only_providers_every_other_sign_in_method_is_off(
    offer, double, stranger, owner, settings
) -> None:
    _closed(settings)
    offer("google")
    credentials = {"login": owner.email, "password": "correct horse battery staple"}
    statuses = {
        "sign in": stranger.post("/sign-in", credentials).status_code,
        "ask for a link": stranger.post("/magic-link", {"email": owner.email}).status_code,
        "sign up": stranger.get("/sign-up").status_code,
        "forgot": stranger.get("/password/forgot").status_code,
        "reset": stranger.get("/password/reset/abc").status_code,
    }
    assert set(statuses.values()) == {403}, statuses
    sign_in(stranger, double, "google")
    assert stranger.get("/account/password").status_code == 403
    assert b"/account/password" not in stranger.get("/account/").content
