"""Expiry times in words."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from core.text.time_display import spoken_end
from mfa.models import TrustedBrowser
from moderation.services.bans import ban
from tests.api.keys import made
from tests.mfa.authenticator import set_up_app

NOW = datetime(2026, 11, 28, 13, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(minutes=10), "in 10 minutes (14:05 UTC)"),
        (timedelta(minutes=9, seconds=40), "in 10 minutes (14:04 UTC)"),
        (timedelta(minutes=1), "in 1 minute (13:56 UTC)"),
        (timedelta(seconds=-5), "in 1 minute (13:54 UTC)"),
        (timedelta(hours=1), "in 1 hour (14:55 UTC)"),
        (timedelta(hours=24), "in 24 hours (Nov. 29, 2026, 13:55 UTC)"),
        (timedelta(days=7), "in 7 days (Dec. 5, 2026, 13:55 UTC)"),
    ],
)
def test_an_end_says_how_long_and_when(left: timedelta, text: str) -> None:
    with timezone.override("UTC"):
        assert spoken_end(NOW + left, NOW) == text


def test_an_end_is_shown_in_the_time_zone_of_the_reader() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")), translation.override("de"):
        assert "15:05 CET" in spoken_end(NOW + timedelta(minutes=10), NOW)


# Where pages tell an end


@pytest.mark.django_db
def test_lists_and_mails_show_ends_alike(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    now = timezone.now()
    browser = browser_of(viewer)
    made(viewer, "backup", expires_at=now + timedelta(days=30))
    set_up_app(viewer)
    TrustedBrowser.objects.create(user=viewer, digest="d" * 64, expires_at=now + timedelta(days=9))

    keys = browser.get("/account/keys").content.decode()
    account = browser.get("/account/").content.decode()

    assert spoken_end(now + timedelta(days=30), now) in keys
    assert spoken_end(now + timedelta(days=9), now) in account


@pytest.mark.django_db
def test_an_expired_key_shows_when_it_expired(
    viewer: User, browser_of: Callable[[User], Client]
) -> None:
    key = made(viewer, "backup", expires_at=timezone.now() + timedelta(hours=1)).key
    type(key).objects.update(expires_at=timezone.now() - timedelta(hours=1))

    assert "in 1 minute" not in browser_of(viewer).get("/account/keys").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["button", "action"])
def test_the_admin_shows_when_a_reset_link_expires(
    owner: User, viewer: User, browser_of: Callable[[User], Client], way: str
) -> None:
    people, browser = "/admin/accounts/user/", browser_of(owner)

    if way == "button":
        page = browser.post(f"{people}{viewer.pk}/reset/").content.decode()
    else:
        chosen = {"action": "start_reset_of_people", "_selected_action": [str(viewer.pk)]}
        page = browser.post(people, chosen | {"confirmed": "yes"}).content.decode()

    token = viewer.tokens.get()
    assert f"Ends {spoken_end(token.expires_at, timezone.now())}." in page


@pytest.mark.django_db
def test_a_banned_user_sees_when_the_ban_ends(
    owner: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(viewer)
    row = ban(actor=owner, user=viewer, duration=timedelta(hours=3), reason="Spam")
    assert row.until is not None

    page = browser.get("/sign-in").content.decode()

    assert f"This ends {spoken_end(row.until, timezone.now())}." in page
