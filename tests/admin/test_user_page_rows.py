"""Trusted browsers and providers on the page of a user: what administrators take away there."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from federation.services.identities import LastSignInMethodOfOther
from mail.conf import MailSettings
from mail.models import OutboxMail
from mfa.models import TrustedBrowser
from tests.admin.conftest import LIST, BrowserOf, MakeUser, bulk, notices, page_of
from tests.admin.test_user_page import newest_event, shown, since, text

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
REACHES = {"stranger": (), "viewer": (), "editor": (), "admin": ("editor",),
           "owner": ("editor", "admin", "owner")}  # fmt: skip


def trusted(user: User, letter: str = "d") -> TrustedBrowser:
    return TrustedBrowser.objects.create(
        user=user, digest=letter * 64, expires_at=timezone.now() + timedelta(days=9)
    )


def connected(user: User, provider: str = "github") -> ExternalIdentity:
    return ExternalIdentity.objects.create(user=user, provider=provider, subject=str(user.pk))


def details() -> Any:
    event = AuditEvent.objects.latest("seq")
    return event.actor_id, event.target_id, event.detail


ROWS: dict[str, tuple[Callable[[User], Any], str, str, type[Any]]] = {
    "forget-browser": (trusted, "browsers", "account:factor:forget-browser", TrustedBrowser),
    "disconnect": (connected, "providers", "account:identity:disconnect", ExternalIdentity),
}


@pytest.mark.parametrize("role", ["editor", "admin", "owner"])
@pytest.mark.parametrize("actor_role", REACHES)
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_taken_away_by_rank(
    as_role: AsRole, make_user: MakeUser, name: str, actor_role: str, role: str
) -> None:
    make, _section, action, model = ROWS[name]
    user = make_user(role, "jon@example.com", name="Jon")
    row, other = (
        make(user),
        make(make_user("viewer")) if name == "disconnect" else trusted(user, "e"),
    )
    browser, actor = as_role(actor_role)
    before = newest_event() if AuditEvent.objects.exists() else None

    answer = browser.post(page_of(user, f"{name}/{row.pk}"))

    if role in REACHES[actor_role]:
        assert (answer.status_code, answer["Location"]) == (302, page_of(user))
        assert set(model.objects.values_list("pk", flat=True)) == {other.pk}
        assert before is not None
        assert since(before) == [(action, user.pk)]
        assert details()[:2] == (actor.pk, user.pk)
        return
    assert answer.status_code == (302 if actor_role == "stranger" else 403)
    assert model.objects.count() == 2
    assert before is None or since(before) == []


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_a_button_that_asks_and_posts(
    as_role: AsRole, make_user: MakeUser, name: str
) -> None:
    make, section, _action, model = ROWS[name]
    jon = make_user("editor", "jon@example.com", name="Jon Doe")
    row = make(jon)
    browser, _owner = as_role("owner")
    page = browser.get(page_of(jon))
    button = shown(page)[section].rows[0].button

    assert button is not None
    assert button.url == page_of(jon, f"{name}/{row.pk}")
    assert "Jon Doe" in str(button.question)
    assert f'action="{button.url}"' in text(page)
    assert browser.get(button.url).status_code == 405
    assert model.objects.count() == 1


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("which", ["unknown", "of another user"])
def test_a_row_of_nobody_or_of_another_user_is_not_found(
    as_role: AsRole, make_user: MakeUser, name: str, which: str
) -> None:
    make, _section, _action, model = ROWS[name]
    jon, row = make_user("editor"), make(make_user("viewer"))
    browser, _owner = as_role("owner")
    key = row.pk if which == "of another user" else uuid.UUID(int=7)

    assert browser.post(page_of(jon, f"{name}/{key}")).status_code == 404
    assert model.objects.count() == 1


def test_an_admin_sees_no_such_button_of_an_owner(as_role: AsRole, make_user: MakeUser) -> None:
    boss = make_user("owner", "boss@example.com")
    trusted(boss)
    connected(boss)
    browser, _admin = as_role("admin")

    assert 'class="hub-ask"' not in text(browser.get(page_of(boss)))


def test_disconnecting_signs_out_and_notifies_the_user(
    as_role: AsRole, make_user: MakeUser, browser_of: BrowserOf, settings: Any
) -> None:
    settings.MAIL = MailSettings(transport="smtp", sender="g@example.com", host="127.0.0.1")
    jon = make_user("editor", "jon@example.com")
    row, device = connected(jon), browser_of(jon)
    browser, _owner = as_role("owner")

    browser.post(page_of(jon, f"disconnect/{row.pk}"))

    assert notices(browser) == ["jon@example.com: Disconnected, and signed out everywhere."]
    assert device.get("/account/").status_code == 302
    mail = OutboxMail.objects.get()
    assert (mail.kind, mail.recipient) == ("identity-disconnected", jon.email)


def test_the_last_way_to_sign_in_stays_until_there_is_another(
    as_role: AsRole, make_user: MakeUser, settings: Any
) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    jon = make_user("editor", "jon@example.com", password=None)
    row = connected(jon)
    browser, _owner = as_role("owner")
    before = newest_event()

    browser.post(page_of(jon, f"disconnect/{row.pk}"))

    (told,) = notices(browser)
    assert told == str(LastSignInMethodOfOther.default_message)
    assert told.startswith("This is their only way to sign in. ")
    assert ExternalIdentity.objects.filter(pk=row.pk).exists()
    assert since(before) == []


def test_an_identity_of_the_directory_has_no_button(
    as_role: AsRole, make_user: MakeUser, settings: Any
) -> None:
    jon = make_user("editor")
    row = connected(jon, "ldap")
    browser, _owner = as_role("owner")
    settings.LDAP = SimpleNamespace(is_exclusive=False)
    assert shown(browser.get(page_of(jon)))["providers"].rows[0].button is None

    answer = browser.post(page_of(jon, f"disconnect/{row.pk}"))

    assert answer.status_code == 404
    assert ExternalIdentity.objects.filter(pk=row.pk).exists()


def test_disconnecting_needs_recent_authentication_and_forgetting_does_not(
    as_role: AsRole, make_user: MakeUser, at_time: Callable[[timedelta], Any]
) -> None:
    jon = make_user("editor", "jon@example.com", name="Jon Doe")
    identity, browser_row = connected(jon), trusted(jon)
    browser, _owner = as_role("owner")
    at_time(timedelta(minutes=16))

    asked = browser.post(page_of(jon, f"disconnect/{identity.pk}"))
    forgotten = browser.post(page_of(jon, f"forget-browser/{browser_row.pk}"))

    assert (asked.status_code, asked["Location"].partition("?")[0]) == (303, "/confirm")
    assert "Disconnect: Jon Doe (jon@example.com)" in text(browser.get(asked["Location"]))
    assert forgotten.status_code == 302
    assert ExternalIdentity.objects.exists()
    assert not TrustedBrowser.objects.exists()


# All trusted browsers


def test_all_trusted_browsers_are_forgotten_at_once_and_devices_stay(
    as_role: AsRole, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser, owner = as_role("owner")
    jon, other = make_user("editor", "jon@example.com"), make_user("editor")
    device = browser_of(jon)
    for user, letter in ((jon, "a"), (jon, "b"), (other, "c")):
        trusted(user, letter)
    page = browser.get(page_of(jon))
    before = newest_event()

    answer = browser.post(
        LIST,
        {
            "action": "forget_browsers_of_people",
            "_selected_action": str(jon.pk),
            "user_page": str(jon.pk),
            "confirmed": "yes",
        },
    )

    assert 'value="forget_browsers_of_people"' in text(page)
    assert (answer.status_code, answer["Location"]) == (302, page_of(jon))
    assert [row.user for row in TrustedBrowser.objects.all()] == [other]
    assert since(before) == [("account:factor:forget-browsers", jon.pk)]
    assert details() == (owner.pk, jon.pk, {"count": 2})
    assert device.get("/account/").status_code == 200
    assert 'value="forget_browsers_of_people"' not in text(browser.get(page_of(jon)))


def test_forgetting_browsers_of_several_leaves_out_who_has_none(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, _admin = as_role("admin")
    jon, none, boss = make_user("editor"), make_user("viewer"), make_user("owner")
    trusted(jon, "a")
    trusted(boss, "b")

    page = bulk(browser, "forget_browsers_of_people", [jon, none, boss])
    bulk(browser, "forget_browsers_of_people", [jon, none, boss], confirmed="yes")

    assert [user.email for user in page.context["people"]] == [jon.email]
    assert {user.email: reason for user, reason in page.context["left_out"]} == {
        none.email: "They have no trusted browser.",
        boss.email: "Their role is not below yours.",
    }
    assert notices(browser) == ["1 done, 1 skipped: rank, 1 skipped: there is no trusted browser"]
    assert [row.user for row in TrustedBrowser.objects.all()] == [boss]
