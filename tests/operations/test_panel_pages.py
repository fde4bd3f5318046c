"""The pages Health, Settings and Sign-in providers of the admin panel, and their part of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admin.dashboard import content as dashboard
from accounts.models import User
from audit.models import AuditEvent
from config.environment.variables import BY_NAME, VARIABLES
from core import http
from federation.models import ExternalIdentity, PausedProvider
from federation.services.switching import switch_off
from operations import checks, doctor
from operations.checks import Report
from operations.doctor import Finding, HealthPart
from tests.federation.social.conftest import provider_of
from tests.federation.social.double import SocialDouble

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
HEALTH, SETTINGS, PROVIDERS = "/admin/health/", "/admin/settings/", "/admin/providers/"
SWITCH, TEST = f"{PROVIDERS}google/switch/", f"{PROVIDERS}google/test/"


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


@pytest.fixture
def google(settings: Any) -> Iterator[SocialDouble]:
    """Google is configured; its double answers."""
    server = SocialDouble()
    settings.PROVIDER_INTERNAL_URLS = server.internal_urls
    settings.SIGN_IN_PROVIDERS = (provider_of("google", server),)
    yield server
    server.stop()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a page sent a request")

    monkeypatch.setattr(http, "send", refuse)
    monkeypatch.setattr(doctor, "EXAMINATIONS", (refuse,))


def report(*findings: Finding) -> None:
    checks._keep(checks.REPORT, Report(timezone.now(), findings))


def rows(panel: Client) -> dict[str, str]:
    """Name of each part on the health page -> its state."""
    return {row.name: str(row.state) for row in panel.get(HEALTH).context["rows"]}


BAD = Finding("error", "Google: it is down.", "Wait.", HealthPart.PROVIDERS, "google")
OLD_DISK = Finding("warning", "The disk is old.", "Buy a new one.")


# Health


@pytest.mark.usefixtures("google", "no_network")
def test_the_pages_send_no_request_and_make_few_queries(panel: Client) -> None:
    report(BAD)
    for path, most in ((HEALTH, 16), (PROVIDERS, 16), (SETTINGS, 10), ("/admin/", 45)):
        panel.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert panel.get(path).status_code == 200
        assert len(queries) <= most, path


@pytest.mark.usefixtures("google")
def test_each_part_has_its_state_and_its_findings(panel: Client) -> None:
    report(BAD, OLD_DISK)
    checks.note_worker()
    checks.note_backup()

    page = panel.get(HEALTH).content.decode()
    states = rows(panel)

    assert "does not work" in states["source-google"]
    assert "needs attention" in states["server"]
    for name in ("database", "worker", "mail"):
        assert "works" in states[name]
    assert "made" in states["backup"]
    for text in ("Google: it is down.", "Wait.", "The disk is old.", "Buy a new one."):
        assert page.count(text) == 1


def test_before_the_first_check_the_page_says_so(panel: Client) -> None:
    states = rows(panel)

    assert "not checked yet" in states["database"]
    assert "not seen yet" in states["worker"]
    assert "not known" in states["backup"]


def test_a_worker_that_is_not_seen_any_more_is_an_error(panel: Client) -> None:
    seen = timezone.now() - timedelta(minutes=6)
    caches["counters"].set(checks.WORKER_SEEN, seen.isoformat(), None)

    assert "does not work" in rows(panel)["worker"]
    assert b"no mail is sent" in panel.get(HEALTH).content


@pytest.mark.usefixtures("google")
def test_a_provider_that_is_switched_off_is_not_an_error(panel: Client, owner: User) -> None:
    switch_off(actor=owner, provider_id="google")

    assert "switched off" in rows(panel)["source-google"]


def test_check_now_examines_and_shows_the_findings(
    panel: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "examine", lambda: [OLD_DISK])

    answer = panel.post(HEALTH)

    assert (answer.status_code, answer["Location"]) == (302, HEALTH)
    assert b"The disk is old." in panel.get(HEALTH).content


def test_check_now_does_not_run_twice_at_once(
    panel: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches["counters"].add(checks.RUNNING, 1, 30)
    monkeypatch.setattr(checks, "examine", lambda: 1 / 0)

    answer = panel.post(HEALTH, follow=True)

    assert b"The check is running already." in answer.content


# The overview


def test_the_overview_shows_findings_with_their_fix() -> None:
    noted = Finding("note", "A note.")
    live = Finding("warning", "Not https.", part=HealthPart.NETWORK)
    report(BAD, OLD_DISK, noted, live)

    shown = dashboard.context()

    warned = [(one.tone, one.title, one.text) for one in shown["warnings"] if one.link == "Health"]
    assert warned == [
        ("bad", "Google: it is down.", "Wait."),
        ("warn", "The disk is old.", "Buy a new one."),
    ]
    (card,) = [card for card in shown["cards"] if card.url == HEALTH]
    assert (card.number, card.tone) == ("3", "bad")


def test_without_findings_the_card_says_good_and_when() -> None:
    report()
    (card,) = [card for card in dashboard.context()["cards"] if card.url == HEALTH]

    assert (card.number, card.tone) == ("good", "plain")
    assert card.hint.startswith("checked ")


# Settings


def test_the_settings_show_value_and_source(panel: Client) -> None:
    shown = {
        row.name: row
        for _title, found in panel.get(f"{SETTINGS}?show=all").context["sections"]
        for row in found
    }

    assert set(BY_NAME) <= set(shown)
    assert shown["PUBLIC_URL"].value == "http://localhost:8000"
    assert shown["WEB_THREADS"].is_default


def test_no_secret_is_on_the_page(panel: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {one.name: f"hush-{one.name}" for one in VARIABLES if one.secret}
    url = {"DATABASE_URL": "postgresql://gate:hush-db@db/gate"}
    changed = replace(settings.ENV, _values={**settings.ENV.values, **secret, **url})
    monkeypatch.setattr(settings, "ENV", changed)

    page = panel.get(f"{SETTINGS}?show=all").content.decode()

    assert "hush" not in page
    assert len(secret) > 10


@pytest.mark.parametrize(
    ("query", "expected", "missing"),
    [
        ("?q=public_url", "PUBLIC_URL", "SMTP_HOST"),
        ("?show=default", "WEB_THREADS", "PUBLIC_URL"),
        ("", "PUBLIC_URL", "WEB_THREADS"),
        ("?q=no-such-setting", "", "PUBLIC_URL"),
    ],
)
def test_the_settings_are_searched_and_filtered(
    panel: Client, query: str, expected: str, missing: str
) -> None:
    answer = panel.get(f"{SETTINGS}{query}")
    names = [row.name for _title, found in answer.context["sections"] for row in found]

    assert not expected or expected in names
    assert missing not in names
    assert answer.context["count"] == len(names)


def test_only_owners_see_the_settings(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)

    assert browser.get(SETTINGS).status_code == 403
    assert b'href="/admin/settings/"' not in browser.get("/admin/").content
    assert browser.get(HEALTH).status_code == 200
    assert b'href="/admin/settings/"' not in browser.get(HEALTH).content


# Providers


@pytest.mark.usefixtures("google")
def test_a_provider_shows_its_callback_and_its_accounts(panel: Client, viewer: User) -> None:
    ExternalIdentity.objects.create(user=viewer, provider="google", subject="g-1")

    page = panel.get(PROVIDERS)

    assert b'value="http://localhost:8000/oauth/google/callback"' in page.content
    (row,) = page.context["rows"]
    assert (row.id, row.is_on, row.identities) == ("google", True, 1)
    assert "google" not in [one.label.lower() for one in page.context["missing"]]
    assert b"DISCORD_CLIENT_ID=" in page.content
    assert f'href="{PROVIDERS}github/set-up/"'.encode() in page.content


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("google", ["Authorized redirect URIs", "GOOGLE_CLIENT_ID=\nGOOGLE_CLIENT_SECRET="]),
        ("github", ["Authorization callback URL", "GITHUB_CLIENT_ID=\nGITHUB_CLIENT_SECRET="]),
        ("openid", ["confidential", "OPENID_ISSUER=\nOPENID_CLIENT_ID=", "OPENID_REGISTRATION"]),
    ],
)
def test_a_guide_shows_the_steps_and_what_to_copy(
    panel: Client, provider: str, expected: list[str]
) -> None:
    page = panel.get(f"{PROVIDERS}{provider}/set-up/").content.decode()

    for text in (
        *expected,
        f"http://localhost:8000/oauth/{provider}/callback",
        "After the restart",
    ):
        assert text in page
    assert f"{PROVIDERS}{provider}/test/" not in page


@pytest.mark.usefixtures("google")
def test_the_guide_of_a_configured_provider_ends_with_its_tests(
    panel: Client, admin: User, browser_of: BrowserOf
) -> None:
    guide = f"{PROVIDERS}google/set-up/"

    page = panel.get(guide).content
    for path in (TEST, f"{PROVIDERS}google/sign-in-test/"):
        assert path.encode() in page
        assert path.encode() not in browser_of(admin).get(guide).content
    assert b"People without an account get one" in page
    assert panel.get(f"{PROVIDERS}gitlab/set-up/").status_code == 404


@pytest.mark.usefixtures("google")
def test_switching_off_asks_and_is_audited(panel: Client, owner: User) -> None:
    asked = panel.get(SWITCH)
    assert b"Yes, switch off Google" in asked.content
    assert not PausedProvider.objects.exists()

    answer = panel.post(SWITCH, {"state": "off"}, follow=True)

    assert b"No one signs in through Google any more." in answer.content
    assert PausedProvider.objects.get().provider == "google"
    event = AuditEvent.objects.get(action="settings:provider:switch-off")
    assert (event.actor_id, event.detail) == (owner.pk, {"provider": "google"})
    assert b"Yes, switch on Google" in panel.get(SWITCH).content


@pytest.mark.usefixtures("google")
def test_a_form_that_is_late_does_not_do_the_opposite(panel: Client, owner: User) -> None:
    switch_off(actor=owner, provider_id="google")

    answer = panel.post(SWITCH, {"state": "off"}, follow=True)

    assert b"Google was switched already." in answer.content
    assert PausedProvider.objects.count() == 1


@pytest.mark.usefixtures("google")
def test_the_last_way_of_an_owner_is_refused_with_the_reason(
    panel: Client, make_user: Callable[..., User]
) -> None:
    bare = make_user("owner", email="bare@example.com", password=None)
    ExternalIdentity.objects.create(user=bare, provider="google", subject="g-1")

    answer = panel.post(SWITCH, {"state": "off"}, follow=True)

    assert b"these owners could not sign in any more: bare@example.com" in answer.content
    assert not PausedProvider.objects.exists()


@pytest.mark.usefixtures("google")
@pytest.mark.parametrize("path", [SWITCH, TEST])
def test_administrators_look_and_owners_switch(
    admin: User, browser_of: BrowserOf, path: str
) -> None:
    browser = browser_of(admin)

    assert browser.post(path, {"state": "off"}).status_code == 403
    page = browser.get(PROVIDERS)
    assert page.status_code == 200
    assert path.encode() not in page.content
    assert not PausedProvider.objects.exists()


@pytest.mark.usefixtures("google")
def test_a_switch_asks_for_recent_authentication(
    panel: Client, at_time: Callable[[timedelta], Any]
) -> None:
    panel.get(PROVIDERS)
    at_time(timedelta(minutes=16))

    answer = panel.post(SWITCH, {"state": "off"})

    assert answer.status_code == 303
    assert answer["Location"].startswith("/confirm")
    assert b"Switch a sign-in provider off or on: google" in panel.get(answer["Location"]).content
    assert not PausedProvider.objects.exists()


def test_a_test_asks_the_server_and_keeps_the_result(panel: Client, google: SocialDouble) -> None:
    answer = panel.post(TEST, follow=True)
    assert b"Google answers as it should." in answer.content

    google.stop()
    answer = panel.post(TEST, follow=True)

    assert b"Google has findings: see below." in answer.content
    (row,) = answer.context["rows"]
    assert [one.level for one in row.findings] == ["error"]
    assert [one.level for one in panel.get(PROVIDERS).context["rows"][0].findings] == ["error"]


@pytest.mark.parametrize("path", [f"{PROVIDERS}gitlab/switch/", f"{PROVIDERS}gitlab/test/"])
@pytest.mark.usefixtures("google")
def test_a_provider_that_is_not_configured_is_not_found(panel: Client, path: str) -> None:
    assert panel.post(path, {"state": "off"}).status_code == 404
