"""Sessions and cookies: ATTACKS section 4."""

from collections.abc import Callable
from datetime import timedelta
from http.cookies import Morsel

import pytest
from django.conf import settings as project
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from mfa.models import Authenticator
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], object]
Browse = Callable[[User], Client]


def cookie(client: Client) -> Morsel:
    return client.cookies[project.SESSION_COOKIE_NAME]


def test_the_table_does_not_contain_the_cookie_value(viewer: User, browser_of: Browse) -> None:
    value = cookie(browser_of(viewer)).value

    row = BrowserSession.objects.get()
    assert len(value) >= 32
    assert value not in (row.session_key, row.session_data)
    assert (row.user_id, row.state) == (viewer.pk, viewer.get_session_auth_hash())
    assert row.user_agent.endswith("Firefox/140.0")


def test_a_stolen_session_row_gives_no_access(viewer: User, browser_of: Browse) -> None:
    browser_of(viewer)
    thief = Client()
    thief.cookies[project.SESSION_COOKIE_NAME] = BrowserSession.objects.get().session_key

    assert thief.get("/account/").status_code == 302


def test_the_cookie_is_http_only_and_same_site(viewer: User, browser_of: Browse) -> None:
    morsel = cookie(browser_of(viewer))

    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/")
    assert morsel["max-age"] == 30 * 24 * 3600


def test_signing_in_gives_a_new_session_key(viewer: User) -> None:
    client = Client()
    client.cookies[project.SESSION_COOKIE_NAME] = "fixed-by-the-attacker-0123456789"

    client.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    assert cookie(client).value != "fixed-by-the-attacker-0123456789"
    assert client.get("/account/").status_code == 200


def test_a_cookie_is_invalid_after_sign_out(viewer: User, browser_of: Browse) -> None:
    browser = browser_of(viewer)
    value = cookie(browser).value

    answer = browser.post("/sign-out")

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=signed-out")
    replay = Client()
    replay.cookies[project.SESSION_COOKIE_NAME] = value
    assert replay.get("/account/").status_code == 302
    assert not BrowserSession.objects.filter(user=viewer).exists()
    assert AuditEvent.objects.filter(action="account:session:end", actor_id=viewer.pk).count() == 1


def test_a_get_request_does_not_sign_out(viewer: User, browser_of: Browse) -> None:
    browser = browser_of(viewer)

    assert browser.get("/sign-out").status_code == 200
    assert browser.head("/sign-out").status_code == 200

    assert browser.get("/account/").status_code == 200


def test_personal_pages_are_not_cached(viewer: User, browser_of: Browse) -> None:
    assert browser_of(viewer).get("/account/")["Cache-Control"] == "no-store"


def test_an_idle_session_ends(
    viewer: User, browser_of: Browse, at_time: Callable[[timedelta], object]
) -> None:
    browser = browser_of(viewer)

    at_time(timedelta(days=30, seconds=1))

    assert browser.get("/account/").status_code == 302


def test_activity_extends_the_idle_timeout_but_not_the_absolute_one(
    viewer: User, browser_of: Browse, at_time: Callable[[timedelta], object]
) -> None:
    browser = browser_of(viewer)
    for day in range(20, 180, 20):
        at_time(timedelta(days=day))
        assert browser.get("/account/").status_code == 200

    at_time(timedelta(days=180, seconds=1))

    assert browser.get("/account/").status_code == 302


def test_page_views_write_the_session_at_most_every_five_minutes(
    viewer: User,
    browser_of: Browse,
    at_time: Callable[[timedelta], object],
    django_assert_num_queries: Callable[..., object],
) -> None:
    browser = browser_of(viewer)
    seen = BrowserSession.objects.get().last_seen_at

    at_time(timedelta(minutes=4))
    browser.get("/account/")
    assert BrowserSession.objects.get().last_seen_at == seen

    at_time(timedelta(minutes=6))
    browser.get("/account/")
    assert BrowserSession.objects.get().last_seen_at > seen


def test_a_user_signs_one_of_their_devices_out(viewer: User, browser_of: Browse) -> None:
    here, phone = browser_of(viewer), browser_of(viewer)
    phone_row = BrowserSession.objects.order_by("-created_at").first()
    assert phone_row is not None

    answer = here.post(f"/account/sessions/{phone_row.public_id}/end")

    assert (answer.status_code, answer["Location"]) == (303, "/account/?notice=session-ended")
    assert phone.get("/account/").status_code == 302
    assert here.get("/account/").status_code == 200


