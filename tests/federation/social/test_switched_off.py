"""A provider that is switched off is refused everywhere, and no owner loses their last way."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.credentials import LastSignInMethod
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound
from federation.models import ExternalIdentity, PausedProvider
from federation.services.identities import disconnect
from federation.services.switching import LocksOwnersOut, switch_off, switch_on
from federation.views import oauth
from mail.conf import MailSettings
from mail.models import OutboxMail
from tests.federation.social.conftest import begin, call_callback, is_signed_in, sign_in

pytestmark = pytest.mark.django_db
OFF, ON = "settings:provider:switch-off", "settings:provider:switch-on"


@pytest.fixture
def bare_owner(make_user: Callable[..., User], offer: Any) -> User:
    """An owner who signs in through Google alone."""
    offer("google", "github")
    owner = make_user("owner", email="bare@example.com", password=None)
    ExternalIdentity.objects.create(user=owner, provider="google", subject="g-9")
    return owner


def events() -> list[tuple[str, str]]:
    rows = AuditEvent.objects.filter(action__in=[OFF, ON]).order_by("seq")
    return [(row.action, row.detail["provider"]) for row in rows]


def test_no_page_offers_it(offer: Any, stranger: Client, owner: User, viewer: User) -> None:
    offer("google", "github")
    switch_off(actor=owner, provider_id="google")

    page = stranger.get("/sign-in").content
    assert b"/oauth/github/login" in page
    assert b"/oauth/google/login" not in page

    switch_on(actor=owner, provider_id="google")
    assert b"/oauth/google/login" in stranger.get("/sign-in").content
    assert events() == [(OFF, "google"), (ON, "google")]


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_sign_in_starts(offer: Any, stranger: Client, owner: User, method: str) -> None:
    offer("google")
    switch_off(actor=owner, provider_id="google")

    shown = getattr(stranger, method)("/oauth/google/login")

    assert shown.status_code == 403
    assert b"<h1>Sign-in through Google is switched off" in shown.content


def test_a_callback_in_flight_is_refused(
    offer: Any, double: Any, stranger: Client, owner: User
) -> None:
    offer("google")
    to, answer = double.agree(begin(stranger, "google"))
    switch_off(actor=owner, provider_id="google")

    shown = call_callback(stranger, to, answer, "google")

    assert shown.status_code == 403
    assert not is_signed_in(stranger)
    assert not ExternalIdentity.objects.exists()
    row = AuditEvent.objects.get(action="account:session:start", result="refused")
    assert row.detail["reason"] == "provider_off: switched off"


def test_a_provider_that_answers_after_the_switch_signs_no_one_in(
    offer: Any, double: Any, stranger: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer("google")
    to, answer = double.agree(begin(stranger, "google"))
    real = oauth.flow_of

    class Slow:
        def __init__(self, provider: Any) -> None:
            self.flow = real(provider)

        def finish(self, *arguments: Any) -> Any:
            info = self.flow.finish(*arguments)
            switch_off(actor=owner, provider_id="google")
            return info

    monkeypatch.setattr(oauth, "flow_of", Slow)
    shown = call_callback(stranger, to, answer, "google")

    assert shown.status_code == 403
    assert not is_signed_in(stranger)
    assert not ExternalIdentity.objects.exists()


def test_it_cannot_be_connected(
    offer: Any, browser_of: Callable[[User], Client], viewer: User, owner: User
) -> None:
    offer("google")
    browser = browser_of(viewer)
    switch_off(actor=owner, provider_id="google")

    shown = browser.post("/account/identities/google/connect")

    assert shown.status_code == 403
    assert not ExternalIdentity.objects.exists()
    assert b"/account/identities/google/connect" not in browser.get("/account/").content


def test_it_counts_as_no_way_to_sign_in(offer: Any, make_user: Any, owner: User) -> None:
    offer("google", "github")
    user = make_user(email="two@example.com", password=None)
    rows = [
        ExternalIdentity.objects.create(user=user, provider=name, subject="s-1")
        for name in ("google", "github")
    ]
    switch_off(actor=owner, provider_id="google")

    with pytest.raises(LastSignInMethod):
        disconnect(user=user, identity_id=rows[1].pk)

    disconnect(user=user, identity_id=rows[0].pk)
    assert [row.provider for row in user.identities.all()] == ["github"]


def test_a_session_stays_and_a_new_sign_in_is_refused(
    offer: Any, double: Any, stranger: Client, owner: User
) -> None:
    offer("google")
    sign_in(stranger, double, "google")
    switch_off(actor=owner, provider_id="google")

    assert is_signed_in(stranger)
    stranger.post("/sign-out")
    assert stranger.post("/oauth/google/login").status_code == 403


def test_the_last_way_of_an_owner_is_not_switched_off(bare_owner: User, owner: User) -> None:
    with pytest.raises(LocksOwnersOut, match=r"bare@example\.com"):
        switch_off(actor=owner, provider_id="google")

    assert not PausedProvider.objects.exists()
    assert events() == []
    assert switch_off(actor=owner, provider_id="github")


def test_a_disabled_owner_and_a_viewer_do_not_hold_it(bare_owner: User, owner: User) -> None:
    User.objects.filter(pk=bare_owner.pk).update(is_active=False)

    assert switch_off(actor=owner, provider_id="google")


def test_mail_counts_only_while_it_arrives(bare_owner: User, owner: User, settings: Any) -> None:
    settings.MAIL = MailSettings(transport="smtp", sender="g@example.com", host="127.0.0.1")
    mail = OutboxMail.objects.create(
        recipient="a@example.com", kind="magic-link", subject="Hello", attempts=1,
        last_error="refused", status=OutboxMail.Status.QUEUED,
    )  # fmt: skip
    with pytest.raises(LocksOwnersOut):
        switch_off(actor=owner, provider_id="google")

    mail.delete()
    assert switch_off(actor=owner, provider_id="google")


def test_the_second_of_two_ways_is_not_switched_off(bare_owner: User, owner: User) -> None:
    ExternalIdentity.objects.create(user=bare_owner, provider="github", subject="h-9")

    assert switch_off(actor=owner, provider_id="google")
    with pytest.raises(LocksOwnersOut):
        switch_off(actor=owner, provider_id="github")


@pytest.mark.parametrize("switch", [switch_off, switch_on])
def test_only_owners_switch(offer: Any, admin: User, switch: Any) -> None:
    offer("google")
    PausedProvider.objects.create(provider="github")

    with pytest.raises(Forbidden, match="Only owners"):
        switch(actor=admin, provider_id="google")

    assert PausedProvider.objects.count() == 1


def test_a_provider_that_is_not_configured_is_not_switched(offer: Any, owner: User) -> None:
    offer("google")
    with pytest.raises(NotFound):
        switch_off(actor=owner, provider_id="github")

    assert switch_on(actor=owner, provider_id="google") is False
    assert events() == []


def test_the_command_switches_and_says_when_nothing_changed(offer: Any, owner: User) -> None:
    offer("google")
    out = StringIO()
    call_command("switchprovider", "google", "off", stdout=out)

    assert out.getvalue() == "Sign-in through google is off.\n"
    with pytest.raises(CommandError, match="google is off already"):
        call_command("switchprovider", "google", "off")
    with pytest.raises(CommandError, match="No provider 'gogle'"):
        call_command("switchprovider", "gogle", "on")
    call_command("switchprovider", "google", "on", stdout=out)
    assert not PausedProvider.objects.exists()


def test_the_command_locks_no_owner_out(bare_owner: User) -> None:
    with pytest.raises(CommandError, match=r"bare@example\.com"):
        call_command("switchprovider", "google", "off")

    assert not PausedProvider.objects.exists()


def test_a_provider_that_left_the_settings_can_be_switched_on(offer: Any) -> None:
    offer("github")
    PausedProvider.objects.create(provider="google")

    assert switch_on(actor=SYSTEM, provider_id="google")
    assert not PausedProvider.objects.exists()