def test_a_user_cannot_end_the_session_of_another_user(
    viewer: User, editor: User, browser_of: Browse
) -> None:
    victim = browser_of(editor)
    row = BrowserSession.objects.get()

    answer = browser_of(viewer).post(f"/account/sessions/{row.public_id}/end")

    assert answer.status_code == 404
    assert victim.get("/account/").status_code == 200


def test_signing_out_other_devices_keeps_this_one(viewer: User, browser_of: Browse) -> None:
    here, phone = browser_of(viewer), browser_of(viewer)

    answer = here.post("/account/sessions/end")

    assert answer.status_code == 303
    assert here.get("/account/").status_code == 200
    assert phone.get("/account/").status_code == 302


# A session that is begun anew after all have been ended is the old one in every other respect


def _end_others(browser: Client, _user: User) -> object:
    return browser.post("/account/sessions/end")


def _new_password(browser: Client, _user: User) -> object:
    form = {"current_password": PASSWORD, "password": "seven quiet rivers under ice"}
    return browser.post("/account/password", form)


def _disconnect(browser: Client, user: User) -> object:
    row = ExternalIdentity.objects.create(user=user, provider="google", subject="g-1")
    return browser.post(f"/account/identities/{row.pk}/disconnect")


def _remove_passkey(browser: Client, user: User) -> object:
    row = Authenticator.objects.create(user=user, kind="passkey", name="Old", credential_id="x")
    page = f"/account/passkeys/{row.pk}/remove"
    return browser.post(page, {"ends_sessions": "on"})


RENEWALS = [_end_others, _new_password, _disconnect, _remove_passkey]


@pytest.mark.parametrize("renew", RENEWALS)
def test_a_renewed_session_keeps_its_absolute_end(
    viewer: User, browser_of: Browse, at_time: AtTime, renew: Callable[..., object]
) -> None:
    browser = browser_of(viewer)
    begun = BrowserSession.objects.get()
    at_time(timedelta(minutes=10))
    row = BrowserSession.objects.get()

    answer = renew(browser, viewer)

    assert answer.status_code == 303, answer.content
    renewed = BrowserSession.objects.get()
    assert renewed.session_key != begun.session_key
    assert (renewed.created_at, row.created_at) == (begun.created_at, begun.created_at)
    assert browser.get("/account/").status_code == 200
    BrowserSession.objects.update(expire_date=timezone.now() + timedelta(days=400))
    at_time(project.SESSION_ABSOLUTE_TIMEOUT + timedelta(minutes=1))
    assert browser.get("/account/")["Location"] == "/sign-in?next=/account/"


@pytest.mark.parametrize("renew", RENEWALS)
def test_a_renewed_session_keeps_its_authentication_time(
    viewer: User, browser_of: Browse, at_time: AtTime, renew: Callable[..., object]
) -> None:
    browser = browser_of(viewer)
    at_time(timedelta(minutes=14))
    assert renew(browser, viewer).status_code == 303
    assert browser.get("/account/passkeys/add").status_code == 200

    at_time(timedelta(minutes=16))

    assert browser.get("/account/passkeys/add").status_code == 303


def test_a_session_started_by_custom_code_expires_too(viewer: User, at_time: AtTime) -> None:
    browser = Client()
    browser.force_login(viewer, backend="accounts.backends.PasswordBackend")
    begun = BrowserSession.objects.get().created_at
    at_time(timedelta(minutes=6))
    assert browser.get("/account/").status_code == 200
    assert BrowserSession.objects.get().created_at == begun
    BrowserSession.objects.update(expire_date=timezone.now() + timedelta(days=400))

    at_time(project.SESSION_ABSOLUTE_TIMEOUT + timedelta(minutes=1))

    assert browser.get("/account/").status_code == 302


def test_an_anonymous_session_is_kept_for_an_hour(db: None, stranger: Client) -> None:
    answer = stranger.post(
        "/sign-in/passkey/options", {"purpose": "sign-in"}, content_type="application/json"
    )

    assert answer.status_code == 200, answer.content
    row = BrowserSession.objects.get()
    assert row.user is None
    assert row.expire_date - timezone.now() <= timedelta(hours=1)
    assert stranger.cookies[project.SESSION_COOKIE_NAME]["max-age"] == 3600
